"""Oriented boxes: corners and polygons."""

from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

Floats = npt.NDArray[np.float64]


def corners(center: Floats, heading: Floats, size: Floats) -> Floats:
    """Return the (n, 4, 2) corners of boxes: front left, rear left, rear right, front right.

    Args:
        center: (n, 2) m.
        heading: (n,) rad.
        size: (n, 2) width and length, m.
    """
    cos, sin = np.cos(heading), np.sin(heading)
    along = np.stack([cos, sin], axis=-1) * (size[:, 1, None] / 2)
    aside = np.stack([-sin, cos], axis=-1) * (size[:, 0, None] / 2)
    return np.stack([center + along + aside, center - along + aside, center - along - aside, center + along - aside], axis=1)


def polygons(center: Floats, heading: Floats, size: Floats) -> npt.NDArray[Any]:
    """Return boxes as (n,) shapely polygons; arguments as for `corners`."""
    if len(center) == 0:
        return np.zeros(0, dtype=object)
    return np.asarray(shapely.polygons(corners(center, heading, size)))
