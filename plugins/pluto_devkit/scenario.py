"""A scene as a scenario of nuplan-devkit: its builders read logs through our reader.

`NuPlanScenario` answers the questions of the devkit's `AbstractScenario` from the arrays of a scene, in the devkit's own types.
Rows are counted as the devkit counts them (nuPlan v1.1, `sample_indices_with_time_horizon`). What scenes do not hold is
refused or said to be unknown: sensors, heights of boxes (0), angular velocities of agents (NaN, as in the devkit), static
objects at other times than time zero.
"""

import os
from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np

from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.scene import Scene, Vehicle
from pluto_devkit.predictions import box, predictions

try:
    from nuplan.common.actor_state.agent import Agent
    from nuplan.common.actor_state.ego_state import EgoState
    from nuplan.common.actor_state.scene_object import SceneObjectMetadata
    from nuplan.common.actor_state.state_representation import StateSE2, StateVector2D, TimePoint
    from nuplan.common.actor_state.static_object import StaticObject
    from nuplan.common.actor_state.tracked_objects import TrackedObjects
    from nuplan.common.actor_state.tracked_objects_types import TrackedObjectType
    from nuplan.common.actor_state.vehicle_parameters import VehicleParameters
    from nuplan.common.maps.maps_datatypes import TrafficLightStatusData, TrafficLightStatuses, TrafficLightStatusType
    from nuplan.common.maps.nuplan_map.map_factory import get_maps_api
    from nuplan.planning.scenario_builder.abstract_scenario import AbstractScenario
    from nuplan.planning.scenario_builder.scenario_utils import sample_indices_with_time_horizon
    from nuplan.planning.simulation.observation.observation_type import DetectionsTracks
except ImportError as error:
    message = f"nuplan-devkit cannot be imported ({error}); docs/coming-from-nuplan-devkit.md says how to install it"
    raise ImportError(message) from error

MAPS = "NUPLAN_MAPS_ROOT"
"""Environment variable in which the devkit expects the folder of maps."""


