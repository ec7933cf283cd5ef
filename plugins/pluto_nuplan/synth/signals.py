"""Traffic lights: each junction's cycle and the state of every connector's light at any time.

A cycle serves the two axes of a junction in turn. Left turns share the green of their axis, go on for some seconds
after the straight movements have stopped, and then have a yellow of their own; between axes everything is red.
"""

import attrs
import numpy as np

from pluto_nuplan.synth.curves import Array
from pluto_nuplan.synth.roads import Ints
from pluto_nuplan.synth.town import LEFT, Town

GREEN, YELLOW, RED = range(3)
STATUS_NAMES = ("green", "yellow", "red")
YELLOW_S = 3.5
LEFT_YELLOW_S = 3.0

_GREEN_S = (9.0, 13.0)
_SIDE_GREEN_S = (6.0, 8.0)
_LEFT_LAG_S = 3.0
_ALL_RED_S = 1.5
_WALK_S = 6.0


@attrs.define(eq=False)
class Signals:
    """Timing of all lights of a town; times are seconds since the simulation began.

    Attributes:
        cycle_s, offset_s: Length and shift of each junction's cycle, shape (J,).
        junction: Junction of each connector, shape (C,).
        start_s, green_s, yellow_s: When in the cycle a connector's green begins, and the ends of its green and yellow
            after that, shape (C,).
        arm_free_s: When in its junction's cycle no connector may come out of an arm, as start and length, shape (A, 2).
        arm_junction: Junction of each arm, shape (A,).
    """

    cycle_s: Array
    offset_s: Array
    junction: Ints
    start_s: Array
    green_s: Array
    yellow_s: Array
    arm_free_s: Array
    arm_junction: Ints

    def states(self, time_s: float) -> Ints:
        """State of every connector's light (0 green, 1 yellow, 2 red), shape (C,)."""
        phase = (time_s + self.offset_s[self.junction] - self.start_s) % self.cycle_s[self.junction]
        return np.where(phase < self.green_s, GREEN, np.where(phase < self.yellow_s, YELLOW, RED))

    def seconds_to_green(self, connector: int, time_s: float) -> float:
        """How long a connector's light stays other than green, 0 where it is green."""
        junction = self.junction[connector]
        phase = (time_s + self.offset_s[junction] - self.start_s[connector]) % self.cycle_s[junction]
        return 0.0 if phase < self.green_s[connector] else float(self.cycle_s[junction] - phase)

    def seconds_of_walk(self, arm: int, time_s: float) -> float:
        """How long those who set out now have to cross an arm; 0 where they may not set out."""
        junction = self.arm_junction[arm]
        start, length = self.arm_free_s[arm]
        phase = (time_s + self.offset_s[junction] - start) % self.cycle_s[junction]
        return float(length - phase) if phase < _WALK_S else 0.0


def draw_signals(town: Town, rng: np.random.Generator) -> Signals:
    """Draw a timing for every junction of a town."""
    count = len(town.junctions)
    green = rng.uniform(*_GREEN_S, (count, 2)).round(1)
    for each in town.junctions:
        axes = np.array([town.arms[arm].direction % 2 for arm in each.arms])
        alone = np.flatnonzero(np.bincount(axes, minlength=2) == 1)
        green[each.index, alone] = rng.uniform(*_SIDE_GREEN_S, len(alone)).round(1)
    served = green + YELLOW_S + _LEFT_LAG_S + LEFT_YELLOW_S + _ALL_RED_S
    axis = np.array([town.arms[connector.arms[0]].direction % 2 for connector in town.connectors])
    junction = np.array([connector.junction for connector in town.connectors])
    left = np.array([connector.turn == LEFT for connector in town.connectors])
    straight_end = green[junction, axis]
    green_end = straight_end + left * (YELLOW_S + _LEFT_LAG_S)
    cycle = served.sum(axis=1)
    arm_axis = np.array([arm.direction % 2 for arm in town.arms])
    arm_junction = np.array([arm.junction for arm in town.arms])
    free_start = np.where(arm_axis == 0, served[arm_junction, 0], 0.0)
    free_length = served[arm_junction, 1 - arm_axis]
    return Signals(
        cycle_s=cycle,
        offset_s=rng.uniform(0.0, 1.0, count) * cycle,
        junction=junction,
        start_s=np.where(axis == 0, 0.0, served[junction, 0]),
        green_s=green_end,
        yellow_s=green_end + np.where(left, LEFT_YELLOW_S, YELLOW_S),
        arm_free_s=np.stack((free_start, free_length), axis=1),
        arm_junction=arm_junction,
    )
