"""Whether boxes touch, by the separating axes of rectangles."""

import numpy as np
import numpy.typing as npt

from pluto_planner.features.boxes import corners

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_MARGIN_M = 1e-6
"""By how much circles around boxes that touch may miss one another, for want of digits."""


def touches(center: Floats, heading: float, size: Floats, centers: Floats, headings: Floats, sizes: Floats) -> Mask:
    """Return which of n boxes share a point with one box; contact of edges counts.

    Args:
        center: (2,) of the one box, m.
        heading: Of the one box, rad.
        size: (2,) width and length of the one box, m.
        centers: (n, 2) m.
        headings: (n,) rad.
        sizes: (n, 2) width and length, m.
    """
    reach_m = (np.hypot(size[0], size[1]) + np.hypot(sizes[:, 0], sizes[:, 1])) / 2 + _MARGIN_M
    near = np.hypot(centers[:, 0] - center[0], centers[:, 1] - center[1]) <= reach_m
    if near.any():
        near[near] = _meet(center, heading, size, centers[near], headings[near], sizes[near])
    return np.asarray(near)


def _meet(center: Floats, heading: float, size: Floats, centers: Floats, headings: Floats, sizes: Floats) -> Mask:
    """Return the same of boxes that may touch."""
    mine = corners(center[None], np.array([heading]), size[None])[0]
    theirs = corners(centers, headings, sizes)
    angles = np.stack([np.full_like(headings, heading), headings], axis=1)
    along = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    aside = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    axes = np.concatenate([along, aside], axis=1)
    first = axes @ mine.T
    second = axes @ theirs.swapaxes(1, 2)
    meets = (first.max(axis=2) >= second.min(axis=2)) & (second.max(axis=2) >= first.min(axis=2))
    return np.asarray(meets.all(axis=1))
