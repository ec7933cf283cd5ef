"""Normalisation: from the global frame into the ego frame, and the targets that follow from it.

Spec: pluto-features section 13. Augmentations call it again on samples in which they moved the ego vehicle.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pluto_core.geometry import rotation
from pluto_core.samples import Array, Sample

Floats = npt.NDArray[np.float64]

POSITIONS = (
    "agent/position",
    "static_objects/position",
    "map/point_position",
    "map/polygon_position",
    "reference_line/position",
)
VECTORS = ("agent/velocity", "map/point_vector", "reference_line/vector")
ANGLES = (
    "agent/heading",
    "static_objects/heading",
    "map/point_orientation",
    "map/polygon_orientation",
    "reference_line/orientation",
)
POSES = ("map/polygon_center", "causal/free_path_points")
"""Arrays of x, y, heading."""


def normalise(sample: Mapping[str, Array]) -> Sample:
    """Return the sample in the frame of its `current_state`, with `agent/target` made anew.

    Angles are not wrapped. Arrays that do not change are the sample's own; the sample itself is left as it is.
    """
    origin, angle = np.array(sample["current_state"][:2]), float(sample["current_state"][2])
    turn = rotation(angle)
    turned: Sample = dict(sample)
    for key in POSITIONS:
        if key in sample:
            turned[key] = _turned(_less(sample[key], origin), turn)
    for key in VECTORS:
        if key in sample:
            turned[key] = _turned(sample[key], turn)
    for key in ANGLES:
        if key in sample:
            turned[key] = sample[key] - angle
    for key in POSES:
        if key in sample:
            poses = sample[key]
            turned[key] = np.concatenate([(poses[..., :2] - origin) @ turn, poses[..., 2:] - angle], axis=-1)
    turned["current_state"] = np.concatenate([np.zeros(3), sample["current_state"][3:]])
    if "agent/target" in sample:
        turned["agent/target"] = targets(turned, sample["agent/target"].shape[1])
    return turned


def _less(points: Array, origin: Floats) -> Floats:
    """Return (..., 2) points less an origin, column by column: numpy takes ten times as long along an axis of two."""
    moved = np.array(points, np.float64, order="C")
    moved[..., 0] -= origin[0]
    moved[..., 1] -= origin[1]
    return moved


def _turned(points: Floats, turn: Floats) -> Floats:
    """Return (..., 2) points times a matrix, as one product: numpy multiplies stacks of matrices one by one."""
    return np.asarray((points.reshape(-1, 2) @ turn).reshape(points.shape))


def targets(sample: Mapping[str, Array], future_steps: int) -> Floats:
    """Return (A, future steps, 3) displacement and turn of every agent since time zero, 0 where it is not known."""
    position, heading, valid = sample["agent/position"], sample["agent/heading"], sample["agent/valid_mask"]
    now = position.shape[1] - 1 - future_steps
    target = np.empty((len(position), future_steps, 3), np.result_type(position, heading))
    for axis, path in enumerate((position[..., 0], position[..., 1], heading)):
        np.subtract(path[:, now + 1 :], path[:, now, None], out=target[..., axis])
    _clear(target, ~valid[:, now + 1 :])
    return np.asarray(target)


def _clear(array: Array, gone: npt.NDArray[np.bool_]) -> None:
    """Write zeros where a mask over the leading axes says so, column by column: numpy takes ten times as long for rows."""
    columns = [array] if array.ndim == gone.ndim else [array[..., column] for column in range(array.shape[-1])]
    for column in columns:
        column[gone] = 0.0


def within_radius(sample: Mapping[str, Array], radius_m: float) -> Sample:
    """Return a normalised sample without the polygons whose centre line has no point inside the radius.

    A point is inside where both of its coordinates are (spec 7.4); `map/valid_mask` says which are.
    """
    inside = np.asarray((np.abs(sample["map/point_position"][:, 0]) < radius_m).all(axis=-1))
    kept = np.asarray(inside.any(axis=-1))
    filtered: Sample = dict(sample)
    filtered["map/valid_mask"] = inside
    for key in filtered:
        if key.startswith("map/") or key == "causal/ego_care_red_light_mask":
            filtered[key] = filtered[key][kept]
    return filtered


def without_padding(sample: Mapping[str, Array]) -> Sample:
    """Return a normalised sample with zeros where its masks say that there is nothing (X-5).

    The reference leaves the far-away origin of the global frame there, which float16 cannot hold.
    """
    cleared: Sample = dict(sample)
    for group, mask in (("agent", "agent/valid_mask"), ("reference_line", "reference_line/valid_mask")):
        if mask not in sample:
            continue
        for name in ("position", "heading", "velocity", "shape", "vector", "orientation"):
            key = f"{group}/{name}"
            if key in sample:
                cleared[key] = sample[key].copy()
                _clear(cleared[key], ~sample[mask])
    return cleared
