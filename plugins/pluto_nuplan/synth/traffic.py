"""The traffic of a town, stepped for all vehicles at once.

Vehicles drive along edges (lanes and connectors) and keep their distance to whoever is ahead: on the same edge, on the
two that follow, on a connector that parts from theirs only further on, and in both lanes while somebody changes lanes.
"""

import attrs
import numpy as np

from pluto_nuplan.synth import changing
from pluto_nuplan.synth.crossing import NONE, STOP_SETBACK_M, Claims, decision_distance, room_behind
from pluto_nuplan.synth.curves import Array
from pluto_nuplan.synth.drivers import HARDEST_BRAKE_MPS2, Fleet, follow_acceleration, free_acceleration
from pluto_nuplan.synth.leaders import FREE_M, Ahead, Rows, find_ahead, make_rows
from pluto_nuplan.synth.roads import SLOWING_MPS2, Ints, Roads
from pluto_nuplan.synth.signals import GREEN, Signals

STEP_S = 0.1

_JERK_UP_MPS3, _JERK_DOWN_MPS3 = 3.0, 12.0
_STANDING_MPS = 0.05
_CHANGE_EVERY = 5


@attrs.define(eq=False)
class State:
    """Where vehicles are, arrays of shape (N,).

    `onward` and `beyond` are the next two edges, `odometer_m` the way driven. A vehicle that changes lanes is already
    on its new lane: the change began at `change_s`, at `change_from_m` on the odometer, with a lateral distance of
    `change_m` (left positive) that fades out over `change_way_m`; `beside` is the old lane and `beside_m` the distance
    along it less that along the new one. `stretch` is what a driven metre counts along the lane.
    """

    edge: Ints
    along_m: Array
    speed_mps: Array
    acceleration_mps2: Array
    onward: Ints
    beyond: Ints
    odometer_m: Array
    change_s: Array
    change_m: Array
    change_from_m: Array
    change_way_m: Array
    stretch: Array
    beside: Ints
    beside_m: Array


def _start(places: tuple[Ints, Array, Array]) -> State:
    """Vehicles at given edges, arc lengths and speeds, whose ways are still to be drawn."""
    count = len(places[0])
    return State(
        edge=places[0].copy(),
        along_m=places[1].copy(),
        speed_mps=places[2].copy(),
        acceleration_mps2=np.zeros(count),
        onward=np.zeros(count, np.int64),
        beyond=np.zeros(count, np.int64),
        odometer_m=np.zeros(count),
        change_s=np.full(count, -1e3),
        change_m=np.zeros(count),
        change_from_m=np.full(count, -1e3),
        change_way_m=np.ones(count),
        stretch=np.ones(count),
        beside=np.full(count, NONE),
        beside_m=np.zeros(count),
    )


