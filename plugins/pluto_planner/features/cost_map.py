"""Cost map: signed distance to the edge of the free drivable area, on a grid that turns with the ego vehicle.

Spec: pluto-features section 11. Pixel of a point at (x, y) in the ego frame: column x / resolution + size / 2, row
-y / resolution + size / 2, rounded half to even.
"""

from functools import lru_cache

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from pluto_core import geometry
from pluto_core.maps import LANE_LAYERS
from pluto_core.scene import Scene
from pluto_planner.features import boxes
from pluto_planner.features.ego import Present
from pluto_planner.features.map_geometry import MapGeometry

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Raster = npt.NDArray[np.uint8]

# Workers are what runs at a time: threads within a call wait for one another actively and slow down everything else on the
# core. With one thread OpenCV would take distances from Intel's library, which needs a fifth longer.
cv2.setNumThreads(1)
cv2.ipp.setUseIPP(False)

PARKED_S = 5.0
"""An agent seen for at least so long in all ..."""
PARKED_M = 1.0
"""... that ends less than this from where it began is parked."""


@attrs.frozen(kw_only=True)
class Grid:
    """Size and resolution of the raster."""

    size_px: int
    resolution_m: float

    @property
    def reach_m(self) -> float:
        """Return half the raster's side."""
        return self.size_px * self.resolution_m / 2

    def pixels(self, points: Floats, now: Present) -> npt.NDArray[np.int32]:
        """Return the (k, 2) column and row of (k, 2) global points."""
        local = (points - now.position) @ geometry.rotation(now.heading)
        # The reference's resolution is a float32 number.
        scaled = local / float(np.float32(self.resolution_m)) * [1.0, -1.0] + self.size_px / 2
        return np.round(scaled).astype(np.int32)


def drivable_mask(ground: MapGeometry, scene: Scene, agents: Ints, now: Present, grid: Grid, *, parity: bool) -> Raster:
    """Return the (size, size) mask: 1 on lanes and connectors, 0 elsewhere and under static objects and parked agents.

    Args:
        ground: The map.
        scene: The scene.
        agents: Row of the track of each agent of the sample.
        now: The ego vehicle.
        grid: The raster.
        parity: Ask for lanes in the square that does not turn with the raster (D-18), and draw only first parts (D-20).
    """
    mask = np.zeros((grid.size_px, grid.size_px), np.uint8)
    reach = grid.reach_m if parity else grid.reach_m * np.sqrt(2)
    rows = np.concatenate([ground.view.near(layer, now.position, reach) for layer in LANE_LAYERS])
    polygons = ground.view.lanes.polygons
    ring, owner = geometry.spans(polygons.ring_offsets, rows)
    outer = ~polygons.holes[ring]
    if parity:
        outer &= np.append(True, np.diff(owner) > 0)
    vertex, ring_owner = geometry.spans(polygons.rings.offsets, ring[outer])
    pixels = grid.pixels(polygons.rings.points[vertex], now)
    ends = np.flatnonzero(np.diff(ring_owner)) + 1
    for outline in np.split(pixels, ends) if len(pixels) else ():
        cv2.fillPoly(mask, [outline], 1)
    for box in grid.pixels(_occupied(scene, agents, now, grid).reshape(-1, 2), now).reshape(-1, 4, 2):
        cv2.fillConvexPoly(mask, box, 0)
    return mask


def _occupied(scene: Scene, agents: Ints, now: Present, grid: Grid) -> Floats:
    """Return the (k, 4, 2) corners of static objects nearby and of parked agents, global."""
    static, tracks = scene.static_objects, scene.tracks
    near = np.hypot(*(static.position - now.position).T) <= grid.reach_m
    parked = agents[_parked(scene, agents)]
    here = (tracks.position[parked, now.step], tracks.heading[parked, now.step], tracks.size[parked, now.step])
    return np.concatenate([boxes.corners(static.position[near], static.heading[near], static.size[near]), boxes.corners(*here)])


def _parked(scene: Scene, agents: Ints) -> npt.NDArray[np.bool_]:
    valid, position = scene.tracks.valid[agents], scene.tracks.position[agents]
    steps, each = valid.shape[1], np.arange(len(agents))
    first, last = np.argmax(valid, axis=1), steps - 1 - np.argmax(valid[:, ::-1], axis=1)
    moved = np.hypot(*(position[each, last] - position[each, first]).T)
    return np.asarray((valid.sum(axis=1) >= round(PARKED_S / scene.window.interval_s)) & (moved < PARKED_M))


def signed_distance(mask: Raster, resolution_m: float, *, parity: bool = False) -> npt.NDArray[np.float16]:
    """Return the (rows, columns) distance to the nearest cell of the other kind, m: positive where the mask is 1.

    The first cell inside holds one resolution, the first outside minus one. A mask of one kind holds the raster's
    diagonal with that sign (D-17); the reference's library gives the distance to a phantom cell instead.
    """
    if mask.all() or not mask.any():
        return _one_sided(mask, resolution_m, parity=parity)
    rows, columns = _extent(mask.max(axis=1)), _extent(mask.max(axis=0))
    signed = cv2.distanceTransform(1 - mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    np.negative(signed, out=signed)
    # Around the cells inside lie cells outside, so that none beyond them is the nearest to any.
    inside = cv2.distanceTransform(mask[rows, columns], cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    window = signed[rows, columns]
    np.add(window, inside, out=window)  # one of both is 0
    # Squared distances are integers; rounding to them makes the result exact.
    most = mask.shape[0] ** 2 + mask.shape[1] ** 2
    squared = np.rint(signed * np.abs(signed)).astype(np.int32)
    squared += most
    return np.asarray(_signed_roots(most, resolution_m).take(squared))


def _extent(filled: Raster) -> slice:
    """Return the slice from one before the first 1 to one after the last."""
    first, last = int(np.argmax(filled)), len(filled) - int(np.argmax(filled[::-1]))
    return slice(max(first - 1, 0), last + 1)


@lru_cache(maxsize=4)
def _signed_roots(most: int, resolution_m: float) -> npt.NDArray[np.float16]:
    """Return the distance, m, of every squared distance in pixels from -most to most, which lies at index + most."""
    roots = np.asarray(resolution_m * np.sqrt(np.arange(most + 1)), np.float16)
    return np.concatenate([-roots[:0:-1], roots])


def _one_sided(mask: Raster, resolution_m: float, *, parity: bool) -> npt.NDArray[np.float16]:
    sign = 1.0 if mask.all() else -1.0
    if parity:  # the phantom lies one row above the first cell
        row, column = np.indices(mask.shape)
        return np.asarray(sign * resolution_m * np.hypot(row + 1, column), np.float16)
    return np.full(mask.shape, sign * resolution_m * float(np.hypot(*mask.shape)), np.float16)
