"""The augmentation `ego_noise`: the ego vehicle is put beside where it was, and its expert leads back.

After nuPlan's augmentors `simple_agent` and `gaussian_smooth_agent`; those that solve a smoothing problem are not here.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pluto_augment import collisions, cost_maps, frames, needs
from pluto_augment.config import EgoNoiseConfig
from pluto_augment.schedules import ramp
from pluto_core.arrays import SampleSpec
from pluto_core.component import Context
from pluto_core.samples import Array, Sample

Floats = npt.NDArray[np.float64]

ANCHOR = "anchor"
NAME = "ego_noise"


def make(config: EgoNoiseConfig, _context: Context) -> "EgoNoise":
    """Return the augmentation of an experiment."""
    return EgoNoise(config)


class EgoNoise:
    """Moves the ego vehicle at time zero to a pose nearby that touches nothing, and everything into its frame.

    The sample itself is varied, there are no copies.
    """

    def __init__(self, config: EgoNoiseConfig) -> None:
        """Take the settings."""
        self.config = config

    def output_spec(self, spec: SampleSpec) -> Mapping[str, SampleSpec]:
        """Return the input's arrays.

        Raises:
            PlutoError: An array is missing, cannot be moved with the ego vehicle, or has another number of past steps.
        """
        needs.refuse_missing(NAME, needs.ego_noise(self.config).keys, spec)
        needs.refuse_other_steps(NAME, self.config.history_steps, spec)
        frames.refuse_unknown(NAME, spec)
        return {ANCHOR: spec}

    def augment(self, sample: Mapping[str, Array], rng: np.random.Generator, epoch: int) -> Mapping[str, Sample | None]:
        """Return the sample of the new pose, or as it is where it was not drawn or every change collides."""
        config, present = self.config, self.config.history_steps - 1
        if rng.random() >= ramp(config.probability, config.final_probability, config, epoch):
            return {ANCHOR: dict(sample)}
        noise = np.zeros(len(sample["current_state"]))
        noise[:3] = self._draw(rng) * ramp(1.0, config.final_scale, config, epoch)
        footprint = collisions.Footprint.of(sample, present, config.center_from_rear_axle_m)
        obstacles = collisions.obstacles(sample, present)
        state = collisions.fitting(sample["current_state"], noise, footprint, obstacles, config.attempts)
        if state is None:
            return {ANCHOR: dict(sample)}
        varied = frames.seen_from({**sample, **bent(sample, state[:3], config)}, state, present)
        rasters = [len(sample[key]) for key in frames.COST_MAPS if key in sample]
        varied |= cost_maps.moved(sample, state[:3], max(rasters, default=0), config.cost_map_resolution_m)
        return {ANCHOR: varied}

    def _draw(self, rng: np.random.Generator) -> Floats:
        config = self.config
        if config.distribution == "uniform":
            return rng.uniform(config.low, config.high)
        return rng.normal(config.mean, config.std)


def bent(sample: Mapping[str, Array], change: Floats, config: EgoNoiseConfig) -> Sample:
    """Return the agents' positions, headings and velocities with the ego vehicle's past or future bent to a new pose.

    The change fades with the distance in time as a Gaussian does, so that the way has no kink at time zero; velocities
    follow. Only the row of the ego vehicle changes.

    Args:
        sample: In the frame of the old pose.
        change: (3,) of x, y, heading at time zero.
        config: Which sides are bent, and for how long.
    """
    if not config.blend:
        return {}
    steps = np.arange(sample["agent/position"].shape[1]) - (config.history_steps - 1)
    seconds = steps * config.interval_s
    fade = np.exp(-((seconds / config.blend_s) ** 2) / 2)
    sides = {"history": steps <= 0, "future": steps >= 0}
    fade *= np.any([sides[side] for side in config.blend], axis=0) & sample["agent/valid_mask"][0]
    found = {key: sample[key].copy() for key in ("agent/position", "agent/heading", "agent/velocity")}
    found["agent/position"][0] += fade[:, None] * change[:2]
    found["agent/heading"][0] += fade * change[2]
    found["agent/velocity"][0] -= (fade * seconds / config.blend_s**2)[:, None] * change[:2]
    return found
