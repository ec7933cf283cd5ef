"""A leading agent, put on the free part of the ego vehicle's path (training spec 6.2)."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pluto_augment import agents
from pluto_augment.config import ContrastiveConfig
from pluto_augment.overlaps import touches
from pluto_core.geometry import rotation
from pluto_core.samples import Array, Sample

Floats = npt.NDArray[np.float64]

STANDING_MPS = 0.1
"""Below this speed a copied agent is not sped up."""
VEHICLE = 1


def with_leader(sample: Mapping[str, Array], rng: np.random.Generator, config: ContrastiveConfig) -> Sample | None:
    """Return the sample with one more agent: a slower copy of another agent, or of the ego vehicle, on its free path.

    The path is free for the agents that are there; a copy of a bus may still touch the ego vehicle or a neighbour. None where
    it does at every point that was drawn; the reference does not look (`parity`).

    Args:
        sample: With at least one point in `causal/free_path_points` and one agent besides the ego vehicle.
        rng: Draws the point, the speed and the size.
        config: Of the generator.
    """
    present = config.history_steps - 1
    speeds = np.hypot(*sample["agent/velocity"][:, present].astype(np.float64).T)
    copied = _most_alike(speeds, config.similar_speed_mps)
    scale = float(speeds[0] / speeds[copied]) if speeds[copied] >= STANDING_MPS else 1.0
    share = rng.uniform(*config.speed_share)
    shape = sample["agent/shape"][copied].astype(np.float64)
    shape *= rng.uniform(*config.size_factor, size=shape.shape if config.parity else shape.shape[1:])
    pose = _place(sample, shape[present], rng, config)
    if pose is None:
        return None
    row = _moved(sample, copied, present, pose, scale * share)
    row["agent/shape"] = shape
    row["agent/category"] = np.asarray(sample["agent/category"][copied] if copied else VEHICLE)
    row["agent/valid_mask"] = sample["agent/valid_mask"][copied]
    if not config.parity:
        for key in ("agent/position", "agent/heading", "agent/velocity", "agent/shape"):
            row[key][~row["agent/valid_mask"]] = 0.0
        row["agent/target"][~row["agent/valid_mask"][present + 1 :]] = 0.0
    return agents.joined(sample, row | _causal(sample, pose, shape[present], config))


def _place(sample: Mapping[str, Array], size: Floats, rng: np.random.Generator, config: ContrastiveConfig) -> Floats | None:
    """Return one of the free poses at which a box of a size (2,) touches nobody; None where none of those drawn does."""
    points, present = sample["causal/free_path_points"].astype(np.float64), config.history_steps - 1
    if config.parity:
        return np.asarray(points[rng.integers(len(points))])
    seen = sample["agent/valid_mask"][:, present]
    centers, headings, sizes = (
        sample[f"agent/{name}"][seen, present].astype(np.float64) for name in ("position", "heading", "shape")
    )
    forward = np.array([np.cos(headings[0]), np.sin(headings[0])])
    centers[0] += config.center_from_rear_axle_m * forward
    for pose in rng.permutation(points)[: config.attempts]:
        if not touches(pose[:2], float(pose[2]), size, centers, headings, sizes).any():
            return np.asarray(pose)
    return None


def _most_alike(speeds: Floats, similar_mps: float) -> int:
    """Return the agent whose speed is nearest to the ego vehicle's, the first of equals; 0, the ego, if none is similar."""
    difference = np.abs(speeds[1:] - speeds[0])
    nearest = int(np.argmin(difference))
    return nearest + 1 if difference[nearest] < similar_mps else 0


def _moved(sample: Mapping[str, Array], copied: int, present: int, pose: Floats, scale: float) -> dict[str, Array]:
    """Return an agent's motion, slowed down by `scale`, so that it is at `pose` (x, y, heading) in the present step."""
    position, heading, velocity = (
        sample[f"agent/{name}"][copied].astype(np.float64) for name in ("position", "heading", "velocity")
    )
    turn = rotation(heading[present] - pose[2])
    position = (position - position[present]) * scale @ turn + pose[:2]
    heading = heading - heading[present] + pose[2]
    target = np.column_stack([position - position[present], heading - heading[present]])[present + 1 :]
    return {
        "agent/position": position,
        "agent/heading": heading,
        "agent/velocity": velocity * scale @ turn,
        "agent/target": target,
    }


def _causal(sample: Mapping[str, Array], pose: Floats, size: Floats, config: ContrastiveConfig) -> Sample:
    """Return the causal keys of a leader: how far its rear is from the ego vehicle's front along the straight between both."""
    front = config.center_from_rear_axle_m + float(sample["agent/shape"][0, config.history_steps - 1, 1]) / 2
    gap = float(np.hypot(*pose[:2])) - front - float(size[1]) / 2
    values = {
        "causal/leading_agent_mask": True,
        "causal/leading_distance": max(gap, 0.0),
        "causal/interaction_label": 0.0,
    }
    return {key: np.asarray(value) for key, value in values.items()}
