"""Positives: scenes in which the expert's answer is still right (training spec 6.1)."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pluto_augment import agents, cost_maps, frames
from pluto_augment.config import ContrastiveConfig
from pluto_augment.overlaps import touches
from pluto_core.samples import Array, Sample

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

VELOCITY = 3
"""Index of the velocity in the state."""
PARITY_AGENTS = 10
"""How many of the nearest agents the reference looks at for collisions."""


def positive(sample: Mapping[str, Array], rng: np.random.Generator, config: ContrastiveConfig) -> Sample | None:
    """Return the sample with the ego vehicle in a slightly different state, and perhaps without agents that do not matter.

    None where neither could be done. The expert's path stays where it is, so that its target leads back to it.
    """
    state = perturbed(sample, rng, config)
    rows = remaining(sample, rng, config)
    if state is None and rows is None:
        return None
    varied = dict(sample) if rows is None else agents.kept(sample, rows)
    if state is None:
        return varied | cost_maps.cropped(sample, config.crop_px)
    parity = config.parity
    varied = frames.seen_from(varied, state, config.history_steps - 1, parity=parity)
    return varied | cost_maps.moved(sample, state[:3], config.crop_px, config.cost_map_resolution_m, parity=parity)


def perturbed(sample: Mapping[str, Array], rng: np.random.Generator, config: ContrastiveConfig) -> Floats | None:
    """Return a (7,) state near the present one in which the ego vehicle touches nothing, None where none was found.

    One change is drawn, and halved until it fits. In parity the smallest one is taken even where it does not (T-9), and only
    the nearest agents are looked at, and no static objects.
    """
    noise = rng.uniform(config.low, config.high).astype(np.float32).astype(np.float64)
    present = sample["current_state"].astype(np.float64)
    boxes = _obstacles(sample, config)
    size = sample["agent/shape"][0, config.history_steps - 1].astype(np.float64)
    state: Floats = present
    for attempt in range(config.attempts):
        state = present + noise / 2**attempt
        state[VELOCITY] = max(state[VELOCITY], 0.0)
        forward = np.array([np.cos(state[2]), np.sin(state[2])])
        if not touches(state[:2] + config.center_from_rear_axle_m * forward, float(state[2]), size, *boxes).any():
            return state
    return state if config.parity else None


def _obstacles(sample: Mapping[str, Array], config: ContrastiveConfig) -> tuple[Floats, Floats, Floats]:
    """Return center (n, 2), heading (n,) and size (n, 2) of what the ego vehicle must not touch in the present step."""
    now, last = config.history_steps - 1, PARITY_AGENTS + 1 if config.parity else None
    seen = sample["agent/valid_mask"][1:last, now]
    boxes = [sample[f"agent/{name}"][1:last, now][seen] for name in ("position", "heading", "shape")]
    if not config.parity and "static_objects/position" in sample:
        there = sample["static_objects/valid_mask"]
        static = (sample[f"static_objects/{name}"][there] for name in ("position", "heading", "shape"))
        boxes = [np.concatenate(pair) for pair in zip(boxes, static, strict=True)]
    center, heading, size = (np.asarray(array, np.float64) for array in boxes)
    return center, heading, size


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
