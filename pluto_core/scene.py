"""A scene: what a source says about one scenario, as arrays, and what every builder reads.

SI units, float64, one global metric frame (x east, y north, headings counter-clockwise from x). Missing values are
masks, never NaN. `T` is the number of steps of the scene's window, `N` the number of tracks.
"""

import enum
import math
import typing
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.maps import MapView

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int8]
Mask = npt.NDArray[np.bool_]
Tokens = npt.NDArray[np.bytes_]


class Category(enum.IntEnum):
    """Kind of an object; the values are nuPlan's (nuPlan v1.1, TrackedObjectType)."""

    VEHICLE = 0
    PEDESTRIAN = 1
    BICYCLE = 2
    TRAFFIC_CONE = 3
    BARRIER = 4
    CZONE_SIGN = 5
    GENERIC_OBJECT = 6


MOVING = (Category.VEHICLE, Category.PEDESTRIAN, Category.BICYCLE)
"""Categories that are tracks of a scene; the others are its static objects."""


class LightStatus(enum.IntEnum):
    """State of a traffic light as seen by one lane connector (nuPlan v1.1)."""

    GREEN = 0
    YELLOW = 1
    RED = 2
    UNKNOWN = 3


_LONGEST_US = 18
"""Digits of a time: as many as 64 bits hold for sure."""


@attrs.frozen(order=True)
class ScenarioId:
    """What names a scenario: its log, its token, and the time of its first step.

    The type is not part of it, for it depends on the filter that asked.
    """

    log: str
    token: str
    start_us: int
    """Time of iteration 0 (time zero of the scene), Unix microseconds."""

    @property
    def key(self) -> str:
        """Return the text under which samples of the scenario are stored: `log/token@start_us`."""
        return f"{self.log}/{self.token}@{self.start_us}"

    @classmethod
    def from_key(cls, key: str) -> "ScenarioId":
        """Return the id that `key` names.

        Raises:
            PlutoError: The text is no such key.
        """
        log, slash, rest = key.rpartition("/")
        token, at, start = rest.rpartition("@")
        number = start.removeprefix("-")
        if not (slash and at and number.isascii() and number.isdecimal() and len(number) <= _LONGEST_US):
            message = f"{key!r} is no scenario key; it should read 'log/token@start_us'"
            raise PlutoError(message)
        return cls(log, token, int(start))


@attrs.frozen(kw_only=True)
class Window:
    """The span of time around time zero that a builder needs."""

    history_s: float = 0.0
    future_s: float = 0.0
    """0 for live input."""
    interval_s: float = 0.1

    @property
    def history_steps(self) -> int:
        """Return the number of steps before the present one; also the index of the present step."""
        return round(self.history_s / self.interval_s)

    @property
    def future_steps(self) -> int:
        """Return the number of steps after the present one."""
        return round(self.future_s / self.interval_s)

    @property
    def steps(self) -> int:
        """Return T: past, present and future."""
        return self.history_steps + 1 + self.future_steps

    def stride_in(self, wider: "Window") -> int:
        """Return how many steps of `wider` make one step of this window.

        Raises:
            PlutoError: `wider` does not contain this window on its own grid.
        """
        stride = round(self.interval_s / wider.interval_s)
        fits = stride >= 1 and math.isclose(stride * wider.interval_s, self.interval_s, rel_tol=1e-6)
        fits = fits and self.history_steps * stride <= wider.history_steps
        if not (fits and self.future_steps * stride <= wider.future_steps):
            message = f"window {self} does not lie on the grid of {wider}"
            raise PlutoError(message)
        return stride

    @classmethod
    def union(cls, windows: Iterable["Window"]) -> "Window":
        """Return the smallest window on whose grid all `windows` lie.

        Raises:
            PlutoError: There is none: an interval is no multiple of the smallest one.
        """
        every = list(windows)
        joined = cls(
            history_s=max((w.history_s for w in every), default=0.0),
            future_s=max((w.future_s for w in every), default=0.0),
            interval_s=min((w.interval_s for w in every), default=0.1),
        )
        for window in every:
            window.stride_in(joined)
        return joined


@attrs.frozen(kw_only=True)
class Vehicle:
    """Shape of the ego vehicle, metres."""

    width_m: float
    front_length_m: float
    """Rear axle to front bumper."""
    rear_length_m: float
    """Rear axle to rear bumper."""
    wheel_base_m: float
    cog_from_rear_axle_m: float = 0.0
    """Rear axle to centre of gravity, along the heading."""

    @property
    def length_m(self) -> float:
        """Return the overall length."""
        return self.front_length_m + self.rear_length_m

    @property
    def center_from_rear_axle_m(self) -> float:
        """Return the distance from the rear axle to the geometric centre, along the heading."""
        return self.length_m / 2 - self.rear_length_m


