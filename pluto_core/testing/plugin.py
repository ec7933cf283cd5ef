"""A plugin of small real parts, each called `fake`: an experiment may take them to try one component without data.

plugins = ["pluto_core.testing.plugin"]

[source]
use = "fake"
"""

from pluto_core import Component, hookimpl

_FAKES = "pluto_core.testing.fakes"
_SAMPLES = "pluto_core.testing.fake_samples"
_CONFIGS = "pluto_core.testing.config"
_NOTHING = f"{_CONFIGS}:NothingConfig"


@hookimpl
def pluto_register_sources() -> list[Component]:
    """Return the source."""
    return [
        Component(
            "fake",
            factory=f"{_FAKES}:make_source",
            config=f"{_CONFIGS}:FakeSourceConfig",
            summary="Scenes made in memory, for tests.",
        )
    ]


@hookimpl
def pluto_register_features() -> list[Component]:
    """Return the feature builder."""
    return [
        Component(
            "fake",
            factory=f"{_SAMPLES}:make_agents",
            config=f"{_CONFIGS}:FakeAgentsConfig",
            provides="pluto_core.testing.schema:agents",
            summary="Where others are, for tests.",
        )
    ]


@hookimpl
def pluto_register_targets() -> list[Component]:
    """Return the target builder."""
    return [
        Component(
            "fake",
            factory=f"{_SAMPLES}:make_truth",
            config=f"{_CONFIGS}:FakeTruthConfig",
            provides="pluto_core.testing.schema:truth",
            summary="Where the ego vehicle goes, for tests.",
        )
    ]


@hookimpl
def pluto_register_caches() -> list[Component]:
    """Return the store."""
    return [
        Component(
            "fake",
            factory=f"{_FAKES}:make_store",
            config=_NOTHING,
            facts={"shared": False},
            summary="Dicts of this process, for tests.",
        )
    ]


@hookimpl
def pluto_register_splitters() -> list[Component]:
    """Return the splitter."""
    return [Component("fake", factory=f"{_FAKES}:make_splitter", config=_NOTHING, summary="Logs by their names, for tests.")]


@hookimpl
def pluto_register_augmentations() -> list[Component]:
    """Return the augmentation."""
    return [
        Component(
            "fake",
            factory=f"{_SAMPLES}:make_mirror",
            config=_NOTHING,
            requires="pluto_core.testing.schema:mirror",
            summary="A moved and a mirrored variant, for tests.",
        )
    ]


@hookimpl
def pluto_register_workers() -> list[Component]:
    """Return the worker."""
    return [
        Component(
            "fake",
            factory=f"{_FAKES}:make_worker",
            config=_NOTHING,
            facts={"processes": False},
            summary="Here and now, for tests.",
        )
    ]
