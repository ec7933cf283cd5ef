"""A recording of Argoverse 2 as dense arrays: F frames at 10 Hz, N tracks."""

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.errors import Reason, SampleError
from pluto_core.maps import MapView
from pluto_core.scene import (
    MOVING,
    Category,
    Ego,
    Lights,
    ScenarioId,
    Scene,
    StaticObjects,
    Tracks,
    Vehicle,
    Window,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

FORD_FUSION = Vehicle(width_m=2.0, front_length_m=3.83, rear_length_m=1.047, wheel_base_m=2.85, cog_from_rear_axle_m=1.4)
"""The recording car: box of the annotations (4.877 x 2.0 m), wheel base of a Ford Fusion."""
_MOST = 10_000_000
"""Rows, or cells of tracks by frames, of a recording; the longest ones of Argoverse 2 have some ten thousand."""
FRAME_S = 0.1
"""Time between two frames."""
NONSENSE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What reading raises where a file is whole and what it says is not: text for numbers, no points, endless numbers."""


@attrs.frozen(kw_only=True, eq=False)
class Objects:
    """What was seen around the car; cells where `valid` is False hold zeros."""

    tokens: npt.NDArray[np.bytes_]
    category: npt.NDArray[np.int8]
    position: Floats
    """(N, F, 2) box centre, m, city frame."""
    heading: Floats
    velocity: Floats
    """(N, F, 2) m/s, city frame."""
    size: Floats
    """(N, F, 2) width, length, m."""
    valid: Mask

    def without_nonsense(self) -> "Objects":
        """Return the objects with every cell not valid, and zero, that holds no usable number."""
        told = {name: getattr(self, name) for name in ("position", "heading", "velocity", "size")}
        valid = self.valid.copy()
        for values in told.values():
            valid &= np.isfinite(values) if values.ndim == valid.ndim else np.isfinite(values).all(axis=-1)
        if valid.sum() == self.valid.sum():
            return self
        cells = {name: valid if values.ndim == valid.ndim else valid[..., None] for name, values in told.items()}
        return attrs.evolve(self, valid=valid, **{name: np.where(cells[name], values, 0.0) for name, values in told.items()})


@attrs.frozen(kw_only=True, eq=False)
class Recording:
    """One sensor log or one motion scenario."""

    log: str
    city: str
    times_us: Ints
    """(F,)"""
    position: Floats
    """(F, 2) rear axle, m, city frame."""
    heading: Floats
    velocity: Floats
    """(F, 2) m/s, city frame."""
    acceleration: Floats
    """(F, 2) m/s^2, city frame."""
    objects: Objects
    map: MapView
    route: Ints
    vehicle: Vehicle = FORD_FUSION

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.times_us)

    def frame_at(self, time_us: int) -> int:
        """Return the frame of a time.

        Raises:
            SampleError: There is none.
        """
        frame = int(np.searchsorted(self.times_us, time_us))
        if frame == len(self) or self.times_us[frame] != time_us:
            raise SampleError(Reason.PRESENT_MISSING, f"log {self.log} has no frame at {time_us}")
        return frame

    def scene(self, scenario: ScenarioId, window: Window, scenario_type: str) -> Scene:
        """Return the scene around one frame.

        Raises:
            SampleError: The frame does not exist, or the window's interval is no multiple of 0.1 s.
        """
        present = self.frame_at(scenario.start_us)
        stride = round(window.interval_s / FRAME_S)
        if stride < 1 or abs(stride * FRAME_S - window.interval_s) > 1e-6:  # noqa: PLR2004 -- rounding of 0.1
            raise SampleError(
                Reason.SPEC_MISMATCH, f"frames are {FRAME_S} s apart; an interval of {window.interval_s} s does not fit"
            )
        frames = present + stride * np.arange(-window.history_steps, window.future_steps + 1)
        known = (frames >= 0) & (frames < len(self))
        inside = np.clip(frames, 0, len(self) - 1)
        nominal = scenario.start_us + np.round((frames - present) * FRAME_S * 1e6).astype(np.int64)
        return Scene(
            id=scenario,
            window=window,
            times_us=np.where(known, self.times_us[inside], nominal),
            ego=self._ego(inside, known),
            tracks=self._tracks(present, inside, known),
            static_objects=self._static_objects(present),
            lights=Lights(step=np.zeros(0, np.int64), connector_id=np.zeros(0, np.int64), status=np.zeros(0, np.int8)),
            route=self.route,
            goal=np.array([*self.position[-1], self.heading[-1]]),
            map=self.map,
            scenario_type=scenario_type,
        )

    def _ego(self, frames: Ints, known: Mask) -> Ego:
        heading = self.heading[frames]
        unknown = np.zeros(len(frames))
        return Ego(
            position=self.position[frames],
            heading=heading,
            velocity=_to_body(self.velocity[frames], heading),
            acceleration=_to_body(self.acceleration[frames], heading),
            steering_angle=unknown,
            yaw_rate=unknown,
            valid=known,
            acceleration_valid=known,
            steering_valid=np.zeros(len(frames), np.bool_),
            vehicle=self.vehicle,
        )

    def _tracks(self, present: int, frames: Ints, known: Mask) -> Tracks:
        objects = self.objects
        valid = objects.valid[:, frames] & known
        moving = np.isin(objects.category, [int(category) for category in MOVING]) & valid.any(axis=1)
        now = objects.valid[:, present]
        first = np.where(valid.any(axis=1), valid.argmax(axis=1), valid.shape[1])
        keys = (first, objects.category, np.where(now, 0, 1))
        order = np.lexsort(keys)
        rows = order[moving[order]]
        seen = valid[rows]
        cells = np.ix_(rows, frames)
        return Tracks(
            token=objects.tokens[rows],
            category=objects.category[rows],
            position=np.where(seen[..., None], objects.position[cells], 0.0),
            heading=np.where(seen, objects.heading[cells], 0.0),
            velocity=np.where(seen[..., None], objects.velocity[cells], 0.0),
            size=np.where(seen[..., None], objects.size[cells], 0.0),
            valid=seen,
        )

    def _static_objects(self, present: int) -> StaticObjects:
        objects = self.objects
        standing = ~np.isin(objects.category, [int(category) for category in MOVING]) & objects.valid[:, present]
        rows = np.flatnonzero(standing)
        rows = rows[np.argsort(objects.category[rows], kind="stable")]
        return StaticObjects(
            token=objects.tokens[rows],
            category=objects.category[rows],
            position=objects.position[rows, present],
            heading=objects.heading[rows, present],
            size=objects.size[rows, present],
        )


def _to_body(vectors: Floats, heading: Floats) -> Floats:
    cos, sin = np.cos(heading), np.sin(heading)
    x, y = vectors[:, 0], vectors[:, 1]
    return np.stack([cos * x + sin * y, cos * y - sin * x], axis=-1)


def differentiate(values: Floats, times_s: Floats, valid: Mask) -> Floats:
    """Return rates of change of rows with gaps, by central differences over the neighbours that were seen.

    Args:
        values: (N, F, 2).
        times_s: (F,).
        valid: (N, F).

    Returns:
        (N, F, 2); zero where neither neighbour was seen, and where `valid` is False.
    """
    frames = np.arange(valid.shape[1])
    before = np.zeros_like(valid)
    before[:, 1:] = valid[:, :-1]
    after = np.zeros_like(valid)
    after[:, :-1] = valid[:, 1:]
    low, high = frames - before, frames + after
    rows = np.arange(len(valid))[:, None]
    span = times_s[high] - times_s[low]
    rate = (values[rows, high] - values[rows, low]) / np.where(span > 0, span, 1.0)[..., None]
    return np.where(valid[..., None], rate, 0.0)


def require_few(count: int) -> None:
    """Refuse a recording that would take more memory than any drive does.

    Raises:
        ValueError: It has.
    """
    if count > _MOST:
        raise ValueError(f"{count:,} rows or cells, more than {_MOST:,}")


def category_of(name: str) -> Category:
    """Return the category of one of Argoverse 2's class names; what it does not know is a generic object."""
    return _CATEGORIES.get(name, Category.GENERIC_OBJECT)


_VEHICLES = (
    "REGULAR_VEHICLE", "LARGE_VEHICLE", "BUS", "BOX_TRUCK", "TRUCK", "TRUCK_CAB", "VEHICULAR_TRAILER", "ARTICULATED_BUS",
    "SCHOOL_BUS", "RAILED_VEHICLE", "MOTORCYCLE", "MESSAGE_BOARD_TRAILER", "TRAFFIC_LIGHT_TRAILER",
    "vehicle", "bus", "motorcyclist",
)  # fmt: skip
_CATEGORIES = {
    **dict.fromkeys(_VEHICLES, Category.VEHICLE),
    **dict.fromkeys(
        ("PEDESTRIAN", "OFFICIAL_SIGNALER", "STROLLER", "WHEELCHAIR", "DOG", "ANIMAL", "pedestrian"), Category.PEDESTRIAN
    ),
    **dict.fromkeys(("BICYCLE", "BICYCLIST", "WHEELED_RIDER", "MOTORCYCLIST", "WHEELED_DEVICE", "cyclist"), Category.BICYCLE),
    "CONSTRUCTION_CONE": Category.TRAFFIC_CONE,
    "CONSTRUCTION_BARREL": Category.TRAFFIC_CONE,
    "BOLLARD": Category.BARRIER,
    "MOBILE_PEDESTRIAN_CROSSING_SIGN": Category.CZONE_SIGN,
    "construction": Category.TRAFFIC_CONE,
}
