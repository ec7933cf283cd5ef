"""What is in the ego vehicle's way along its path: objects of the present frame and red lights.

Spec: pluto-features section 8.5.
"""

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import shapely

from pluto_core.maps import Layer
from pluto_core.scene import LightStatus, Scene
from pluto_planner.features import boxes
from pluto_planner.features.ego import Present
from pluto_planner.features.map_geometry import MapGeometry
from pluto_planner.features.paths import Piece
from pluto_planner.features.route import Route

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

QUARTER_SEGMENTS = 16
"""Segments of a quarter circle in the corridor's round joins."""


@attrs.frozen(kw_only=True, eq=False)
class Leading:
    """What the corridor along the ego path meets, nearest to the ego vehicle first."""

    tracks: Ints
    """(k,) row of the track in the scene, -1 where it is something else."""
    red_lights: Ints
    """(k,) row of the lane connector whose light is red, -1 where it is something else."""
    distance_m: Floats
    """(k,) between the object's polygon and the ego vehicle's."""

    @property
    def nearest_red_light(self) -> int:
        """Return the position in the list of the first red light, -1 where there is none."""
        red = np.flatnonzero(self.red_lights >= 0)
        return int(red[0]) if len(red) else -1


def leading(ground: MapGeometry, scene: Scene, route: Route, ahead: Piece | None, now: Present, radius_m: float) -> Leading:
    """Return what stands in the way of the ego path's next piece; nothing where there is no path."""
    if ahead is None:
        return Leading(tracks=np.zeros(0, np.int64), red_lights=np.zeros(0, np.int64), distance_m=np.zeros(0))
    shapes, tracks, red_lights = _obstacles(ground, scene, route, now, radius_m)
    line = shapely.linestrings(ahead.poses[:, :2])
    corridor = shapely.buffer(line, now.vehicle.width_m / 2, quad_segs=QUARTER_SEGMENTS, cap_style="square")
    shapely.prepare(corridor)
    met = np.flatnonzero(shapely.intersects(corridor, shapes) | shapely.intersects(now.footprint, shapes))
    distance = shapely.distance(shapes[met], now.footprint)
    order = np.argsort(distance, kind="stable")
    return Leading(tracks=tracks[met[order]], red_lights=red_lights[met[order]], distance_m=distance[order])


def _obstacles(
    ground: MapGeometry, scene: Scene, route: Route, now: Present, radius_m: float
) -> tuple[npt.NDArray[Any], Ints, Ints]:
    """Return polygons, track rows and connector rows: tracks, static objects, then red lights on the route."""
    tracks, static = scene.tracks, scene.static_objects
    seen = np.flatnonzero(tracks.valid[:, now.step])
    seen = seen[np.hypot(*(tracks.position[seen, now.step] - now.center).T) < radius_m]
    still = np.flatnonzero(np.hypot(*(static.position - now.center).T) < radius_m)
    red = _red_lights(ground, scene, route)
    shapes = np.concatenate(
        [
            boxes.polygons(tracks.position[seen, now.step], tracks.heading[seen, now.step], tracks.size[seen, now.step]),
            boxes.polygons(static.position[still], static.heading[still], static.size[still]),
            ground.lanes[red],
        ]
    )
    nothing = np.full(len(still), -1)
    track_rows = np.concatenate([seen, nothing, np.full(len(red), -1)])
    return shapes, track_rows, np.concatenate([np.full(len(seen), -1), nothing, red])


def _red_lights(ground: MapGeometry, scene: Scene, route: Route) -> Ints:
    """Return the lane connectors of the route whose light is red, in the order of the lights."""
    connectors, status = scene.lights.at(scene.present)
    rows = [ground.view.row(Layer.LANE_CONNECTOR, int(one)) for one in connectors[status == LightStatus.RED]]
    return np.array([row for row in rows if row in route.lane_set], np.int64)
