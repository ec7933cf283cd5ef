"""Scenarios of nuplan-devkit as scenes.

Only the interface of `AbstractScenario` is asked, so that any scenario builder's scenarios will do; the devkit itself is not
imported here.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import numpy as np

from pluto_core.errors import Reason, SampleError
from pluto_core.maps import MapView
from pluto_core.scene import (
    MOVING,
    Ego,
    Floats,
    Lights,
    ScenarioId,
    Scene,
    StaticObjects,
    Tracks,
    Vehicle,
    Window,
    as_tokens,
    empty_tracks,
)

ORIGINAL = "pluto_devkit.scenario"
"""Key in `MapView.derived` under which a scene keeps the scenario that it was made of, for builders of the devkit."""


def scene_of(scenario: Any, identity: ScenarioId, window: Window, view: MapView) -> Scene:
    """Return a scenario as a scene; steps that it cannot give are not valid.

    Args:
        scenario: An `AbstractScenario`; its iteration 0 is time zero.
        identity: The scene's id.
        window: The span to ask for.
        view: The map around the ego vehicle.

    Raises:
        SampleError: The scenario cannot be read.
    """
    try:
        return _Reading(scenario, window).scene(identity, view)
    except SampleError:
        raise
    except Exception as error:
        raise SampleError(Reason.BROKEN_ROWS, f"{type(scenario).__name__}: {type(error).__name__}: {error}") from error


@attrs.frozen
class _Reading:
    """Asks a scenario for what a window holds. Answers stand by step; what was not recorded is None."""

    scenario: Any
    window: Window

    def scene(self, identity: ScenarioId, view: MapView) -> Scene:
        """Return the scene."""
        whole = (self.window.history_steps, self.window.future_steps)
        states = self._steps("ego_{}_trajectory", self.scenario.initial_ego_state, whole)
        valid = np.array([state is not None for state in states])
        known = (int(valid[: whole[0]].sum()), int(valid[whole[0] + 1 :].sum()))
        frames = self._steps("{}_tracked_objects", self.scenario.initial_tracked_objects, known)
        present = list(self.scenario.get_traffic_light_status_at_iteration(0))
        lights = self._steps("{}_traffic_light_status_history", present, known)
        objects = [[] if frame is None else list(frame.tracked_objects) for frame in frames]
        return Scene(
            id=identity,
            window=self.window,
            times_us=_times(states, self.window),
            ego=_ego(states, self.scenario.ego_vehicle_parameters),
            tracks=_tracks(objects, self.window.history_steps),
            static_objects=_static_objects(objects[self.window.history_steps]),
            lights=_lights(lights),
            route=_route(self.scenario),
            goal=_goal(self.scenario),
            map=attrs.evolve(view, derived={**view.derived, ORIGINAL: self.scenario}),
            scenario_type=self.scenario.scenario_type,
        )

    def _steps(self, method: str, present: Any, counts: tuple[int, int]) -> list[Any]:
        """Return one answer a step; recordings that begin late or end early lack those furthest from time zero."""
        before = self._asked("get_" + method.format("past"), counts[0])
        after = self._asked("get_" + method.format("future"), counts[1])
        lacking = self.window.history_steps - len(before), self.window.future_steps - len(after)
        return [*[None] * lacking[0], *before, present, *after, *[None] * lacking[1]]

    def _asked(self, method: str, steps: int) -> list[Any]:
        """Return the answers of so many steps; one less where the devkit stumbles over the first or last frame of a log."""
        for count in (steps, steps - 1):
            if count <= 0:
                return []
            try:
                return list(getattr(self.scenario, method)(0, count * self.window.interval_s, count))
            except AttributeError:
                if count < steps:
                    raise
        return []


def _times(states: Sequence[Any], window: Window) -> Any:
    now = states[window.history_steps].time_us
    offsets = np.arange(-window.history_steps, window.future_steps + 1) * (window.interval_s * 1e6)
    times = now + np.rint(offsets).astype(np.int64)
    known = np.flatnonzero([state is not None for state in states])
    nominal = times.copy()
    times[known] = [states[step].time_us for step in known.tolist()]
    first, last = known[0], known[-1]
    times[:first] = nominal[:first] + times[first] - nominal[first]
    times[last + 1 :] = nominal[last + 1 :] + times[last] - nominal[last]
    return times


def _ego(states: Sequence[Any], parameters: Any) -> Ego:
    rows = np.array([_ego_row(state) for state in states])
    valid = np.array([state is not None for state in states])
    steered = valid & bool(rows[:, 7:].any())
    return Ego(
        position=rows[:, :2],
        heading=rows[:, 2],
        velocity=rows[:, 3:5],
        acceleration=rows[:, 5:7],
        steering_angle=rows[:, 7],
        yaw_rate=rows[:, 8],
        valid=valid,
        acceleration_valid=valid.copy(),
        steering_valid=steered,
        vehicle=Vehicle(
            width_m=parameters.width,
            front_length_m=parameters.front_length,
            rear_length_m=parameters.rear_length,
            wheel_base_m=parameters.wheel_base,
            cog_from_rear_axle_m=parameters.cog_position_from_rear_axle,
        ),
    )


def _ego_row(state: Any) -> list[float]:
    if state is None:
        return [0.0] * 9
    pose, motion = state.rear_axle, state.dynamic_car_state
    speed, change = motion.rear_axle_velocity_2d, motion.rear_axle_acceleration_2d
    turning = (state.tire_steering_angle, motion.angular_velocity)
    return [pose.x, pose.y, pose.heading, speed.x, speed.y, change.x, change.y, *map(_finite, turning)]


def _tracks(frames: Sequence[Sequence[Any]], present: int) -> Tracks:
    rows: dict[str, int] = {}
    order = [present, *(step for step in range(len(frames)) if step != present)]
    seen = [(step, one) for step in order for one in frames[step] if one.tracked_object_type.value in MOVING]
    for _, one in seen:
        rows.setdefault(one.track_token, len(rows))
    if not rows:
        return empty_tracks(len(frames))
    cells = np.zeros((len(rows), len(frames), 7))
    valid = np.zeros(cells.shape[:2], np.bool_)
    category = np.full(len(rows), -1, np.int8)
    for step, one in seen:
        row = rows[one.track_token]
        velocity = one.velocity
        cells[row, step] = [*_box(one), _finite(velocity.x), _finite(velocity.y)]
        valid[row, step] = True
        category[row] = one.tracked_object_type.value if category[row] < 0 else category[row]
    return Tracks(
        token=as_tokens(list(rows)),
        category=category,
        position=cells[..., :2].copy(),
        heading=cells[..., 2].copy(),
        size=cells[..., 3:5].copy(),
        velocity=cells[..., 5:].copy(),
        valid=valid,
    )


def _static_objects(frame: Sequence[Any]) -> StaticObjects:
    things = [one for one in frame if one.tracked_object_type.value not in MOVING]
    boxes = np.array([_box(one) for one in things]).reshape(-1, 5)
    return StaticObjects(
        token=as_tokens([one.track_token for one in things]),
        category=np.array([one.tracked_object_type.value for one in things], np.int8),
        position=boxes[:, :2],
        heading=boxes[:, 2],
        size=boxes[:, 3:],
    )


def _box(one: Any) -> list[float]:
    return [one.center.x, one.center.y, one.center.heading, one.box.width, one.box.length]


def _lights(steps: Sequence[Any]) -> Lights:
    rows = [(step, light) for step, found in enumerate(steps) for light in _statements(found)]
    return Lights(
        step=np.array([step for step, _ in rows], np.int64),
        connector_id=np.array([int(light.lane_connector_id) for _, light in rows], np.int64),
        status=np.array([int(light.status) for _, light in rows], np.int8),
    )


def _statements(found: Any) -> Iterator[Any]:
    if found is not None:
        yield from getattr(found, "traffic_lights", found)


def _route(scenario: Any) -> Any:
    """Return the ids of the route's blocks; none where the scenario knows no route."""
    try:
        blocks = scenario.get_route_roadblock_ids()
    except AssertionError:
        blocks = []
    return np.array([int(block) for block in blocks if str(block).strip().lstrip("-").isdigit()], np.int64)


def _goal(scenario: Any) -> Floats | None:
    goal = scenario.get_mission_goal()
    return None if goal is None else np.array([goal.x, goal.y, goal.heading], np.float64)


def _finite(value: Any) -> float:
    number = 0.0 if value is None else float(value)
    return number if math.isfinite(number) else 0.0
