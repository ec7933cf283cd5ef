"""Lane changes: when drivers begin one, and how long they take room in both lanes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pluto_nuplan.synth.crossing import NONE

if TYPE_CHECKING:
    from pluto_nuplan.synth.curves import Array
    from pluto_nuplan.synth.leaders import Rows
    from pluto_nuplan.synth.traffic import Traffic

_CHANGE_S = 4.2
_SHORTEST_M = 20.0
_LOOK_M = 66.0
_SHARPEST = 1 / 150

_BOTH_LANES_SHARE = 0.65
_PAUSE_S = 9.0
_CHECK_S = 0.5
_LEAST_SPEED_MPS = 3.0
_AFTER_JUNCTION_M = 12.0
_BEFORE_JUNCTION_M = 25.0


def progress(traffic: Traffic) -> Array:
    """How far vehicles are with their last lane change, 0 to 1 while it lasts, shape (N,)."""
    state = traffic.state
    return (state.odometer_m - state.change_from_m) / state.change_way_m


def still_beside(traffic: Traffic) -> npt.NDArray[np.bool_]:
    """Whether vehicles that change lanes still take room in their old lane, bool, shape (N,)."""
    beside: npt.NDArray[np.bool_] = (traffic.state.beside != NONE) & (progress(traffic) < _BOTH_LANES_SHARE)
    return beside


def stretch(traffic: Traffic) -> Array:
    """Metres along the lane for each metre that a vehicle drives beside its middle in a bend, shape (N,)."""
    state = traffic.state
    aside = state.change_m * faded(progress(traffic))[0]
    return 1.0 / (1.0 - traffic.roads.curvature_at(state.edge, state.along_m) * aside)


def faded(done: Array) -> tuple[Array, Array]:
    """What is left of a lane change's lateral distance, as a share, and its slope, when the share `done` is driven.

    The quintic with no slope and no curvature at either end.
    """
    t = np.clip(done, 0.0, 1.0)
    left = 1 - t**3 * (10 - 15 * t + 6 * t**2)
    return left, -30 * t**2 * (1 - t) ** 2


def change_lane(traffic: Traffic, rng: np.random.Generator) -> None:
    """Let at most one driver begin a lane change, where the gap in the next lane is long enough."""
    state, roads, fleet = traffic.state, traffic.roads, traffic.fleet
    on_lane = np.minimum(state.edge, roads.lane_count - 1)
    ready = (
        (rng.random(len(state.edge)) < fleet.change_rate_hz * _CHECK_S)
        & (state.edge < roads.lane_count)
        & (roads.beside[on_lane].max(axis=1) != NONE)
        & (traffic.time_s - state.change_s > _PAUSE_S)
        & (state.speed_mps > _LEAST_SPEED_MPS)
        & (state.along_m > _AFTER_JUNCTION_M)
        & (traffic.line_distance() > state.speed_mps * _CHANGE_S + _BEFORE_JUNCTION_M)
        & (traffic.claims.held == NONE)
    )
    rows = None
    for index in np.flatnonzero(ready):
        rows = rows or traffic.rows()
        target = int(next(lane for lane in roads.beside[state.edge[index]] if lane != NONE))
        place, lateral = _beside(traffic, int(index), target)
        if _is_straight(traffic, target, place) and _fits(traffic, rows, int(index), target, place):
            _begin(traffic, int(index), target, place, lateral)
            return


def _beside(traffic: Traffic, index: int, target: int) -> tuple[float, float]:
    """Where on the target lane a vehicle is, and how far to its left."""
    state, roads = traffic.state, traffic.roads
    x, y, _ = roads.pose(state.edge[index : index + 1], state.along_m[index : index + 1])
    place = roads.project(target, np.array([x[0], y[0]]))
    px, py, heading = roads.pose(np.array([target]), np.array([place]))
    dx, dy = x[0] - px[0], y[0] - py[0]
    cos, sin = np.cos(heading[0]), np.sin(heading[0])
    return float(place + dx * cos + dy * sin), float(dy * cos - dx * sin)


def _is_straight(traffic: Traffic, lane: int, place: float) -> bool:
    """Whether a lane has no sharp bend from a place on: nobody changes lanes there."""
    along = place + np.arange(-2.0, _LOOK_M, 2.0)
    return bool(np.abs(traffic.roads.curvature_at(np.full(len(along), lane), along)).max() < _SHARPEST)


def _fits(traffic: Traffic, rows: Rows, index: int, target: int, place: float) -> bool:
    state, fleet = traffic.state, traffic.fleet
    others = np.flatnonzero((rows.edge == target) & (rows.owner != index))
    owner, along = rows.owner[others], rows.along_m[others]
    speed, other = state.speed_mps[index], state.speed_mps[owner]
    before = along >= place
    gap = np.where(
        before,
        along - fleet.rear_m[owner] - place - fleet.front_m[index],
        place - fleet.rear_m[index] - along - fleet.front_m[owner],
    )
    rear_speed = np.where(before, speed, other)
    closing = np.maximum(0.0, np.where(before, speed - other, other - speed))
    return bool(np.all(gap > 3.0 + 0.5 * rear_speed + 2.5 * closing))


def _begin(traffic: Traffic, index: int, target: int, place: float, lateral: float) -> None:
    state = traffic.state
    state.beside[index] = state.edge[index]
    state.beside_m[index] = state.along_m[index] - place
    state.edge[index], state.along_m[index] = target, place
    state.change_s[index], state.change_m[index] = traffic.time_s, lateral
    state.change_from_m[index] = state.odometer_m[index]
    state.change_way_m[index] = max(_SHORTEST_M, state.speed_mps[index] * _CHANGE_S)
    traffic.choose_way(index)
