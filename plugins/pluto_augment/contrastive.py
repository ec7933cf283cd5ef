"""PLUTO's contrastive scenario generator (training spec section 6): anchor, positive and negative of every sample."""

from collections.abc import Callable, Mapping

import attrs
import numpy as np

from pluto_augment import agents, cost_maps, frames, needs
from pluto_augment.config import ContrastiveConfig
from pluto_augment.negatives import negative
from pluto_augment.positives import begun
from pluto_augment.schedules import ramp
from pluto_core.arrays import SampleSpec
from pluto_core.component import Context
from pluto_core.samples import Array, Sample

ANCHOR, POSITIVE, NEGATIVE = "anchor", "positive", "negative"
NAME = "contrastive"


def make(config: ContrastiveConfig, _context: Context) -> "Contrastive":
    """Return the augmentation of an experiment."""
    return Contrastive(config)


class Contrastive:
    """Makes of a sample a positive, which the expert's plan still suits, and a negative, which it does not.

    The anchor is the sample itself with the middle of its cost map. A copy in which nothing could be changed is None.
    """

    late = frames.COST_MAPS
    """What `begin` leaves to be computed."""

    def __init__(self, config: ContrastiveConfig) -> None:
        """Take the settings."""
        self.config = config
        self.roles = (ANCHOR, POSITIVE, NEGATIVE) if config.use_negative_sample else (ANCHOR, POSITIVE)

    def output_spec(self, spec: SampleSpec) -> Mapping[str, SampleSpec]:
        """Return the roles, each with the input's arrays and cropped cost maps.

        Raises:
            PlutoError: An array is missing, cannot be moved with the ego vehicle, or has another number of past steps.
        """
        needs.refuse_missing(NAME, needs.contrastive(self.config).keys, spec)
        needs.refuse_other_steps(NAME, self.config.history_steps, spec)
        frames.refuse_unknown(NAME, spec)
        agents.refuse_others(NAME, spec)
        varied = dict(spec)
        for key in frames.COST_MAPS:
            if key in spec:
                rows, columns = (min(int(size), self.config.crop_px) for size in spec[key].dims[:2])
                varied[key] = attrs.evolve(spec[key], dims=(rows, columns, 1))
        return dict.fromkeys(self.roles, varied)

    def augment(self, sample: Mapping[str, Array], rng: np.random.Generator, epoch: int) -> Mapping[str, Sample | None]:
        """Return the sample of every role; None for a copy that could not be made, or was not drawn."""
        roles, finish = self.begin(sample, rng, epoch)
        finish()
        return roles

    def begin(
        self, sample: Mapping[str, Array], rng: np.random.Generator, epoch: int
    ) -> tuple[Mapping[str, Sample | None], Callable[[], object]]:
        """Return what `augment` does, where the positive's cost map holds nothing yet, and what computes it."""
        config = self.config
        anchor = {**sample, **cost_maps.cropped(sample, config.crop_px)}
        roles: dict[str, Sample | None] = dict.fromkeys(self.roles)
        roles[ANCHOR] = anchor
        if rng.random() >= ramp(config.probability, config.final_probability, config, epoch):
            return roles, bool
        roles[POSITIVE], finish = begun(sample, rng, config)
        if config.use_negative_sample:
            roles[NEGATIVE] = negative(anchor, rng, config)
        return roles, finish
