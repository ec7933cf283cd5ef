"""What the augmentation plugin offers."""

from pluto_core import Component, hookimpl


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
        )
    ]
