"""Positives: scenes in which the expert's answer is still right (training spec 6.1)."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from pluto_augment import agents, collisions, cost_maps, frames
from pluto_augment.config import ContrastiveConfig
from pluto_core.samples import Array, Sample

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def positive(sample: Mapping[str, Array], rng: np.random.Generator, config: ContrastiveConfig) -> Sample | None:
    """Return the sample with the ego vehicle in a slightly different state, and perhaps without agents that do not matter.

    None where neither could be done. The expert's path stays where it is, so that its target leads back to it.
    """
    varied, finish = begun(sample, rng, config)
    finish()
    return varied


def begun(
    sample: Mapping[str, Array], rng: np.random.Generator, config: ContrastiveConfig
) -> tuple[Sample | None, Callable[[], object]]:
    """Return what `positive` does, with cost maps that hold nothing yet, and what computes them (`bool`: all is there)."""
    state = perturbed(sample, rng, config)
    rows = remaining(sample, rng, config)
    if state is None and rows is None:
        return None, bool
    varied = dict(sample) if rows is None else agents.kept(sample, rows)
    if state is None:
        return varied | cost_maps.cropped(sample, config.crop_px), bool
    parity = config.parity
    varied = frames.seen_from(varied, state, config.history_steps - 1, parity=parity)
    maps, finish = cost_maps.moving(sample, state[:3], config.crop_px, config.cost_map_resolution_m, parity=parity)
    return varied | maps, finish


def perturbed(sample: Mapping[str, Array], rng: np.random.Generator, config: ContrastiveConfig) -> Floats | None:
    """Return a (7,) state near the present one in which the ego vehicle touches nothing, None where none was found.

    In parity the smallest change is taken even where it touches something (T-9), and only the nearest agents are looked at,
    and no static objects.
    """
    low, high = np.asarray(config.low), np.asarray(config.high)
    noise = low + (high - low) * rng.random(len(low))  # the numbers of rng.uniform, which takes longer for so few
    noise = noise.astype(np.float32).astype(np.float64)
    present = config.history_steps - 1
    boxes = collisions.obstacles(sample, present, parity=config.parity)
    footprint = collisions.Footprint.of(sample, present, config.center_from_rear_axle_m)
    state = collisions.fitting(sample["current_state"], noise, footprint, boxes, config.attempts)
    if state is None and config.parity:
        return collisions.shifted(sample["current_state"], noise / 2 ** (config.attempts - 1))
    return state


def remaining(sample: Mapping[str, Array], rng: np.random.Generator, config: ContrastiveConfig) -> Mask | None:
    """Return the mask (A,) of agents that stay when some that do not interact are left out; None where all stay."""
    if rng.random() >= config.agent_dropout:
        return None
    aloof = sample["causal/interaction_label"] <= 0
    if np.count_nonzero(aloof) <= 1:
        return None
    aloof &= ~sample["causal/leading_agent_mask"]
    aloof[0] = False
    share = rng.uniform(*config.dropout_share)
    stays = ~(aloof & (rng.random(len(aloof)) <= share))
    return None if stays.all() else stays
