"""Static objects: cones, barriers, signs and others that stand on drivable ground."""

import numpy as np
import numpy.typing as npt

from pluto_core.samples import Sample
from pluto_core.scene import Category, Scene
from pluto_planner.features import boxes
from pluto_planner.features.drivable import Drivable
from pluto_planner.features.ego import Present

Ints = npt.NDArray[np.int64]

ORDER = (Category.CZONE_SIGN, Category.BARRIER, Category.TRAFFIC_CONE, Category.GENERIC_OBJECT)
"""Category codes of the features are positions in this order."""
_CODE = np.full(len(Category), -1)
_CODE[list(ORDER)] = np.arange(len(ORDER))


def select(scene: Scene, now: Present, drivable: Drivable, radius_m: float, limit: int | None) -> Ints:
    """Return the static objects within a radius that touch drivable ground, by feature category, then in the source's order."""
    found = scene.static_objects
    distance = np.hypot(*(found.position - now.center).T)
    rows = np.flatnonzero(distance <= radius_m)
    rows = rows[drivable.touches(boxes.polygons(found.position[rows], found.heading[rows], found.size[rows]))]
    if limit is not None:
        rows = rows[np.argsort(distance[rows], kind="stable")[:limit]]
        rows.sort()
    return rows[np.argsort(_CODE[found.category[rows]], kind="stable")]


def build(scene: Scene, rows: Ints) -> Sample:
    """Return the `static_objects/` arrays of some static objects, in the global frame."""
    found = scene.static_objects
    return {
        "static_objects/position": found.position[rows],
        "static_objects/heading": found.heading[rows],
        "static_objects/shape": found.size[rows],
        "static_objects/category": _CODE[found.category[rows]].astype(np.float64),
        "static_objects/valid_mask": np.ones(len(rows), np.bool_),
    }
