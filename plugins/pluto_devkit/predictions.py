"""What agents will do, as nuplan-devkit attaches it to them: their recorded future, resampled by its own interpolation."""

from typing import Any

import numpy as np

from pluto_core.errors import PlutoError
from pluto_core.scene import Scene

try:
    from nuplan.common.actor_state.oriented_box import OrientedBox
    from nuplan.common.actor_state.state_representation import StateSE2, StateVector2D, TimePoint
    from nuplan.common.actor_state.waypoint import Waypoint
    from nuplan.common.geometry.interpolate_state import interpolate_future_waypoints
    from nuplan.planning.simulation.trajectory.predicted_trajectory import PredictedTrajectory
except ImportError as error:
    message = f"nuplan-devkit cannot be imported ({error}); docs/coming-from-nuplan-devkit.md says how to install it"
    raise ImportError(message) from error


def box(position: Any, heading: Any, size: Any) -> Any:
    """Return a box of the devkit's, without a height: scenes hold none."""
    width, length = size.tolist()
    return OrientedBox(StateSE2(*position.tolist(), float(heading)), width=width, length=length, height=0.0)


def predictions(scene: Scene, row: int, step: int, sampling: Any) -> list[Any]:
    """Return the one trajectory, of probability 1, that a track drives from a step on; none where it is not seen.

    Args:
        scene: The scene.
        row: The track.
        step: The step from which to look ahead.
        sampling: The devkit's `TrajectorySampling`; None: nothing is predicted.

    Raises:
        PlutoError: The scene does not reach so far.
    """
    if sampling is None:
        return []
    times_us, horizon_s, interval_s = scene.times_us, sampling.time_horizon, sampling.interval_length
    if step + round(horizon_s / scene.window.interval_s) >= scene.window.steps:
        raise PlutoError(f"the builder asks what objects do {horizon_s} s ahead; set future_s to that or more")
    until_us = times_us[step] + round((horizon_s + interval_s) * 1e6)
    seen = scene.tracks.valid[row] & (times_us >= times_us[step]) & (times_us <= until_us)
    ways = [_waypoint(scene, row, one) for one in np.flatnonzero(seen).tolist()]
    if len(ways) > 1:
        ways = interpolate_future_waypoints(ways, horizon_s, interval_s)
    return [PredictedTrajectory(1.0, ways)] if ways else []


def _waypoint(scene: Scene, row: int, step: int) -> Any:
    tracks = scene.tracks
    return Waypoint(
        TimePoint(int(scene.times_us[step])),
        box(tracks.position[row, step], tracks.heading[row, step], tracks.size[row, step]),
        StateVector2D(*tracks.velocity[row, step].tolist()),
    )
