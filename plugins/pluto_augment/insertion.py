"""A leading agent, put on the free part of the ego vehicle's path (training spec 6.2)."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pluto_augment import agents
from pluto_augment.config import ContrastiveConfig
from pluto_core.geometry import rotation
from pluto_core.samples import Array, Sample

Floats = npt.NDArray[np.float64]

STANDING_MPS = 0.1
"""Below this speed a copied agent is not sped up."""
VEHICLE = 1


def with_leader(sample: Mapping[str, Array], rng: np.random.Generator, config: ContrastiveConfig) -> Sample:
    """Return the sample with one more agent: a slower copy of another agent, or of the ego vehicle, on its free path.

    Args:
        sample: With at least one point in `causal/free_path_points` and one agent besides the ego vehicle.
        rng: Draws the point, the speed and the size.
        config: Of the generator.
    """
    present = config.history_steps - 1
    points = sample["causal/free_path_points"]
    pose = points[rng.integers(len(points))].astype(np.float64)
    speeds = np.hypot(*sample["agent/velocity"][:, present].astype(np.float64).T)
    copied = _most_alike(speeds, config.similar_speed_mps)
    scale = float(speeds[0] / speeds[copied]) if speeds[copied] >= STANDING_MPS else 1.0
    row = _moved(sample, copied, present, pose, scale * rng.uniform(*config.speed_share))
    factors = (len(row["agent/heading"]), 2) if config.parity else (2,)
    row["agent/shape"] = sample["agent/shape"][copied] * rng.uniform(*config.size_factor, size=factors)
    row["agent/category"] = np.asarray(sample["agent/category"][copied] if copied else VEHICLE)
    row["agent/valid_mask"] = sample["agent/valid_mask"][copied]
    if not config.parity:
        for key in ("agent/position", "agent/heading", "agent/velocity", "agent/shape"):
            row[key][~row["agent/valid_mask"]] = 0.0
        row["agent/target"][~row["agent/valid_mask"][present + 1 :]] = 0.0
    return agents.joined(sample, row | _causal(sample, pose, row["agent/shape"][present], config))


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
