"""Cost maps: cropped, and moved with the ego vehicle.

Pixel of a point at (x, y) in the ego frame: column x / resolution + size / 2, row -y / resolution + size / 2.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from pluto_augment.frames import COST_MAPS
from pluto_core.samples import Array, Sample

Floats = npt.NDArray[np.float64]
Raster = npt.NDArray[np.float32]

OUTSIDE_M = -200.0
"""Distance where the map has not been."""
_NOTHING = np.zeros(4)
"""Zero, as OpenCV's arithmetic takes numbers."""
_HAS_HALVES = int(cv2.__version__.partition(".")[0]) >= 5  # noqa: PLR2004 -- OpenCV 4 cannot compute with half precision


def cropped(sample: Mapping[str, Array], size_px: int) -> Sample:
    """Return the cost maps' middles, as views: `size_px` rows and columns, or all where there are fewer."""
    return {key: _middle(sample[key], size_px) for key in COST_MAPS if key in sample}


def moved(sample: Mapping[str, Array], pose: Floats, size_px: int, resolution_m: float, *, parity: bool = False) -> Sample:
    """Return the middles of the cost maps as seen from a pose (x, y, heading) in their frame.

    Values between cells are interpolated once; the reference interpolates after the shift and again after the turn (`parity`).
    """
    seen, finish = moving(sample, pose, size_px, resolution_m, parity=parity)
    finish()
    return seen


def moving(
    sample: Mapping[str, Array], pose: Floats, size_px: int, resolution_m: float, *, parity: bool = False
) -> tuple[Sample, Callable[[], None]]:
    """Return what `moved` does, in arrays that hold nothing yet, and what computes them."""
    pose = np.array(pose, np.float64)
    maps = [(key, sample[key]) for key in COST_MAPS if key in sample]
    sides = [min(size_px, *array.shape[:2]) for _, array in maps]
    seen = {key: np.empty((side, side, 1), array.dtype) for (key, array), side in zip(maps, sides, strict=True)}

    def finish() -> None:
        way = _in_two_steps if parity else _at_once
        for key, array in maps:
            outside = 0.0 if array.dtype == np.bool_ else OUTSIDE_M
            _write(way(_single(array[..., 0]), pose, len(seen[key]), resolution_m, outside), seen[key][..., 0])

    return seen, finish


def _middle(array: Array, size_px: int) -> Array:
    rows, columns = ((size - size_px) // 2 if size > size_px else 0 for size in array.shape[:2])
    return array[rows : rows + size_px, columns : columns + size_px]


def _single(array: Array) -> Raster:
    """Return float32; half precision by OpenCV's arithmetic where it has that, in an eighth of the time of numpy's own way."""
    if array.dtype != np.float16:
        return array.astype(np.float32)
    if _HAS_HALVES:
        return np.asarray(cv2.subtract(array, _NOTHING, dtype=cv2.CV_32F), np.float32)
    return np.asarray(_every_half().take(np.ascontiguousarray(array).view(np.uint16)))


def _write(raster: Raster, target: Array) -> None:
    """Write a raster as another dtype; half precision by OpenCV's scaling, by 1 here, in a tenth of numpy's own time."""
    if target.dtype == np.bool_:
        np.greater_equal(raster, 0.5, out=target)
        return
    greatest = cv2.norm(raster, cv2.NORM_INF) if target.dtype == np.float16 else 0.0
    if 0.0 < greatest < np.inf:
        cv2.normalize(raster, target, greatest, norm_type=cv2.NORM_INF, dtype=cv2.CV_16F)
    else:
        target[...] = raster


@lru_cache(maxsize=1)
def _every_half() -> Raster:
    return np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)


def _at_once(raster: Raster, pose: Floats, size_px: int, resolution_m: float, outside: float) -> Raster:
    """Return the map by one transform from pixels of the new middle to pixels of the old map."""
    cos, sin = np.cos(pose[2]), np.sin(pose[2])
    turn = np.array([[cos, sin], [-sin, cos]])
    center = np.array(raster.shape[::-1]) / 2
    first = np.array([(side - size_px) // 2 for side in raster.shape[::-1]])
    shift = center + pose[:2] / resolution_m * [1.0, -1.0] + turn @ (first - center)
    return _warped(raster, np.array([[cos, sin, shift[0]], [-sin, cos, shift[1]]]), size_px, outside)


def _in_two_steps(raster: Raster, pose: Floats, size_px: int, resolution_m: float, outside: float) -> Raster:
    size = raster.shape[0]
    shift = np.array([[1.0, 0.0, pose[0] / resolution_m], [0.0, 1.0, -pose[1] / resolution_m]])
    shifted = _warped(raster, shift, size, outside)
    return _at_once(shifted, np.array([0.0, 0.0, pose[2]]), size_px, resolution_m, outside)


def _warped(raster: Raster, matrix: Floats, size_px: int, outside: float) -> Raster:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (size_px, size_px)
    warped = cv2.warpAffine(raster, matrix, size, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=outside)
    return np.asarray(warped, np.float32)