class NuPlanScenario(AbstractScenario):  # type: ignore[misc]
    """The devkit's view of a scene. Iteration 0 is time zero; iterations go on to the end of the scene's window."""

    def __init__(self, scene: Scene, *, map_root: str | None = None, map_version: str = "nuplan-maps-v1.0") -> None:
        """Keep the scene; objects are made when they are asked for.

        Args:
            scene: What to show.
            map_root: Folder of nuPlan's maps; None: $NUPLAN_MAPS_ROOT.
            map_version: As the devkit's configuration calls it.
        """
        self.scene = scene
        self._map_root, self._map_version = map_root, map_version
        self._vehicle = _parameters(scene.ego.vehicle)
        self._ego: dict[int, EgoState] = {}
        self._tracks: dict[int, DetectionsTracks] = {}

    def __reduce__(self) -> Any:
        """Let the scenario travel to another process."""
        return _again, (self.scene, self._map_root, self._map_version)

    @property
    def token(self) -> str:
        """Return the scenario's token."""
        return self.scene.id.token

    @property
    def log_name(self) -> str:
        """Return the name of its log."""
        return self.scene.id.log

    @property
    def scenario_name(self) -> str:
        """Return its token, as the devkit's own scenarios do."""
        return self.token

    @property
    def scenario_type(self) -> str:
        """Return its type, where the source knows it."""
        return self.scene.scenario_type

    @property
    def ego_vehicle_parameters(self) -> Any:
        """Return the shape of the ego vehicle."""
        return self._vehicle

    @property
    def map_api(self) -> Any:
        """Return the map, from the devkit's own factory.

        Raises:
            PlutoError: Nobody says where the maps are.
        """
        root = self._map_root or os.environ.get(MAPS)
        if not root:
            message = f"the builder asks for the map, and nobody says where it is: set map_root, or ${MAPS}"
            raise PlutoError(message)
        return get_maps_api(root, self._map_version, self.scene.map.name)

    @property
    def database_interval(self) -> float:
        """Return the time between two iterations, s."""
        return self.scene.window.interval_s

    def get_number_of_iterations(self) -> int:
        """Return the number of frames from time zero on."""
        return 1 + self.scene.window.future_steps

    def get_time_point(self, iteration: int) -> Any:
        """Return the time of an iteration."""
        return TimePoint(int(self.scene.times_us[self._step(iteration)]))

    def get_lidar_to_ego_transform(self) -> NoReturn:
        """Refuse: scenes hold no sensors."""
        _no_sensors()

    def get_mission_goal(self) -> Any:
        """Return the goal of the mission; None where it is unknown."""
        return None if self.scene.goal is None else StateSE2(*self.scene.goal.tolist())

    def get_route_roadblock_ids(self) -> list[str]:
        """Return the route's roadblocks."""
        return [str(block) for block in self.scene.route.tolist()]

    def get_expert_goal_state(self) -> Any:
        """Return the last known pose of the ego vehicle in the window."""
        last = int(np.flatnonzero(self.scene.ego.valid)[-1])
        return self._ego_at(last).rear_axle

    def get_tracked_objects_at_iteration(self, iteration: int, future_trajectory_sampling: Any = None) -> Any:
        """Return the objects of an iteration."""
        return self._objects_at(self._step(iteration), future_trajectory_sampling)

    def get_tracked_objects_within_time_window_at_iteration(
        self,
        iteration: int,
        past_time_horizon: float,
        future_time_horizon: float,
        filter_track_tokens: set[str] | None = None,
        future_trajectory_sampling: Any = None,
    ) -> Any:
        """Return the objects of all frames around an iteration, by type, time and track."""
        times_us = self.scene.times_us
        now_us, sampling = times_us[self._step(iteration)], future_trajectory_sampling
        inside = (times_us >= now_us - past_time_horizon * 1e6) & (times_us <= now_us + future_time_horizon * 1e6)
        found = [one for step in np.flatnonzero(inside).tolist() for one in self._objects_at(step, sampling).tracked_objects]
        if filter_track_tokens is not None:
            found = [one for one in found if one.track_token in filter_track_tokens]
        found.sort(key=lambda one: (one.tracked_object_type.value, one.metadata.timestamp_us, one.track_token))
        return DetectionsTracks(TrackedObjects(found))

    def get_sensors_at_iteration(self, iteration: int, channels: Any = None) -> NoReturn:
        """Refuse: scenes hold no sensors."""
        del iteration, channels
        _no_sensors()

    def get_past_sensors(
        self, iteration: int, time_horizon: float, num_samples: int | None = None, channels: Any = None
    ) -> NoReturn:
        """Refuse: scenes hold no sensors."""
        del iteration, time_horizon, num_samples, channels
        _no_sensors()

    def get_ego_state_at_iteration(self, iteration: int) -> Any:
        """Return the state of the ego vehicle."""
        return self._ego_at(self._step(iteration))

    def get_traffic_light_status_at_iteration(self, iteration: int) -> Iterator[Any]:
        """Yield the lights of an iteration."""
        yield from self._lights_at(self._step(iteration))

    def get_past_traffic_light_status_history(
        self, iteration: int, time_horizon: float, num_samples: int | None = None
    ) -> Iterator[Any]:
        """Yield the lights of past frames, oldest first."""
        return (TrafficLightStatuses(list(self._lights_at(step))) for step in self._past(iteration, time_horizon, num_samples))

    def get_future_traffic_light_status_history(
        self, iteration: int, time_horizon: float, num_samples: int | None = None
    ) -> Iterator[Any]:
        """Yield the lights of future frames."""
        return (TrafficLightStatuses(list(self._lights_at(step))) for step in self._later(iteration, time_horizon, num_samples))

    def get_future_timestamps(self, iteration: int, time_horizon: float, num_samples: int | None = None) -> Iterator[Any]:
        """Yield the times of future frames."""
        return (TimePoint(int(self.scene.times_us[step])) for step in self._later(iteration, time_horizon, num_samples))

    def get_past_timestamps(self, iteration: int, time_horizon: float, num_samples: int | None = None) -> Iterator[Any]:
        """Yield the times of past frames, oldest first."""
        return (TimePoint(int(self.scene.times_us[step])) for step in self._past(iteration, time_horizon, num_samples))

    def get_ego_future_trajectory(self, iteration: int, time_horizon: float, num_samples: int | None = None) -> Iterator[Any]:
        """Yield future states of the ego vehicle."""
        return map(self._ego_at, self._later(iteration, time_horizon, num_samples))

    def get_ego_past_trajectory(self, iteration: int, time_horizon: float, num_samples: int | None = None) -> Iterator[Any]:
        """Yield past states of the ego vehicle, oldest first."""
        return map(self._ego_at, self._past(iteration, time_horizon, num_samples))

    def get_past_tracked_objects(
        self, iteration: int, time_horizon: float, num_samples: int | None = None, future_trajectory_sampling: Any = None
    ) -> Iterator[Any]:
        """Yield the objects of past frames, oldest first."""
        steps = self._past(iteration, time_horizon, num_samples)
        return (self._objects_at(step, future_trajectory_sampling) for step in steps)

    def get_future_tracked_objects(
        self, iteration: int, time_horizon: float, num_samples: int | None = None, future_trajectory_sampling: Any = None
    ) -> Iterator[Any]:
        """Yield the objects of future frames."""
        steps = self._later(iteration, time_horizon, num_samples)
        return (self._objects_at(step, future_trajectory_sampling) for step in steps)

    def _step(self, iteration: int) -> int:
        if not 0 <= iteration < self.get_number_of_iterations():
            raise SampleError(Reason.PRESENT_MISSING, f"the builder asks for iteration {iteration}, beyond its future_s")
        return self.scene.present + iteration

    def _later(self, iteration: int, time_horizon: float, num_samples: int | None) -> list[int]:
        return self._sampled(iteration, time_horizon, num_samples, 1)

    def _past(self, iteration: int, time_horizon: float, num_samples: int | None) -> list[int]:
        return self._sampled(iteration, time_horizon, num_samples, -1)[::-1]

    def _sampled(self, iteration: int, time_horizon: float, num_samples: int | None, way: int) -> list[int]:
        """Return the steps that a horizon holds, nearest first; those that were not recorded are left out."""
        interval_s, here = self.database_interval, self._step(iteration)
        wanted = num_samples or int(time_horizon / interval_s)
        steps = [here + way * rank for rank in sample_indices_with_time_horizon(wanted, time_horizon, interval_s)]
        if steps and not 0 <= steps[-1] < self.scene.window.steps:
            key = "future_s" if way > 0 else "history_s"
            raise PlutoError(f"the builder looks {time_horizon} s {'ahead' if way > 0 else 'back'}; set {key} to that or more")
        return [step for step in steps if self.scene.ego.valid[step]]

    def _ego_at(self, step: int) -> Any:
        if step not in self._ego:
            ego = self.scene.ego
            if not ego.valid[step]:
                raise SampleError(Reason.PRESENT_MISSING, f"the ego vehicle was not recorded at {self.scene.times_us[step]}")
            self._ego[step] = EgoState.build_from_rear_axle(
                StateSE2(*ego.position[step].tolist(), float(ego.heading[step])),
                rear_axle_velocity_2d=StateVector2D(*ego.velocity[step].tolist()),
                rear_axle_acceleration_2d=StateVector2D(*ego.acceleration[step].tolist()),
                tire_steering_angle=float(ego.steering_angle[step]),
                time_point=TimePoint(int(self.scene.times_us[step])),
                vehicle_parameters=self._vehicle,
                angular_vel=float(ego.yaw_rate[step]),
            )
        return self._ego[step]

    def _objects_at(self, step: int, sampling: Any = None) -> Any:
        if sampling is not None:
            return DetectionsTracks(TrackedObjects([*self._agents(step, sampling), *self._static_objects(step)]))
        if step not in self._tracks:
            self._tracks[step] = DetectionsTracks(TrackedObjects([*self._agents(step), *self._static_objects(step)]))
        return self._tracks[step]

    def _agents(self, step: int, sampling: Any = None) -> Iterator[Any]:
        tracks, time_us = self.scene.tracks, int(self.scene.times_us[step])
        for row in np.flatnonzero(tracks.valid[:, step]).tolist():
            yield Agent(
                tracked_object_type=TrackedObjectType(int(tracks.category[row])),
                oriented_box=box(tracks.position[row, step], tracks.heading[row, step], tracks.size[row, step]),
                velocity=StateVector2D(*tracks.velocity[row, step].tolist()),
                metadata=_metadata(tracks.token[row].decode(), row, time_us),
                angular_velocity=np.nan,
                predictions=predictions(self.scene, row, step, sampling),
            )

    def _static_objects(self, step: int) -> Iterator[Any]:
        if step != self.scene.present:
            return
        things, time_us = self.scene.static_objects, int(self.scene.times_us[step])
        for row, token in enumerate(things.token.tolist()):
            yield StaticObject(
                tracked_object_type=TrackedObjectType(int(things.category[row])),
                oriented_box=box(things.position[row], things.heading[row], things.size[row]),
                metadata=_metadata(token.decode(), len(self.scene.tracks.token) + row, time_us),
            )

    def _lights_at(self, step: int) -> Iterator[Any]:
        for connector, status in zip(*(column.tolist() for column in self.scene.lights.at(step)), strict=True):
            yield TrafficLightStatusData(TrafficLightStatusType(status), connector, int(self.scene.times_us[step]))


def _again(scene: Scene, map_root: str | None, map_version: str) -> NuPlanScenario:
    return NuPlanScenario(scene, map_root=map_root, map_version=map_version)


def _metadata(track: str, number: int, time_us: int) -> Any:
    return SceneObjectMetadata(timestamp_us=time_us, token=f"{track}@{time_us}", track_id=number, track_token=track)


def _parameters(vehicle: Vehicle) -> Any:
    return VehicleParameters(
        width=vehicle.width_m,
        front_length=vehicle.front_length_m,
        rear_length=vehicle.rear_length_m,
        cog_position_from_rear_axle=vehicle.cog_from_rear_axle_m,
        wheel_base=vehicle.wheel_base_m,
        vehicle_name="pacifica",
        vehicle_type="gen1",
    )


def _no_sensors() -> NoReturn:
    message = "the builder asks for sensor data, which scenes do not hold; use the source 'devkit', whose scenarios do"
    raise PlutoError(message)
