"""A scene as a sketch: what the dataset says, before any builder chose from it."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pluto_core.geometry import rotation
from pluto_core.maps import Layer
from pluto_core.scene import Category, LightStatus, Scene
from pluto_core.sketch import Area, Box, Line, Role, Sketch, Track

Floats = npt.NDArray[np.float64]

ROLES = {Category.VEHICLE: Role.VEHICLE, Category.PEDESTRIAN: Role.PEDESTRIAN, Category.BICYCLE: Role.BICYCLE}
LIGHT_ROLES = {
    LightStatus.GREEN: Role.LIGHT_GREEN,
    LightStatus.YELLOW: Role.LIGHT_YELLOW,
    LightStatus.RED: Role.LIGHT_RED,
}
_GOAL_M = 1.5
_LANES = {Layer.LANE: Role.LANE, Layer.LANE_CONNECTOR: Role.LANE_CONNECTOR}


def sketch_of(scene: Scene, *, radius_m: float = 60.0) -> Sketch:
    """Return what a scene shows around the ego at time zero: map, lights, route, goal, and everybody's past and future."""
    view = _Frame(scene, radius_m)
    moving = tuple(view.moving())
    return Sketch(
        lines=(*view.map_lines(), *view.ways(moving), *view.goal()),
        boxes=tuple(view.boxes(moving)),
        areas=tuple(view.areas()),
        radius_m=radius_m,
        tracks=moving,
        present=scene.present,
        interval_s=scene.window.interval_s,
    )


class _Frame:
    """A scene as the ego sees it at time zero."""

    def __init__(self, scene: Scene, radius_m: float) -> None:
        self.scene = scene
        self.radius_m = radius_m
        self.center = scene.ego.position[scene.present]
        self.turn = float(scene.ego.heading[scene.present])
        # The square that is asked for stands with the map, the picture with the ego: corners reach further. A map that ends
        # before the picture does shows what it has.
        reach = [radius_m * np.sqrt(2.0)]
        if scene.map.extent is not None:
            low, high = np.asarray(scene.map.extent[:2]), np.asarray(scene.map.extent[2:])
            reach += [*(self.center - low), *(high - self.center)]
        self.room_m = float(min(reach))

    def local(self, points: Floats) -> Floats:
        """Return (k, 2) points in the ego frame, m."""
        moved: Floats = (points - self.center) @ rotation(self.turn)
        return moved

    def rows(self, layer: Layer) -> list[int]:
        """Return the rows of what a layer has near the ego."""
        if self.room_m <= 0:
            return []
        return [int(row) for row in self.scene.map.near(layer, self.center, self.room_m)]

    def areas(self) -> Iterator[Area]:
        """Yield the polygons of lanes, connectors and crosswalks."""
        table = self.scene.map
        for layer, role in _LANES.items():
            for row in self.rows(layer):
                yield Area(points=self.local(table.lanes.polygons.exterior(row)), role=role)
        crossings = table.areas[Layer.CROSSWALK]
        for row in self.rows(Layer.CROSSWALK):
            yield Area(points=self.local(crossings.polygons.exterior(row)), role=Role.CROSSWALK)

    def map_lines(self) -> Iterator[Line]:
        """Yield centre lines, boundaries, the route and lights."""
        lanes, blocks = self.scene.map.lanes, self.scene.map.blocks
        ids, states = self.scene.lights.at(self.scene.present)
        light = dict(zip(ids.tolist(), states.tolist(), strict=True))
        route = set(self.scene.route.tolist())
        for layer, role in _LANES.items():
            for row in self.rows(layer):
                center = self.local(lanes.baselines.line(row))
                for side in (lanes.left, lanes.right):
                    yield Line(points=self.local(side.line(row)), role=Role.BOUNDARY)
                known = light.get(int(lanes.ids[row])) if layer is Layer.LANE_CONNECTOR else None
                yield Line(points=center, role=LIGHT_ROLES.get(LightStatus(known), role) if known is not None else role)
                if lanes.block[row] >= 0 and int(blocks.ids[lanes.block[row]]) in route:
                    yield Line(points=center, role=Role.ROUTE)

    def moving(self) -> Iterator[Track]:
        """Yield the ego and all tracks."""
        ego, tracks = self.scene.ego, self.scene.tracks
        size = ego.vehicle.length_m, ego.vehicle.width_m
        yield _track(self.local(ego.center()), ego.heading - self.turn, ego.valid, size, Role.EGO)
        for row, category in enumerate(tracks.category):
            valid = tracks.valid[row]
            if valid.any():
                shown = self.scene.present if valid[self.scene.present] else int(np.argmax(valid))
                width, length = tracks.size[row, shown]
                role = ROLES.get(Category(int(category)), Role.OTHER)
                yield _track(self.local(tracks.position[row]), tracks.heading[row] - self.turn, valid, (length, width), role)

    def ways(self, moving: Sequence[Track]) -> Iterator[Line]:
        """Yield everybody's past and future; the ego's from its rear axle."""
        now = self.scene.present
        steps = np.arange(self.scene.window.steps)
        own = self.local(self.scene.ego.position)
        for track in moving:
            points = own if track.role is Role.EGO else track.positions
            for role, part in ((Role.HISTORY, steps <= now), (Role.FUTURE, steps >= now)):
                if np.count_nonzero(track.valid & part) > 1:
                    yield Line(points=points[track.valid & part], role=role)

    def boxes(self, moving: Sequence[Track]) -> Iterator[Box]:
        """Yield who is there at time zero, and what stands there."""
        now = self.scene.present
        for track in moving:
            if track.valid[now]:
                yield Box(
                    center=track.positions[now], heading_rad=float(track.headings_rad[now]),
                    length_m=track.length_m, width_m=track.width_m, role=track.role,
                )  # fmt: skip
        static = self.scene.static_objects
        for place, heading, (width, length) in zip(self.local(static.position), static.heading, static.size, strict=True):
            yield Box(center=place, heading_rad=float(heading - self.turn), length_m=length, width_m=width, role=Role.STATIC)

    def goal(self) -> Iterator[Line]:
        """Yield a small cross at the goal, where it is in sight."""
        if self.scene.goal is None:
            return
        x, y = self.local(self.scene.goal[None, :2])[0]
        if max(abs(x), abs(y)) < self.radius_m:
            for dx, dy in ((_GOAL_M, _GOAL_M), (_GOAL_M, -_GOAL_M)):
                yield Line(points=np.array([[x - dx, y - dy], [x + dx, y + dy]]), role=Role.GOAL)


def _track(
    positions: Floats, headings_rad: Floats, valid: npt.NDArray[np.bool_], size: tuple[float, float], role: Role
) -> Track:
    length, width = (float(side) for side in size)
    return Track(positions=positions, headings_rad=headings_rad, valid=valid, length_m=length, width_m=width, role=role)
