"""Where the ego vehicle may be put: states near the present one in which it touches nothing."""

from collections.abc import Mapping

import attrs
import numpy as np
import numpy.typing as npt

from pluto_augment.overlaps import touches
from pluto_core.samples import Array

Floats = npt.NDArray[np.float64]
Boxes = tuple[Floats, Floats, Floats]
"""Center (n, 2) m, heading (n,) rad, width and length (n, 2) m."""

VELOCITY = 3
"""Index of the velocity in the state."""
PARITY_AGENTS = 10
"""How many of the nearest agents the reference looks at."""


@attrs.frozen(eq=False)
class Footprint:
    """The ego vehicle's box about its rear axle."""

    size: Floats
    """(2,) width and length, m."""
    center_m: float
    """From the rear axle to the middle."""

    @classmethod
    def of(cls, sample: Mapping[str, Array], present: int, center_m: float) -> "Footprint":
        """Return the box that a sample gives the ego vehicle at time zero."""
        return cls(sample["agent/shape"][0, present].astype(np.float64), center_m)

    def touches(self, pose: Floats, boxes: Boxes) -> bool:
        """Return whether the box meets another one when the rear axle is at a pose (x, y, heading)."""
        forward = np.array([np.cos(pose[2]), np.sin(pose[2])])
        return bool(touches(pose[:2] + self.center_m * forward, float(pose[2]), self.size, *boxes).any())


def obstacles(sample: Mapping[str, Array], present: int, *, parity: bool = False) -> Boxes:
    """Return what the ego vehicle must not touch at time zero: agents and static objects; in parity the nearest agents."""
    last = PARITY_AGENTS + 1 if parity else None
    seen = sample["agent/valid_mask"][1:last, present]
    boxes = [sample[f"agent/{name}"][1:last, present][seen] for name in ("position", "heading", "shape")]
    if not parity and "static_objects/position" in sample:
        there = sample["static_objects/valid_mask"]
        static = (sample[f"static_objects/{name}"][there] for name in ("position", "heading", "shape"))
        boxes = [np.concatenate(pair) for pair in zip(boxes, static, strict=True)]
    center, heading, size = (np.asarray(array, np.float64) for array in boxes)
    return center, heading, size


def fitting(current: Array, noise: Floats, footprint: Footprint, boxes: Boxes, attempts: int) -> Floats | None:
    """Return the state (7,) after the largest of a change, its half, its quarter and so on that touches nothing, or None."""
    for attempt in range(attempts):
        state = shifted(current, noise / 2**attempt)
        if not footprint.touches(state[:3], boxes):
            return state
    return None


def shifted(current: Array, noise: Floats) -> Floats:
    """Return the state (7,) after a change; velocities do not become negative."""
    state = np.add(current, noise, dtype=np.float64)
    state[VELOCITY] = max(state[VELOCITY], 0.0)
    return np.asarray(state)
