"""The ego vehicle: where it is now, its state, and its trajectory as row 0 of the agents."""

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.errors import Reason, SampleError
from pluto_core.geometry import wrap
from pluto_core.samples import Sample
from pluto_core.scene import Scene, Vehicle
from pluto_planner.features import boxes

Floats = npt.NDArray[np.float64]

STANDING_MPS = 0.2
"""Below this speed a heading difference says nothing about steering."""
MAX_YAW_RATE_RAD_S = 0.95
MAX_STEERING_RAD = 2 * np.pi / 3


@attrs.frozen(kw_only=True, eq=False)
class Present:
    """The ego vehicle at time zero."""

    step: int
    position: Floats
    """(2,) rear axle, m, global."""
    heading: float
    """rad, global."""
    center: Floats
    """(2,) geometric centre, m, global."""
    velocity: Floats
    """(2,) of the rear axle, m/s, body frame."""
    footprint: Any
    """shapely polygon, global."""
    vehicle: Vehicle


def present(scene: Scene) -> Present:
    """Return the ego vehicle at time zero.

    Raises:
        SampleError: With `PRESENT_MISSING`, where that frame was not recorded.
    """
    ego, step = scene.ego, scene.present
    if not ego.valid[step]:
        raise SampleError(Reason.PRESENT_MISSING, f"the ego vehicle has no pose at {scene.id.start_us}")
    heading = ego.heading[step]
    center = ego.position[step] + ego.vehicle.center_from_rear_axle_m * np.array([np.cos(heading), np.sin(heading)])
    size = np.array([[ego.vehicle.width_m, ego.vehicle.length_m]])
    return Present(
        step=step,
        position=ego.position[step],
        heading=float(heading),
        center=center,
        velocity=ego.velocity[step],
        footprint=boxes.polygons(center[None], heading[None], size)[0],
        vehicle=ego.vehicle,
    )


def current_state(scene: Scene, *, parity: bool) -> Floats:
    """Return the (7,) state: rear axle x, y, heading, longitudinal velocity and acceleration, steering angle, yaw rate.

    Steering angle and yaw rate are taken as recorded where they are known, and derived from two headings elsewhere. A
    closed loop that begins from a recording holds zeros there: unless in parity these are derived too (D-3).
    """
    ego, step = scene.ego, scene.present
    steering, yaw_rate = ego.steering_angle[step], ego.yaw_rate[step]
    unset = not parity and steering == 0 and yaw_rate == 0
    if not ego.steering_valid[step] or unset:
        steering, yaw_rate = _derived_turn(scene)
    return np.array(
        [*ego.position[step], ego.heading[step], ego.velocity[step, 0], ego.acceleration[step, 0], steering, yaw_rate]
    )


def _derived_turn(scene: Scene) -> tuple[float, float]:
    """Return steering angle and yaw rate of a kinematic bicycle between the previous and the present heading."""
    ego, step = scene.ego, scene.present
    speed = abs(ego.velocity[step, 0])
    if speed < STANDING_MPS or step == 0 or not ego.valid[step - 1]:
        return 0.0, 0.0
    yaw_rate = wrap(ego.heading[step] - ego.heading[step - 1]) / scene.window.interval_s
    steering = np.arctan(yaw_rate * ego.vehicle.wheel_base_m / speed)
    limits = MAX_STEERING_RAD, MAX_YAW_RATE_RAD_S
    return float(np.clip(steering, -limits[0], limits[0])), float(np.clip(yaw_rate, -limits[1], limits[1]))


def trajectory(scene: Scene) -> Sample:
    """Return position, heading, velocity, shape (T, ...) of the ego vehicle in the global frame, and where they are known."""
    ego = scene.ego
    cos, sin = np.cos(ego.heading), np.sin(ego.heading)
    forward, left = ego.velocity.T
    return {
        "position": ego.position,
        "heading": ego.heading,
        "velocity": np.stack([forward * cos - left * sin, forward * sin + left * cos], axis=-1),
        "shape": np.broadcast_to([ego.vehicle.width_m, ego.vehicle.length_m], (len(ego.heading), 2)),
        "valid_mask": ego.valid,
    }
