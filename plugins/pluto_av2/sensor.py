"""Reading a sensor log: ego poses and annotated boxes."""

import struct

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pluto_av2.files import POSES
from pluto_av2.recording import Objects, category_of, differentiate, require_few
from pluto_av2.tables import read_feather, words
from pluto_core.errors import Reason, SampleError
from pluto_core.places.remote import Place, local

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_ANNOTATIONS = ("annotations.feather", "annotations_with_ego.feather")
_POSE_COLUMNS = ("timestamp_ns", "qw", "qx", "qy", "qz", "tx_m", "ty_m")
_BOX_COLUMNS = (*_POSE_COLUMNS, "track_uuid", "category", "length_m", "width_m")
_SMOOTHED = 2
"""Frames before and after that an ego velocity or acceleration looks at: poses jitter by about a centimetre."""


def read_table(path: Place, columns: tuple[str, ...]) -> pa.Table:
    """Return some columns of a Feather file.

    Raises:
        SampleError: The file is missing, cut off, or lacks a column.
    """
    try:
        table = read_feather(str(local(path))).select(list(columns))
        require_few(table.num_rows)
    except (OSError, pa.ArrowException, KeyError, ValueError, struct.error) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SampleError(Reason.UNREADABLE_LOG, f"{path} cannot be read: {reason}") from None
    return table


def headings_of(quaternions: Floats) -> Floats:
    """Return the yaw of (k, 4) quaternions w, x, y, z."""
    w, x, y, z = quaternions.T
    return np.asarray(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)), np.float64)


def seconds(times: Ints, ticks_per_s: float) -> Floats:
    """Return times as seconds after the first one; Unix nanoseconds are too large for a float64 to tell 0.1 us apart."""
    return np.asarray((times - times[:1]) / ticks_per_s, np.float64)


def read_ego(folder: Place) -> tuple[Ints, Floats, Floats]:
    """Return times (ns), (k, 2) positions and (k,) headings of the car, at the rate of its localisation."""
    table = read_table(folder / POSES, _POSE_COLUMNS)
    columns = {name: table[name].to_numpy() for name in _POSE_COLUMNS}
    order = np.argsort(columns["timestamp_ns"], kind="stable")
    quaternions = np.stack([columns[name] for name in ("qw", "qx", "qy", "qz")], axis=-1)[order]
    position = np.stack([columns["tx_m"], columns["ty_m"]], axis=-1)[order]
    return columns["timestamp_ns"][order], position, headings_of(quaternions)


def read_boxes(folder: Place) -> pa.Table:
    """Return the annotations of a log, without the ego vehicle's own.

    Raises:
        SampleError: There is no file of annotations.
    """
    for name in _ANNOTATIONS:
        if (folder / name).is_file():
            table = read_table(folder / name, _BOX_COLUMNS)
            return table.filter(pa.array(words(table["category"]) != "EGO_VEHICLE"))
    raise SampleError(Reason.UNREADABLE_LOG, f"{folder} has none of {', '.join(_ANNOTATIONS)}")


def objects_of(table: pa.Table, frames_ns: Ints, ego_position: Floats, ego_heading: Floats) -> Objects:
    """Return the boxes of a log in the city frame, one row a track, one column a frame."""
    frame = np.searchsorted(frames_ns, table["timestamp_ns"].to_numpy())
    names, first, row = np.unique(words(table["track_uuid"]), return_index=True, return_inverse=True)
    shape = (len(names), len(frames_ns))
    require_few(len(names) * len(frames_ns))
    yaw = headings_of(np.stack([table[name].to_numpy() for name in ("qw", "qx", "qy", "qz")], axis=-1))
    offset = np.stack([table["tx_m"].to_numpy(), table["ty_m"].to_numpy()], axis=-1)
    cos, sin = np.cos(ego_heading[frame]), np.sin(ego_heading[frame])
    turned = np.stack([cos * offset[:, 0] - sin * offset[:, 1], sin * offset[:, 0] + cos * offset[:, 1]], axis=-1)
    position, heading, size = np.zeros((*shape, 2)), np.zeros(shape), np.zeros((*shape, 2))
    valid = np.zeros(shape, np.bool_)
    position[row, frame] = turned + ego_position[frame]
    heading[row, frame] = yaw + ego_heading[frame]
    size[row, frame] = np.stack([table["width_m"].to_numpy(), table["length_m"].to_numpy()], axis=-1)
    valid[row, frame] = True
    categories = words(table["category"])[first] if len(names) else np.zeros(0, str)
    return Objects(
        tokens=names.astype(np.bytes_) if len(names) else np.zeros(0, "S1"),
        category=np.asarray([category_of(str(name)) for name in categories], np.int8),
        position=position,
        heading=np.where(valid, (heading + np.pi) % (2 * np.pi) - np.pi, 0.0),
        velocity=differentiate(position, seconds(frames_ns, 1e9), valid),
        size=size,
        valid=valid,
    )


def rates(values: Floats, times_s: Floats) -> Floats:
    """Return the (F, 2) rates of change of (F, 2) values, by central differences over two frames to each side."""
    frames = np.arange(len(values))
    low, high = np.maximum(frames - _SMOOTHED, 0), np.minimum(frames + _SMOOTHED, len(values) - 1)
    span = np.maximum(times_s[high] - times_s[low], 1e-6)
    return np.asarray((values[high] - values[low]) / span[:, None])