PACIFICA = Vehicle(width_m=2.297, front_length_m=4.049, rear_length_m=1.127, wheel_base_m=3.089, cog_from_rear_axle_m=1.67)
"""The car of every nuPlan log (nuPlan v1.1)."""


@attrs.frozen(kw_only=True, eq=False)
class Ego:
    """The recording vehicle over the T steps of the window."""

    position: Floats
    """(T, 2) rear axle, m, global."""
    heading: Floats
    """(T,) rad, global."""
    velocity: Floats
    """(T, 2) of the rear axle, m/s, **ego body frame** of the same step (x forward, y left)."""
    acceleration: Floats
    """(T, 2) of the rear axle, m/s^2, ego body frame."""
    steering_angle: Floats
    """(T,) of the front tyres, rad."""
    yaw_rate: Floats
    """(T,) rad/s."""
    valid: Mask
    """(T,) whether the pose and velocity of the step are known."""
    acceleration_valid: Mask
    """(T,) whether the acceleration is known."""
    steering_valid: Mask
    """(T,) whether steering angle and yaw rate are known; nuPlan and Argoverse 2 record neither."""
    vehicle: Vehicle = PACIFICA

    def center(self) -> Floats:
        """Return the (T, 2) geometric centre of the vehicle, m, global."""
        forward = np.stack([np.cos(self.heading), np.sin(self.heading)], axis=-1)
        return self.position + self.vehicle.center_from_rear_axle_m * forward


@attrs.frozen(kw_only=True, eq=False)
class Tracks:
    """Vehicles, pedestrians and cyclists over the window.

    Row order: the tracks that the present frame shows, in the source's row order (nuPlan: by category, then row), then
    the others by first appearance. Cells where `valid` is False hold zeros.
    """

    token: Tokens
    """(N,) name of the track, unique within its log."""
    category: Codes
    """(N,) a `Category` of `MOVING`, as at the present step, else as first seen."""
    position: Floats
    """(N, T, 2) box centre, m, global."""
    heading: Floats
    """(N, T) rad, global."""
    velocity: Floats
    """(N, T, 2) m/s, global."""
    size: Floats
    """(N, T, 2) width and length of the box, m."""
    valid: Mask
    """(N, T) whether the track was seen at the step."""


@attrs.frozen(kw_only=True, eq=False)
class StaticObjects:
    """Cones, barriers, signs and other objects of the present frame, S of them."""

    token: Tokens
    """(S,)"""
    category: Codes
    """(S,) a `Category` outside `MOVING`; by category, then in the source's row order."""
    position: Floats
    """(S, 2) box centre, m, global."""
    heading: Floats
    """(S,) rad, global."""
    size: Floats
    """(S, 2) width and length, m."""


@attrs.frozen(kw_only=True, eq=False)
class Lights:
    """Traffic lights: one row for each statement "at this step this connector had that light"."""

    step: Ints
    """(K,) index of the step, ascending."""
    connector_id: Ints
    """(K,) id in the map's layer LANE_CONNECTOR; the order within a step is the source's."""
    status: Codes
    """(K,) a `LightStatus`."""

    def at(self, step: int) -> tuple[Ints, Codes]:
        """Return ids and states at one step; a connector without a row is not known to have a light."""
        first, last = np.searchsorted(self.step, [step, step + 1])
        return self.connector_id[first:last], self.status[first:last]


