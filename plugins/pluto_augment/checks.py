"""What cannot work in an experiment, seen before it runs: no triplets to contrast, features of other sizes. No numpy here."""

from collections.abc import Iterator

from pluto_augment.config import ContrastiveConfig, EgoNoiseConfig
from pluto_core.errors import Mistake
from pluto_core.moments import ExperimentView

_FEATURES = "pluto"


def mistakes(experiment: ExperimentView) -> Iterator[Mistake]:
    """Yield what is wrong."""
    yield from _nothing_to_contrast(experiment)
    yield from _other_features(experiment)


def _nothing_to_contrast(experiment: ExperimentView) -> Iterator[Mistake]:
    """The objective `pluto` contrasts triplets, and would quietly do nothing without them."""
    chosen = experiment.selected("augmentations")
    ours = [one.config for one in chosen if isinstance(one.config, ContrastiveConfig)]
    if len(ours) < len(chosen) or any(config.use_negative_sample for config in ours):
        return  # others may give negatives, too
    for objective in experiment.selected("objective"):
        if objective.use == _FEATURES and getattr(objective.config, "contrast", False) and "train" in experiment.steps:
            cure = "set use_negative_sample = true in its table" if ours else 'add [[augmentations]] use = "contrastive"'
            yield Mistake(objective.where, "objective.contrast", f"no augmentation gives negatives to contrast; {cure}")


def _other_features(experiment: ExperimentView) -> Iterator[Mistake]:
    """Steps and pixels of the features `pluto` are told to augmentations by hand."""
    for features in experiment.selected("features"):
        if features.use != _FEATURES:
            continue
        told = {
            "history_steps": features.config.history_steps + 1,
            "cost_map_resolution_m": features.config.cost_map_resolution_m,
        }
        for one in experiment.selected("augmentations"):
            if isinstance(one.config, ContrastiveConfig | EgoNoiseConfig):
                for key, value in told.items():
                    if getattr(one.config, key) != value:
                        problem = f"the features have {value:g}, not {getattr(one.config, key):g}; write {key} = {value:g}"
                        yield Mistake(one.where, f"augmentations.{key}", problem)
