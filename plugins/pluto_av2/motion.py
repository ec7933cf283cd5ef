"""Reading a motion-forecasting scenario: 110 steps at 10 Hz, the car is the track `AV`."""

import attrs
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet

from pluto_av2.recording import FORD_FUSION, Objects, category_of, require_few
from pluto_av2.tables import validated, words
from pluto_core.errors import Reason, SampleError
from pluto_core.places.remote import Place, local
from pluto_core.scene import Category

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_COLUMNS = (
    "track_id", "object_type", "timestep", "position_x", "position_y", "heading", "velocity_x", "velocity_y",
    "start_timestamp", "city",
)  # fmt: skip
_WORDS = ("track_id", "object_type", "city")
"""Columns of text: one text may stand in millions of rows."""
_CITIES = {
    "austin": "ATX", "dearborn": "DTW", "miami": "MIA", "palo-alto": "PAO", "pittsburgh": "PIT", "washington-dc": "WDC",
}  # fmt: skip
"""Codes that sensor logs have for the cities, so that one filter takes both."""
_EGO = "AV"
_SIZES = {Category.VEHICLE: (2.0, 4.6), Category.PEDESTRIAN: (0.7, 0.7), Category.BICYCLE: (0.7, 1.8)}
"""Width and length, m: the format records none."""
_OTHER_SIZE = (0.6, 0.6)
_STEP_US = 100_000
_MOST_STEPS = 36_000
"""An hour; a scenario has 110."""


@attrs.frozen(kw_only=True, eq=False)
class MotionTracks:
    """The columns of a motion scenario."""

    city: str
    """The code of one of the six cities (`ATX`); another name as it stands."""
    times_us: Ints
    position: Floats
    heading: Floats
    velocity: Floats
    objects: Objects


def read_motion(folder: Place, name: str) -> MotionTracks:
    """Return a motion scenario in arrays.

    Raises:
        SampleError: The file is missing or cut off, lacks a column, or holds no track `AV`.
    """
    path = folder / f"scenario_{name}.parquet"
    try:
        file = local(path)
        require_few(parquet.read_metadata(file).num_rows)
        table = validated(parquet.read_table(file, columns=list(_COLUMNS), read_dictionary=list(_WORDS)))
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise SampleError(Reason.UNREADABLE_LOG, f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    step = table["timestep"].to_numpy()
    if len(step) and not 0 <= step.min() <= step.max() < _MOST_STEPS:
        raise SampleError(Reason.BROKEN_ROWS, f"{path}: steps go from {step.min()} to {step.max()}")
    names, first, row = np.unique(words(table["track_id"]), return_index=True, return_inverse=True)
    if _EGO not in names:
        raise SampleError(Reason.UNREADABLE_LOG, f"{path} has no track {_EGO!r}")
    shape = (len(names), int(step.max()) + 1)
    require_few(int(shape[0]) * shape[1])
    dense = {key: np.zeros(shape) for key in ("position_x", "position_y", "heading", "velocity_x", "velocity_y")}
    for key, cells in dense.items():
        cells[row, step] = table[key].to_numpy()
    valid = np.zeros(shape, np.bool_)
    valid[row, step] = True
    ego = int(np.searchsorted(names, _EGO))
    if not valid[ego].all():
        raise SampleError(Reason.BROKEN_ROWS, f"{path}: the track {_EGO!r} has gaps")
    position = np.stack([dense["position_x"], dense["position_y"]], axis=-1)
    velocity = np.stack([dense["velocity_x"], dense["velocity_y"]], axis=-1)
    others = np.flatnonzero(np.arange(len(names)) != ego)
    kinds = [category_of(str(kind)) for kind in words(table["object_type"])[first]]
    start_us = int(table["start_timestamp"][0].as_py() // 1000)
    city = str(words(table["city"].slice(0, 1))[0])
    return MotionTracks(
        city=_CITIES.get(city, city),
        times_us=start_us + _STEP_US * np.arange(shape[1], dtype=np.int64),
        position=_rear_axle(position[ego], dense["heading"][ego]),
        heading=dense["heading"][ego],
        velocity=velocity[ego],
        objects=_objects(names, kinds, position, dense["heading"], velocity, valid, others),
    )


def _rear_axle(center: Floats, heading: Floats) -> Floats:
    """Return rear-axle positions: motion scenarios give the centre of every object, the car's too."""
    forward = np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    return center - FORD_FUSION.center_from_rear_axle_m * forward


def _objects(
    names: npt.NDArray[np.str_],
    kinds: list[Category],
    position: Floats,
    heading: Floats,
    velocity: Floats,
    valid: npt.NDArray[np.bool_],
    rows: Ints,
) -> Objects:
    sizes = np.asarray([_SIZES.get(kind, _OTHER_SIZE) for kind in kinds]).reshape(-1, 1, 2)
    return Objects(
        tokens=names[rows].astype(np.bytes_),
        category=np.asarray(kinds, np.int8)[rows],
        position=position[rows],
        heading=heading[rows],
        velocity=velocity[rows],
        size=np.where(valid[rows][..., None], sizes[rows], 0.0),
        valid=valid[rows],
    )
