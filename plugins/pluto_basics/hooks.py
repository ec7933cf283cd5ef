"""What the basic plugin offers."""

from pluto_core import Component, hookimpl


@hookimpl
def pluto_register_caches() -> list[Component]:
    """Return the shard stores `files` and `memory`."""
    return [
        Component(
            "files",
            factory="pluto_basics.stores_files:make",
            config="pluto_basics.config:FilesConfig",
            facts={"shared": True},
            summary="One file a value, for looking at.",
        ),
        Component(
            "memory",
            factory="pluto_basics.stores_memory:make",
            config="pluto_basics.config:MemoryConfig",
            facts={"shared": False},
            summary="The memory of this process: no cache on disk.",
        ),
    ]


@hookimpl
def pluto_register_splitters() -> list[Component]:
    """Return the splitters `by_log`, `by_token_list` and `one_part`."""
    return [
        Component(
            "by_log",
            factory="pluto_basics.splitters:by_log",
            config="pluto_basics.config:ByLogConfig",
            summary="Fractions of logs, by a hash of their names; the default.",
        ),
        Component(
            "by_token_list",
            factory="pluto_basics.splitters:by_token_list",
            config="pluto_basics.config:ByTokenListConfig",
            summary="Parts as files of tokens.",
        ),
        Component(
            "one_part",
            factory="pluto_basics.splitters:one_part",
            config="pluto_basics.config:OnePartConfig",
            summary="Every scenario in one part, to evaluate on all of them.",
        ),
    ]


@hookimpl
def pluto_register_features() -> list[Component]:
    """Return the features `ego_history`."""
    return [
        Component(
            "ego_history",
            factory="pluto_basics.ego_history:make",
            config="pluto_basics.config:EgoHistoryConfig",
            provides="pluto_basics.schema:ego_history",
            summary="Past poses, velocities and accelerations of the ego vehicle, and nothing about anybody else.",
        )
    ]


@hookimpl
def pluto_register_targets() -> list[Component]:
    """Return the target `ego_trajectory`."""
    return [
        Component(
            "ego_trajectory",
            factory="pluto_basics.ego_trajectory:make",
            config="pluto_basics.config:EgoTrajectoryConfig",
            provides="pluto_basics.schema:ego_trajectory",
            summary="Future poses of the ego vehicle, and its speed at time zero.",
        )
    ]


@hookimpl
def pluto_register_workers() -> list[Component]:
    """Return the workers `sequential`, `threads` and `processes`."""
    return [
        Component(
            "sequential",
            factory="pluto_basics.workers.sequential:make",
            config="pluto_basics.config:SequentialConfig",
            facts={"processes": False},
            summary="One scenario after the other, in this process; the default.",
        ),
        Component(
            "threads",
            factory="pluto_basics.workers.threads:make",
            config="pluto_basics.config:ThreadsConfig",
            facts={"processes": False},
            summary="Threads of this process: what compiled code computes runs side by side, Python does not.",
        ),
        Component(
            "processes",
            factory="pluto_basics.workers.processes:make",
            config="pluto_basics.config:ProcessesConfig",
            facts={"processes": True},
            summary="Processes of this machine, one for each core.",
        ),
    ]
