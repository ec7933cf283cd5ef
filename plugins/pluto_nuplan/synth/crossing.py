"""Who may enter a junction: claims that keep conflicting ways through it apart.

A driver who comes to a junction asks for the connector that he wants. He gets it while its light is green, nobody holds
a connector that meets his, nobody walks on the crosswalks that he must pass, and there is room behind the junction.
He gives it back when he has left, or when the light turns and he can still stop. Straight movements are served first,
so that left turns wait for a gap.
"""

import numpy as np
import numpy.typing as npt

from pluto_nuplan.synth.curves import Array
from pluto_nuplan.synth.drivers import Fleet
from pluto_nuplan.synth.roads import Ints, Roads
from pluto_nuplan.synth.signals import GREEN
from pluto_nuplan.synth.town import LEFT

STOP_SETBACK_M = 0.8
NONE = -1

_STOPPING_MPS2 = 3.0
_REACTION_S = 0.3
_LINE_MARGIN_M = 0.15
_ROOM_M = 3.0
_MOVING_MPS = 4.0
_FAR_M = 1e3


def decision_distance(roads: Roads, onward: Ints, speed_mps: Array) -> Array:
    """How far from the stop line drivers ask for their connector, metres, shape (N,)."""
    left: npt.NDArray[np.bool_] = roads.turn[onward] == LEFT
    straight = speed_mps**2 / 3.6 + 1.5 * speed_mps + 5.0
    return np.where(left, speed_mps**2 / 4.0 + 0.6 * speed_mps + 3.0, straight)


def can_stop(speed_mps: Array, line_m: Array) -> npt.NDArray[np.bool_]:
    """Whether drivers at `line_m` before a stop line can still stop without braking hard, bool, shape (N,)."""
    stoppable: npt.NDArray[np.bool_] = speed_mps**2 / (2 * _STOPPING_MPS2) + _REACTION_S * speed_mps <= line_m - _LINE_MARGIN_M
    return stoppable


def room_behind(roads: Roads, fleet: Fleet, edge: Ints, along_m: Array, speed_mps: Array) -> Array:
    """Free metres at the beginning of every lane, up to a vehicle that hardly moves, shape (lanes,)."""
    room = np.full(roads.lane_count, _FAR_M)
    slow = (edge < roads.lane_count) & (speed_mps < _MOVING_MPS)
    np.minimum.at(room, edge[slow], (along_m - fleet.rear_m)[slow])
    return room


class Claims:
    """The connector that each vehicle holds, -1 for none."""

    def __init__(self, roads: Roads, fleet: Fleet, arms: Ints) -> None:
        """Start with no claims; `arms` (C, 2) are the arms at which each connector begins and ends."""
        self._roads = roads
        self._fleet = fleet
        self._halves = 2 * arms + np.array([0, 1])
        self.held = np.full(len(fleet.kind), NONE)

    def release(self, edge: Ints, along_m: Array) -> None:
        """Give back the claims of vehicles whose rear has left their connector."""
        left = (self.held != NONE) & (edge < self._roads.lane_count) & (along_m > self._fleet.rear_m + 0.3)
        for index in np.flatnonzero(left):
            if self._roads.outgoing[self.held[index]][0] == edge[index]:
                self.held[index] = NONE

    def revoke(self, states: Ints, speed_mps: Array, line_m: Array) -> None:
        """Take claims from those before a light that is green no more, as far as they can stop."""
        state = states[np.maximum(self.held - self._roads.lane_count, 0)]
        back = (self.held != NONE) & (state != GREEN) & can_stop(speed_mps, line_m)
        self.held[back] = NONE

    def arms_in_use(self) -> set[int]:
        """Arms whose crosswalks some vehicle is about to pass or passing."""
        claimed = self.held[self.held != NONE] - self._roads.lane_count
        return set((self._halves[claimed] // 2).ravel().tolist())

    def grant(self, asking: Ints, onward: Ints, line_m: Array, ahead: Ints, room_m: Array, walked: set[int]) -> None:
        """Hand out connectors to those who ask, straight movements and the nearest first.

        Args:
            asking: Indices of vehicles before a green light and near enough.
            onward: The connector that each vehicle wants, shape (N,).
            line_m: Distance of each front to its stop line, shape (N,).
            ahead: Vehicle ahead in the same lane, -1 for none, shape (N,).
            room_m: Free metres at the beginning of each lane, those already promised left out; changed.
            walked: Halves of crosswalks that somebody walks on or will: 2 * arm + 0 over the lanes into the junction,
                1 over those out of it.
        """
        taken = set(self.held[self.held != NONE].tolist())
        lefts = self._roads.turn[onward[asking]] == LEFT
        for index in asking[np.lexsort((line_m[asking], lefts))]:
            wanted = int(onward[index])
            target = self._roads.outgoing[wanted][0]
            behind_one_who_waits = ahead[index] != NONE and self.held[ahead[index]] == NONE
            met = not taken.isdisjoint(self._roads.conflicts[wanted])
            crossed = not walked.isdisjoint(self._halves[wanted - self._roads.lane_count].tolist())
            if behind_one_who_waits or met or crossed or room_m[target] < self._needs(index):
                continue
            room_m[target] -= self._needs(index)
            self.held[index] = wanted
            taken.add(wanted)

    def promise(self, edge: Ints, room_m: Array) -> None:
        """Take from `room_m` what those need who hold a connector and have not come through yet."""
        for index in np.flatnonzero(self.held != NONE):
            target = self._roads.outgoing[self.held[index]][0]
            if edge[index] != target:
                room_m[target] -= self._needs(index)

    def _needs(self, index: np.int64) -> float:
        return float(self._fleet.front_m[index] + self._fleet.rear_m[index] + _ROOM_M)
