"""What the augmentation plugin offers."""

from collections.abc import Iterable

from pluto_augment import checks
from pluto_core import Component, hookimpl
from pluto_core.errors import Mistake
from pluto_core.moments import ExperimentView


@hookimpl
def pluto_register_augmentations() -> list[Component]:
    """Return the augmentations."""
    return [
        Component(
            "contrastive",
            factory="pluto_augment.contrastive:make",
            config="pluto_augment.config:ContrastiveConfig",
            requires="pluto_augment.needs:contrastive",
            summary="PLUTO's contrastive scenarios: of every sample a positive and a negative.",
        ),
        Component(
            "ego_noise",
            factory="pluto_augment.ego_noise:make",
            config="pluto_augment.config:EgoNoiseConfig",
            requires="pluto_augment.needs:ego_noise",
            summary="The ego vehicle beside where it was, Gaussian or uniform; its expert leads back.",
        ),
        Component(
            "agent_dropout",
            factory="pluto_augment.agent_dropout:make",
            config="pluto_augment.config:AgentDropoutConfig",
            requires="pluto_augment.needs:agent_dropout",
            summary="Agents left out by chance.",
        ),
    ]


@hookimpl
def pluto_check_experiment(experiment: ExperimentView) -> Iterable[Mistake]:
    """Return what an experiment asks of augmentations and cannot have."""
    return checks.mistakes(experiment)
