"""The augmentation `agent_dropout`: some agents are left out."""

from collections.abc import Mapping

import numpy as np

from pluto_augment import agents, needs
from pluto_augment.config import AgentDropoutConfig
from pluto_augment.schedules import ramp
from pluto_core.arrays import SampleSpec
from pluto_core.component import Context
from pluto_core.samples import Array, Sample

ANCHOR = "anchor"
NAME = "agent_dropout"


def make(config: AgentDropoutConfig, _context: Context) -> "AgentDropout":
    """Return the augmentation of an experiment."""
    return AgentDropout(config)


class AgentDropout:
    """Leaves each agent out with the same chance; the sample itself is varied, there are no copies."""

    def __init__(self, config: AgentDropoutConfig) -> None:
        """Take the settings."""
        self.config = config

    def output_spec(self, spec: SampleSpec) -> Mapping[str, SampleSpec]:
        """Return the input's arrays.

        Raises:
            PlutoError: There are no agents, or arrays elsewhere count them too.
        """
        needs.refuse_missing(NAME, needs.agent_dropout(self.config).keys, spec)
        agents.refuse_others(NAME, spec, self.config.group)
        return {ANCHOR: spec}

    def augment(self, sample: Mapping[str, Array], rng: np.random.Generator, epoch: int) -> Mapping[str, Sample | None]:
        """Return the sample with fewer agents, or as it is where it was not drawn."""
        config = self.config
        if rng.random() >= ramp(config.probability, config.final_probability, config, epoch):
            return {ANCHOR: dict(sample)}
        stays = rng.random(len(sample[f"{config.group}/valid_mask"])) >= config.rate
        stays[: config.keep_first] = True
        return {ANCHOR: dict(sample) if stays.all() else agents.kept(sample, stays, config.group)}
