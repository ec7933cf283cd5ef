"""The recording vehicle: which of the cars of a drive it is, by what happens to it."""

import attrs
import numpy as np

from pluto_nuplan.synth.curves import Array
from pluto_nuplan.synth.drivers import CAR, Fleet
from pluto_nuplan.synth.roads import Roads
from pluto_nuplan.synth.town import STRAIGHT

BEHAVIOURS = (
    "cruise",
    "red_light",
    "turning",
    "slow_leader",
    "lane_change",
    "turning",
    "red_light",
    "cruise",
    "off_route",
    "cruise",
    "red_light",
    "parked",
)
WIDTH_M, LENGTH_M, HEIGHT_M = 2.297, 5.176, 1.777
AXLE_TO_CENTRE_M = 1.461

_MIDDLE = (0.2, 0.8)
_REACH_M = 300.0
_FITS_BONUS = 1e3
_STANDING_MPS, _SLOW_MPS, _BRISK_MPS = 0.1, (2.0, 6.5), 8.0
_WAIT = (0.15, 0.5)
_CLOSE_M = 22.0
_USUAL_FACTOR = 0.8


@attrs.frozen(eq=False)
class Past:
    """What happened to all vehicles, arrays of shape (K, N) with one row a step; times in seconds."""

    start_s: float
    step_s: float
    edge: Array
    along_m: Array
    speed_mps: Array
    change_s: Array
    gap_m: Array


def choose_ego(past: Past, fleet: Fleet, roads: Roads, behaviour: str, centre_m: Array, rng: np.random.Generator) -> int:
    """The car that shows `behaviour` best in the middle of the time, and stays near `centre_m`; its index."""
    count = len(past.speed_mps)
    ends = np.array([0, count // 2, count - 1])
    x, y, _ = roads.pose(past.edge[ends].astype(np.int64), past.along_m[ends])
    near = np.maximum(np.abs(x - centre_m[0]), np.abs(y - centre_m[1])).max(axis=0) < _REACH_M
    fits = (fleet.kind == CAR) & (fleet.speed_factor > _USUAL_FACTOR) & (past.along_m[0] > AXLE_TO_CENTRE_M + 0.1)
    shown = _shown(past, roads, behaviour)
    return int(np.argmax(fits * _FITS_BONUS + near * _FITS_BONUS / 2 + shown + rng.uniform(0.0, 0.15, len(fits))))


def _shown(past: Past, roads: Roads, behaviour: str) -> Array:
    """How much of a behaviour each vehicle shows, about 0 to 2, shape (N,)."""
    count = len(past.speed_mps)
    first, last = (round(share * count) for share in _MIDDLE)
    speed = past.speed_mps[first:last]
    pace: Array = speed.mean(axis=0) / 10.0
    shown = pace
    if behaviour == "red_light":
        stands = (speed < _STANDING_MPS).mean(axis=0)
        lively = (speed > _BRISK_MPS).mean(axis=0)
        shown = 1.0 * ((stands > _WAIT[0]) & (stands < _WAIT[1])) + np.minimum(lively, 0.4)
    elif behaviour == "slow_leader":
        slow = (speed > _SLOW_MPS[0]) & (speed < _SLOW_MPS[1]) & (past.gap_m[first:last] < _CLOSE_M)
        shown = 2.0 * slow.mean(axis=0)
    elif behaviour == "lane_change":
        begun = past.change_s[last - 1] - past.start_s
        shown = 1.0 * ((begun > first * past.step_s) & (begun < (last - 1) * past.step_s)) + pace / 2
    elif behaviour in {"turning", "off_route"}:
        turn = roads.turn[past.edge[first:last].astype(np.int64)]
        turning = ((turn >= 0) & (turn != STRAIGHT) & (speed > _SLOW_MPS[0])).mean(axis=0)
        shown = np.minimum(4.0 * turning, 1.0) + pace / 2
    return shown