@attrs.frozen(kw_only=True, eq=False)
class Scene:
    """One scenario as arrays. Fixed length: what the recording lacks is there with `valid` False."""

    id: ScenarioId
    window: Window
    times_us: Ints
    """(T,) Unix microseconds; nominal where the step was not recorded."""
    ego: Ego
    tracks: Tracks
    static_objects: StaticObjects
    lights: Lights
    route: Ints
    """(K,) ids of roadblocks and roadblock connectors in driving order; empty where unknown."""
    goal: Floats | None
    """(3,) x, y, heading of the mission goal, m and rad, global; None where unknown."""
    map: MapView
    scenario_type: str = "unknown"

    @property
    def present(self) -> int:
        """Return the index of time zero."""
        return self.window.history_steps

    def narrow(self, window: Window) -> "Scene":
        """Return the part of the scene that `window` asks for; tracks never seen in it are left out.

        Raises:
            PlutoError: The scene does not hold that window.
        """
        if window == self.window:
            return self
        stride = window.stride_in(self.window)
        first = self.present - window.history_steps * stride
        last = self.present + window.future_steps * stride
        steps = slice(first, last + 1, stride)
        seen = np.asarray(self.tracks.valid[:, steps].any(axis=1), np.bool_)
        kept_lights = (self.lights.step >= first) & (self.lights.step <= last) & ((self.lights.step - first) % stride == 0)
        return attrs.evolve(
            self,
            window=window,
            times_us=self.times_us[steps],
            ego=_at_steps(self.ego, steps),
            tracks=_at_rows_and_steps(self.tracks, seen, steps),
            lights=Lights(
                step=(self.lights.step[kept_lights] - first) // stride,
                connector_id=self.lights.connector_id[kept_lights],
                status=self.lights.status[kept_lights],
            ),
        )

    def check(self) -> None:
        """Prove that the arrays are what this module says.

        Raises:
            SampleError: A shape or dtype is wrong, a valid cell is not finite, or the present frame is missing.
        """
        steps, tracks = self.window.steps, len(self.tracks.token)
        _check_array(self, "times_us", (steps,))
        _check_array(self, "route", (len(self.route),))
        if self.goal is not None:
            _check_array(self, "goal", (3,))
        _check_table(self.ego, (steps,))
        _check_table(self.tracks, (tracks, steps))
        _check_table(self.static_objects, (len(self.static_objects.token),))
        _check_table(self.lights, (len(self.lights.step),))
        if not self.ego.valid[self.present]:
            raise SampleError(Reason.PRESENT_MISSING, f"the ego vehicle has no pose at {self.id.start_us}")


_PER_ROW = ("token", "category")
_PAIRS = ("position", "velocity", "acceleration", "size")


def _check_table(table: Any, sizes: tuple[int, ...]) -> None:
    """Prove that the arrays of a table have these sizes; some have one value a row, some two in every cell."""
    for field in attrs.fields(type(table)):
        if field.type is not Vehicle:
            rows = sizes[:1] if field.name in _PER_ROW else sizes
            _check_array(table, field.name, (*rows, 2) if field.name in _PAIRS else rows)


def _check_array(owner: Any, name: str, shape: tuple[int, ...]) -> None:
    """Prove that an array has a shape, the dtype that its class declares, and numbers that are finite."""
    found, where = getattr(owner, name), f"{type(owner).__name__}.{name}"
    if found.shape != shape:
        raise SampleError(Reason.SPEC_MISMATCH, f"{where} is {found.shape}, not {shape}")
    declared = _dtype_of(type(owner), name)
    if not np.issubdtype(found.dtype, declared):
        raise SampleError(Reason.SPEC_MISMATCH, f"{where} holds {found.dtype}, not {declared.__name__}")
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise SampleError(Reason.BROKEN_ROWS, f"{where} holds NaN or infinity")


def _dtype_of(table: type, name: str) -> type[np.generic]:
    """Return the dtype in a field's annotation, such as `npt.NDArray[np.int64]`."""
    return next(_scalar_types(getattr(attrs.fields(table), name).type))


def _scalar_types(hint: Any) -> Iterator[type[np.generic]]:
    """Yield numpy's types of an annotation, at any depth: what `NDArray` stands for differs between versions of numpy."""
    if typing.get_origin(hint) is None and isinstance(hint, type) and issubclass(hint, np.generic):
        yield hint
    for part in typing.get_args(hint):
        yield from _scalar_types(part)


def _at_steps(ego: Ego, steps: slice) -> Ego:
    arrays = {name: value[steps] for name, value in attrs.asdict(ego, recurse=False).items() if name != "vehicle"}
    return Ego(vehicle=ego.vehicle, **arrays)


def _at_rows_and_steps(tracks: Tracks, rows: Mask, steps: slice) -> Tracks:
    values: dict[str, Any] = attrs.asdict(tracks, recurse=False)
    fixed: dict[str, Any] = {name: values.pop(name)[rows] for name in ("token", "category")}
    moving: dict[str, Any] = {name: value[rows][:, steps] for name, value in values.items()}
    return Tracks(**fixed, **moving)


def empty_tracks(steps: int) -> Tracks:
    """Return tracks with no row."""
    return Tracks(
        token=np.zeros(0, "S16"),
        category=np.zeros(0, np.int8),
        position=np.zeros((0, steps, 2)),
        heading=np.zeros((0, steps)),
        velocity=np.zeros((0, steps, 2)),
        size=np.zeros((0, steps, 2)),
        valid=np.zeros((0, steps), np.bool_),
    )


def as_tokens(tokens: Sequence[str]) -> Tokens:
    """Return track tokens as the byte strings that a scene holds."""
    return np.asarray([token.encode() for token in tokens], dtype=np.bytes_) if tokens else np.zeros(0, "S1")