class Traffic:
    """All vehicles of a town: `state` now, `time_s` since the beginning."""

    def __init__(
        self,
        roads: Roads,
        signals: Signals,
        fleet: Fleet,
        places: tuple[Ints, Array, Array],
        rng: np.random.Generator,
        arms: Ints,
    ) -> None:
        """Put the fleet on the roads.

        Args:
            roads: Where they drive.
            signals: What they stop for.
            fleet: Who drives.
            places: Edge (all lanes), arc length in m and speed in m/s of each vehicle.
            rng: Draws routes and lane changes.
            arms: Arms at which each connector begins and ends, shape (C, 2).
        """
        self.roads, self.signals, self.fleet = roads, signals, fleet
        self.claims = Claims(roads, fleet, arms)
        self.time_s = 0.0
        self.ahead = Ahead(np.zeros(0), np.zeros(0), np.zeros(0, np.int64))
        self._rng = rng
        self._steps = 0
        self.state = _start(places)
        for index in range(len(fleet.kind)):
            self.choose_way(index)

    def choose_way(self, index: int) -> None:
        """Draw a new way on from the end of the lane that a vehicle is on."""
        state = self.state
        state.onward[index] = self._choose(index, int(state.edge[index]))
        state.beyond[index] = self.roads.outgoing[state.onward[index]][0]

    def step(self, walked: set[int]) -> State:
        """Go on by one step, with people on the halves of crosswalks in `walked` (see `Claims.grant`).

        Returns:
            A copy of the state that the step began with; its acceleration is the one that held during the step.
        """
        state, fleet, roads = self.state, self.fleet, self.roads
        if self._steps % _CHANGE_EVERY == 0:
            changing.change_lane(self, self._rng)
        rows = self.rows()
        ahead = find_ahead(roads, fleet, rows, (state.onward, state.beyond), state.speed_mps)
        self.ahead = ahead
        wall_m = self._cross(ahead.same_lane, walked)
        allowed = self._allowed_speed()
        wish = np.minimum(
            free_acceleration(fleet, state.speed_mps, allowed),
            follow_acceleration(fleet, state.speed_mps, ahead.gap_m, ahead.speed_mps),
        )
        wish = np.minimum(wish, follow_acceleration(fleet, state.speed_mps, wall_m, np.zeros(len(wish))))
        before = np.where(state.speed_mps > 0, state.acceleration_mps2, 0.0)
        wish = np.clip(wish, before - _JERK_DOWN_MPS3 * STEP_S, before + _JERK_UP_MPS3 * STEP_S)
        return self._drive(np.maximum(wish, -HARDEST_BRAKE_MPS2))

    def rows(self) -> Rows:
        """All vehicles as obstacles."""
        state = self.state
        ghosts = np.flatnonzero(changing.still_beside(self))
        places = state.along_m[ghosts] + state.beside_m[ghosts]
        return make_rows(self.roads, self.fleet, state.edge, state.along_m, (ghosts, state.beside[ghosts], places))

    def line_distance(self) -> Array:
        """Distance in m of each front to the end of its lane; far for those inside a junction, shape (N,)."""
        state = self.state
        on_lane = state.edge < self.roads.lane_count
        return np.where(on_lane, self.roads.length_m[state.edge] - state.along_m - self.fleet.front_m, FREE_M)

    def _cross(self, ahead: Ints, walked: set[int]) -> Array:
        """Settle the claims; the gap in m of each vehicle to the stop line that holds it, far where none does."""
        state, roads, claims = self.state, self.roads, self.claims
        lights = self.signals.states(self.time_s)
        line = self.line_distance()
        on_lane = state.edge < roads.lane_count
        claims.release(state.edge, state.along_m)
        waiting_claim = np.where(on_lane & (state.onward == claims.held), line, -FREE_M)
        claims.revoke(lights, state.speed_mps, waiting_claim)
        outside = on_lane & (claims.held == NONE)
        near = line < decision_distance(roads, state.onward, state.speed_mps)
        green = lights[np.where(on_lane, state.onward - roads.lane_count, 0)] == GREEN
        asking = np.flatnonzero(outside & near & green)
        if len(asking):
            room = room_behind(roads, self.fleet, state.edge, state.along_m, state.speed_mps)
            claims.promise(state.edge, room)
            claims.grant(asking, state.onward, line, ahead, room, walked)
        held_back = outside & (claims.held == NONE) & (near | ~green)
        return np.where(held_back, line - STOP_SETBACK_M + self.fleet.standstill_m, FREE_M)

    def _allowed_speed(self) -> Array:
        state, roads = self.state, self.roads
        here = roads.allowed_speed(state.edge, state.along_m)
        beyond = roads.allowed_speed(state.onward, np.zeros(len(here)))
        left = roads.length_m[state.edge] - state.along_m
        return np.minimum(here, np.sqrt(beyond**2 + 2 * SLOWING_MPS2 * left))

    def _drive(self, acceleration: Array) -> State:
        state, roads = self.state, self.roads
        speed = np.maximum(0.0, state.speed_mps + acceleration * STEP_S)
        speed[(speed < _STANDING_MPS) & (acceleration < _STANDING_MPS)] = 0.0
        state.acceleration_mps2 = (speed - state.speed_mps) / STEP_S
        state.stretch = changing.stretch(self)
        before = State(**{name: getattr(state, name).copy() for name in _FIELDS})
        way = (state.speed_mps + speed) / 2 * STEP_S * state.stretch
        state.along_m += way
        state.odometer_m += way
        state.speed_mps = speed
        for index in np.flatnonzero(state.along_m > roads.length_m[state.edge]).tolist():
            state.along_m[index] -= roads.length_m[state.edge[index]]
            state.edge[index], state.onward[index] = state.onward[index], state.beyond[index]
            state.beyond[index] = self._choose(index, int(state.onward[index]))
        self._steps += 1
        self.time_s = self._steps * STEP_S
        return before

    def _choose(self, index: int, edge: int) -> int:
        """An edge that follows `edge`, drawn by the driver's liking of turns."""
        options = self.roads.outgoing[edge]
        if len(options) == 1:
            return options[0]
        weights = self.fleet.turns[index][self.roads.turn[list(options)]] + 1e-9
        return options[int(np.searchsorted(np.cumsum(weights), self._rng.random() * weights.sum()))]


_FIELDS = tuple(field.name for field in attrs.fields(State))
