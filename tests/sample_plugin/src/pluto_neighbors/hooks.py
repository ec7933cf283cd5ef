"""What this plugin offers."""

from pluto_core import Component, hookimpl


@hookimpl
def pluto_register_features() -> list[Component]:
    """Return the feature builder."""
    return [
        Component(
            "neighbors",
            factory="pluto_neighbors.builder:make",
            config="pluto_neighbors.config:NeighborsConfig",
            provides="pluto_neighbors.schema:provides",
            summary="The last seconds of the nearest agents and of the ego vehicle.",
        )
    ]


@hookimpl
def pluto_register_caches() -> list[Component]:
    """Return the shard store."""
    return [
        Component(
            "sqlite",
            factory="pluto_neighbors.shards:make",
            config="pluto_neighbors.config:SqliteConfig",
            facts={"shared": True},
            summary="One SQLite file a shard.",
        )
    ]


@hookimpl
def pluto_register_models() -> list[Component]:
    """Return the model."""
    return [
        Component(
            "neighbors",
            factory="pluto_neighbors.model:make",
            config="pluto_neighbors.config:PlannerConfig",
            requires="pluto_neighbors.schema:requires",
            summary="A small planner that looks at the nearest agents.",
        )
    ]


@hookimpl
def pluto_register_objectives() -> list[Component]:
    """Return the objective; it has the model's name, so that experiments need not name it."""
    return [
        Component(
            "neighbors",
            factory="pluto_neighbors.objective:make",
            config="pluto_neighbors.config:ObjectiveConfig",
            summary="The best mode's distance to the truth, and which mode that is.",
        )
    ]
