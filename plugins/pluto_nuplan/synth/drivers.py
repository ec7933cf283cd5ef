"""Drivers of all kinds: their vehicles, habits and how hard they accelerate.

Car following is the intelligent driver model (Treiber, Hennecke and Helbing 2000), in the form that takes the lower of
the free and the following acceleration, so that a driver with nobody ahead reaches the speed that he wants.
"""

import attrs
import numpy as np
import numpy.typing as npt

from pluto_nuplan.synth.curves import Array
from pluto_nuplan.synth.roads import Ints

CAR, LONG, BICYCLE = range(3)
HARDEST_BRAKE_MPS2 = 7.5

_SHARES = (0.86, 0.08, 0.06)
_TURNS = ((0.22, 0.53, 0.25), (0.04, 0.95, 0.01), (0.1, 0.6, 0.3))
_SLOW_SHARE = 0.04
_SPEED_GAIN_S = 0.8
_GENTLE_BRAKE_MPS2 = 2.6
_LEAST_GAP_M = 0.1


@attrs.define(eq=False)
class Fleet:
    """Vehicles and habits of their drivers, arrays of shape (N,).

    A vehicle's reference point lies on its path; `front_m` and `rear_m` are the distances from there to its bumpers.
    """

    kind: Ints
    front_m: Array
    rear_m: Array
    width_m: Array
    height_m: Array
    top_speed_mps: Array
    speed_factor: Array
    acceleration_mps2: Array
    braking_mps2: Array
    headway_s: Array
    standstill_m: Array
    aside_m: Array
    sway_m: Array
    sway_wave_m: Array
    sway_phase_rad: Array
    turns: Array
    change_rate_hz: Array


def draw_fleet(rightmost: npt.NDArray[np.bool_], rng: np.random.Generator) -> Fleet:
    """Draw vehicles and habits of drivers; bicycles only where `rightmost` (N,) is true."""
    count = len(rightmost)
    kind = rng.choice(3, count, p=_SHARES)
    kind[(kind == BICYCLE) & ~rightmost] = CAR
    length = np.choose(kind, (rng.uniform(4.1, 5.2, count), rng.uniform(6.0, 7.6, count), rng.uniform(1.6, 1.9, count)))
    width = np.choose(kind, (rng.uniform(1.75, 2.08, count), rng.uniform(2.2, 2.45, count), rng.uniform(0.5, 0.7, count)))
    height = np.choose(kind, (rng.uniform(1.45, 1.9, count), rng.uniform(2.4, 3.2, count), rng.uniform(1.5, 1.8, count)))
    cycling = kind == BICYCLE
    return Fleet(
        kind=kind,
        front_m=length / 2,
        rear_m=length / 2,
        width_m=width,
        height_m=height,
        top_speed_mps=np.where(cycling, rng.uniform(3.8, 5.8, count), 40.0),
        speed_factor=np.where(rng.random(count) < _SLOW_SHARE, rng.uniform(0.42, 0.6, count), rng.uniform(0.84, 1.08, count)),
        acceleration_mps2=np.where(cycling, 0.9, rng.uniform(1.3, 2.1, count)),
        braking_mps2=rng.uniform(1.7, 2.5, count),
        headway_s=rng.uniform(1.0, 1.6, count),
        standstill_m=rng.uniform(1.8, 2.8, count),
        aside_m=np.where(cycling, -1.05, rng.uniform(-0.1, 0.1, count)),
        sway_m=np.where(cycling, 0.08, rng.uniform(0.02, 0.16, count)),
        sway_wave_m=rng.uniform(45.0, 90.0, count),
        sway_phase_rad=rng.uniform(0.0, 2 * np.pi, count),
        turns=np.array(_TURNS)[kind],
        change_rate_hz=np.where(kind == CAR, 0.04, 0.0),
    )


def free_acceleration(fleet: Fleet, speed_mps: Array, allowed_mps: Array) -> Array:
    """Acceleration in m/s^2 of drivers with nobody ahead, shape (N,); gentle braking where they are too fast."""
    wanted = np.minimum(allowed_mps * np.minimum(fleet.speed_factor, 1.0), fleet.top_speed_mps)
    reach = (wanted - speed_mps) / _SPEED_GAIN_S
    eager = fleet.acceleration_mps2 * (1 - (speed_mps / np.maximum(wanted, 0.1)) ** 4)
    return np.clip(reach, -_GENTLE_BRAKE_MPS2, np.maximum(eager, 0.0))


def follow_acceleration(fleet: Fleet, speed_mps: Array, gap_m: Array, ahead_mps: Array) -> Array:
    """Acceleration in m/s^2 of drivers behind something at `gap_m` that drives at `ahead_mps`, shape (N,)."""
    closing = speed_mps * (speed_mps - ahead_mps) / (2 * np.sqrt(fleet.acceleration_mps2 * fleet.braking_mps2))
    wanted_m = fleet.standstill_m + np.maximum(0.0, speed_mps * fleet.headway_s + closing)
    follow: Array = fleet.acceleration_mps2 * (1 - (wanted_m / np.maximum(gap_m, _LEAST_GAP_M)) ** 2)
    return np.maximum(follow, -HARDEST_BRAKE_MPS2)
