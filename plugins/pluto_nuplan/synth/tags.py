"""Scenario tags: which of nuPlan's scenario types hold at which frames of a drive."""

import attrs
import numpy as np
import numpy.typing as npt

from pluto_nuplan.synth.curves import Array
from pluto_nuplan.synth.drive import Drive
from pluto_nuplan.synth.ego import LENGTH_M
from pluto_nuplan.synth.objects import CATEGORIES, Objects
from pluto_nuplan.synth.signals import GREEN
from pluto_nuplan.synth.town import LEFT, RIGHT, STRAIGHT
from pluto_nuplan.synth.traffic import STEP_S

Bools = npt.NDArray[np.bool_]

_STANDING_MPS = 0.1
_STARTED_S = 1.0
_LONG_VEHICLE_M = 6.0


@attrs.frozen(eq=False)
class _Frames:
    """What the tags look at, arrays of shape (F,)."""

    speed: Array
    along: Array
    lateral: Array
    gap: Array
    ahead: Array
    line: Array
    on_lane: Bools
    turn: Array
    since_entry_s: Array
    red: Bools
    change_done: Array
    change_m: Array


def tag_frames(drive: Drive, times_s: Array, motion: Array, objects: Objects) -> dict[str, Bools]:
    """Frames of each scenario type.

    Args:
        drive: The drive.
        times_s: Times of the frames since its start, shape (F,).
        motion: Speed, acceleration along and across of the ego at the frames, shape (F, 3).
        objects: What it sees.

    Returns:
        Scenario type -> bool array of shape (F,); types that never hold are left out.
    """
    tags = _near(objects)
    if drive.parked is None:
        frames = _look(drive, times_s, motion)
        tags |= _speed(frames) | _following(frames) | _lights(frames) | _junction(frames) | _changing(frames)
    else:
        tags |= {"stationary": np.ones(len(times_s), bool), "on_carpark": np.ones(len(times_s), bool)}
    return {name: held for name, held in sorted(tags.items()) if held.any()}


def _look(drive: Drive, times_s: Array, motion: Array) -> _Frames:
    roads, ego, steps = drive.world.roads, drive.ego, drive.steps
    step = np.clip((times_s / STEP_S).astype(np.int64), 0, len(drive.people_m) - 1)
    now = {name: values[step, ego] for name, values in steps.items()}
    edge = now["edge"].astype(np.int64)
    onward = now["onward"].astype(np.int64)
    on_lane = edge < roads.lane_count
    line = roads.length_m[edge] - now["along_m"] - LENGTH_M / 2
    states = np.stack([drive.signals.states(drive.start_s + time) for time in times_s])
    light = states[np.arange(len(step)), np.where(on_lane, onward - roads.lane_count, 0)]
    entered = np.concatenate(([True], np.diff(drive.ego_edges()) != 0))
    entry = np.maximum.accumulate(np.where(entered, np.arange(len(entered)), 0))
    return _Frames(
        speed=motion[:, 0],
        along=motion[:, 1],
        lateral=motion[:, 2],
        gap=now["gap_m"],
        ahead=now["ahead_mps"],
        line=np.where(on_lane, line, np.inf),
        on_lane=on_lane,
        turn=roads.turn[edge].astype(np.float64),
        since_entry_s=np.asarray((step - entry[step]) * STEP_S, np.float64),
        red=on_lane & (light != GREEN),
        change_done=(now["odometer_m"] - now["change_from_m"]) / now["change_way_m"],
        change_m=now["change_m"],
    )


def _speed(frames: _Frames) -> dict[str, Bools]:
    speed = frames.speed
    return {
        "high_magnitude_speed": speed > 10.5,  # noqa: PLR2004
        "medium_magnitude_speed": (speed > 6.0) & (speed < 7.5),  # noqa: PLR2004
        "low_magnitude_speed": (speed > 0.3) & (speed < 2.0),  # noqa: PLR2004
        "stationary": speed < _STANDING_MPS,
        "high_lateral_acceleration": np.abs(frames.lateral) > 1.5,  # noqa: PLR2004
    }


