"""A plugin of a small model, its objective and a plain trainer, each called `fake`, for tests without large parts.

plugins = ["pluto_core.testing.plugin", "pluto_lightning.testing.plugin"]

[model]
use = "fake"
"""

from pluto_core import Component, hookimpl

_CONFIGS = "pluto_lightning.testing.config"


@hookimpl
def pluto_register_models() -> list[Component]:
    """Return the model."""
    return [
        Component(
            "fake",
            factory="pluto_lightning.testing.fakes:make_model",
            config=f"{_CONFIGS}:FakeModelConfig",
            requires="pluto_lightning.testing.needs:fake",
            summary="Looks at the mean of all agents, for tests.",
        )
    ]


@hookimpl
def pluto_register_objectives() -> list[Component]:
    """Return the objective."""
    return [
        Component(
            "fake",
            factory="pluto_lightning.testing.fakes:make_objective",
            config=f"{_CONFIGS}:FakeObjectiveConfig",
            summary="The best mode's distance, for tests.",
        )
    ]


@hookimpl
def pluto_register_trainers() -> list[Component]:
    """Return the trainer."""
    return [
        Component(
            "fake",
            factory="pluto_lightning.testing.fake_trainer:make",
            config=f"{_CONFIGS}:FakeTrainerConfig",
            summary="A loop over epochs and batches, for tests.",
        )
    ]
