"""Causal keys: what leads the ego vehicle, which red light it obeys, where its path is free. Augmentations read them.

Spec: pluto-features section 10.
"""

import numpy as np
import numpy.typing as npt
import shapely

from pluto_core.samples import Sample
from pluto_core.scene import Scene
from pluto_planner.features.ego import Present
from pluto_planner.features.map_geometry import MapGeometry
from pluto_planner.features.map_polygons import Nearby
from pluto_planner.features.obstacles import Leading
from pluto_planner.features.paths import Piece

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

BRAKING_MPS2 = 5.0
"""Deceleration behind `v^2 / 10`."""
HALF_LENGTH_M = 2.588
LEAST_FREE_M = 7.0
GAP_M = 3.0


def build(lead: Leading, agents: Ints, found: Nearby, scene: Scene) -> Sample:
    """Return the masks and distances of the leading objects by agent and by polygon.

    Args:
        lead: What is in the way.
        agents: Row of the track of each agent, without the ego vehicle.
        found: The sample's polygons, before those outside the radius are left out.
        scene: The scene, for its number of tracks.
    """
    distance_of = np.full(len(scene.tracks.token) + 1, np.nan)
    moving = lead.tracks >= 0
    distance_of[lead.tracks[moving]] = lead.distance_m[moving]
    distance = np.concatenate([[np.nan], distance_of[agents]])
    red = lead.red_lights[lead.red_lights >= 0]
    cares = np.zeros(len(found), np.bool_)
    cares[: len(found.lanes)] = np.isin(found.lanes, red)
    return {
        "causal/is_waiting_for_red_light_without_lead": np.array(lead.nearest_red_light == 0),
        "causal/leading_agent_mask": ~np.isnan(distance),
        "causal/leading_distance": np.nan_to_num(distance),
        "causal/ego_care_red_light_mask": cares,
    }


def obeyed_future(ground: MapGeometry, lead: Leading, scene: Scene) -> Mask:
    """Return the mask of future steps up to where the expert runs the nearest red light: no example to follow from there."""
    center = scene.ego.center()[scene.present + 1 :]
    valid = scene.ego.valid[scene.present + 1 :]
    obeyed = np.ones(len(center), np.bool_)
    nearest = lead.nearest_red_light
    if nearest >= 0:
        polygon = ground.lanes[lead.red_lights[nearest : nearest + 1]][0]
        inside = shapely.contains_xy(polygon, center[:, 0], center[:, 1]) & valid
        obeyed &= np.cumsum(inside) == 0
    return obeyed


def free_path(lead: Leading, agents: Ints, ahead: Piece | None, progress_m: float, now: Present) -> Floats:
    """Return the (k, 3) poses of the ego path between the stopping distance and what comes next; often none."""
    if ahead is None:
        return np.zeros((0, 3))
    speed_sq = float((now.velocity**2).sum())
    begin, end = speed_sq / (2 * BRAKING_MPS2) + HALF_LENGTH_M, max(LEAST_FREE_M, speed_sq / 3)
    agent = np.isin(lead.tracks, agents)
    if agent.any():
        end = float(lead.distance_m[agent].min())
    nearest = lead.nearest_red_light
    if nearest >= 0:
        end = min(end, float(lead.distance_m[nearest]))
    inside = (ahead.arc_m >= progress_m + begin + GAP_M) & (ahead.arc_m <= progress_m + end - GAP_M)
    return ahead.poses[inside]