def _following(frames: _Frames) -> dict[str, Bools]:
    led = frames.on_lane & (frames.gap < 30.0) & (frames.speed > 1.0)  # noqa: PLR2004
    return {
        "following_lane_with_lead": led & (frames.ahead > 1.0),
        "following_lane_with_slow_lead": led & (frames.ahead > 1.0) & (frames.ahead < 6.0),  # noqa: PLR2004
        "following_lane_without_lead": frames.on_lane & (frames.gap > 45.0) & (frames.speed > 3.0),  # noqa: PLR2004
        "stopping_with_lead": led & (frames.along < -0.8) & (frames.gap < 18.0),  # noqa: PLR2004
        "stationary_in_traffic": frames.on_lane & (frames.speed < _STANDING_MPS) & (frames.gap < 6.0),  # noqa: PLR2004
    }


def _lights(frames: _Frames) -> dict[str, Bools]:
    led = frames.gap < np.minimum(frames.line, 40.0)
    stands = frames.red & (frames.speed < _STANDING_MPS) & (frames.line < 40.0)  # noqa: PLR2004
    stops = frames.red & (frames.along < -0.7) & (frames.line < 45.0) & (frames.speed > _STANDING_MPS)  # noqa: PLR2004
    starts = (frames.along > 0.8) & (frames.speed < 6.0) & ~frames.red & (frames.line < 25.0)  # noqa: PLR2004
    return {
        "on_stopline_traffic_light": frames.on_lane & (frames.line < 2.0),  # noqa: PLR2004
        "stationary_at_traffic_light_with_lead": stands & led,
        "stationary_at_traffic_light_without_lead": stands & ~led,
        "stopping_at_traffic_light_with_lead": stops & led,
        "stopping_at_traffic_light_without_lead": stops & ~led,
        "accelerating_at_traffic_light_with_lead": starts & led,
        "accelerating_at_traffic_light_without_lead": starts & ~led,
    }


def _junction(frames: _Frames) -> dict[str, Bools]:
    inside = ~frames.on_lane
    starting = inside & (frames.since_entry_s < _STARTED_S)
    return {
        "traversing_intersection": inside,
        "traversing_traffic_light_intersection": inside,
        "on_traffic_light_intersection": inside,
        "starting_left_turn": starting & (frames.turn == LEFT),
        "starting_right_turn": starting & (frames.turn == RIGHT),
        "starting_straight_traffic_light_intersection_traversal": starting & (frames.turn == STRAIGHT),
    }


def _changing(frames: _Frames) -> dict[str, Bools]:
    active = (frames.change_done >= 0) & (frames.change_done < 1)
    return {
        "changing_lane": active,
        "changing_lane_to_left": active & (frames.change_m < 0),
        "changing_lane_to_right": active & (frames.change_m > 0),
    }


def _near(objects: Objects) -> dict[str, Bools]:
    def count(name: str, reach_m: float) -> npt.NDArray[np.int_]:
        chosen = objects.category == CATEGORIES.index(name)
        near: npt.NDArray[np.bool_] = objects.seen[:, chosen] & (objects.distance_m[:, chosen] < reach_m)
        return np.asarray(near.sum(axis=1), np.int_)

    long = (objects.category == 0) & (objects.size_m[:, 1] > _LONG_VEHICLE_M)
    near_long = np.asarray((objects.seen[:, long] & (objects.distance_m[:, long] < 14.0)).any(axis=1), np.bool_)  # noqa: PLR2004
    return {
        "near_multiple_vehicles": count("vehicle", 16.0) >= 6,  # noqa: PLR2004
        "near_multiple_pedestrians": count("pedestrian", 15.0) >= 3,  # noqa: PLR2004
        "near_trafficcone_on_driveable": count("traffic_cone", 8.0) >= 1,
        "near_barrier_on_driveable": count("barrier", 8.0) >= 1,
        "near_construction_zone_sign": count("czone_sign", 10.0) >= 1,
        "near_long_vehicle": near_long,
    }
