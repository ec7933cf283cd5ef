"""Small maps and scenes for the tests of the feature builder, made here or driven in a synthetic town."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import numpy as np
import pytest
import shapely

from pluto_core.filters import ScenarioFilter
from pluto_core.geometry import rotation
from pluto_core.maps import AREA_LAYERS, Areas, Blocks, Lanes, Layer, MapView, Polygons, Polylines, Ragged, empty_areas
from pluto_core.scene import Ego, Lights, ScenarioId, Scene, StaticObjects, Tracks, Window
from pluto_nuplan.config import NuPlanConfig
from pluto_nuplan.source import NuPlanSource
from pluto_nuplan.synth.dataset import write_dataset
from pluto_planner.config import PlutoFeaturesConfig
from pluto_planner.features import PlutoFeatures

LANE_WIDTH_M = 4.0
WINDOW = Window(history_s=2.0, future_s=8.0, interval_s=0.1)


@attrs.frozen(kw_only=True)
class RoadLane:
    """A lane to be laid: its centre line, its roadblock, where it leads."""

    id: int
    line: np.ndarray
    block: int
    to: tuple[int, ...] = ()
    connector: bool = False
    limit_mps: float | None = None
    width_m: float = LANE_WIDTH_M

    def side(self, sign: float) -> np.ndarray:
        """Return the left (+1) or right (-1) edge."""
        step = np.gradient(self.line, axis=0)
        normal = np.stack([-step[:, 1], step[:, 0]], axis=1) / np.hypot(*step.T)[:, None]
        return self.line + sign * normal * self.width_m / 2

    def ring(self) -> np.ndarray:
        """Return the closed outline."""
        return np.concatenate([self.side(1.0), self.side(-1.0)[::-1], self.side(1.0)[:1]])


def straight(x0: float, x1: float, y: float = 0.0, spacing: float = 0.25) -> np.ndarray:
    """Return a line along x with a vertex every `spacing`."""
    count = round(abs(x1 - x0) / spacing)
    return np.stack([np.linspace(x0, x1, count + 1), np.full(count + 1, y)], axis=1)


def between(start: tuple[float, float], end: tuple[float, float], spacing: float = 0.25) -> np.ndarray:
    """Return a smooth line that leaves and arrives along x."""
    share = np.linspace(0.0, 1.0, round(np.hypot(end[0] - start[0], end[1] - start[1]) / spacing) + 1)
    rise = share * share * (3 - 2 * share)
    return np.stack([start[0] + share * (end[0] - start[0]), start[1] + rise * (end[1] - start[1])], axis=1)


def make_map(lanes: Sequence[RoadLane], crosswalks: Iterable[np.ndarray] = (), carparks: Iterable[np.ndarray] = ()) -> MapView:
    """Return a map of some lanes; ids are unique over all of them."""
    ordered = sorted(lanes, key=lambda lane: (lane.connector, lane.id))
    row_of = {lane.id: row for row, lane in enumerate(ordered)}
    block_ids = sorted({(lane.connector, lane.block) for lane in ordered})
    block_row = {block: row for row, (_, block) in enumerate(block_ids)}
    edges = [(row_of[lane.id], row_of[one]) for lane in ordered for one in sorted(lane.to, key=lambda to: row_of[to])]
    block_of = np.array([block_row[lane.block] for lane in ordered], np.int64)
    block_edges = sorted({(int(block_of[a]), int(block_of[b])) for a, b in edges if block_of[a] != block_of[b]})
    areas = {layer: empty_areas() for layer in AREA_LAYERS}
    areas[Layer.CROSSWALK] = _areas(crosswalks, 900)
    areas[Layer.CARPARK] = _areas(carparks, 950)
    count = len(ordered)
    table = Lanes(
        ids=np.array([lane.id for lane in ordered], np.int64),
        lane_count=sum(not lane.connector for lane in ordered),
        polygons=Polygons.from_rings([lane.ring() for lane in ordered]),
        baselines=Polylines.from_lines([lane.line for lane in ordered]),
        left=Polylines.from_lines([lane.side(1.0) for lane in ordered]),
        right=Polylines.from_lines([lane.side(-1.0) for lane in ordered]),
        reach=Polylines.from_lines([lane.line if lane.connector else np.zeros((0, 2)) for lane in ordered]),
        speed_limit_mps=np.array([lane.limit_mps or 0.0 for lane in ordered]),
        has_speed_limit=np.array([lane.limit_mps is not None for lane in ordered], np.bool_),
        has_lights=np.array([lane.connector for lane in ordered], np.bool_),
        lane_index=np.zeros(count, np.int64),
        block=block_of,
        successors=_ragged(edges, count),
        predecessors=_ragged([(b, a) for a, b in edges], count),
        stop_polygons=_ragged([], count),
    )
    outlines = [shapely.union_all([shapely.Polygon(m.ring()) for m in ordered if m.block == b]) for _, b in block_ids]
    blocks = Blocks(
        ids=np.array([block for _, block in block_ids], np.int64),
        block_count=sum(not connector for connector, _ in block_ids),
        polygons=Polygons.from_rings([np.array(shapely.convex_hull(one).exterior.coords) for one in outlines]),
        successors=_ragged(block_edges, len(block_ids)),
        predecessors=_ragged([(b, a) for a, b in block_edges], len(block_ids)),
        interior=_ragged(sorted(zip(block_of.tolist(), range(count), strict=True)), len(block_ids)),
        intersection=np.full(len(block_ids), -1),
    )
    return MapView(name="made", lanes=table, blocks=blocks, areas=areas)


def _areas(rings: Iterable[np.ndarray], first_id: int) -> Areas:
    polygons = Polygons.from_rings([np.asarray(ring, np.float64) for ring in rings])
    return Areas(ids=first_id + np.arange(len(polygons)), polygons=polygons, kind=np.full(len(polygons), -1))


def _ragged(pairs: Sequence[tuple[int, int]], count: int) -> Ragged:
    rows, values = (np.array([pair[i] for pair in pairs], np.int64) for i in range(2))
    return Ragged.from_pairs(rows, values, count)


def driving(speed_mps: float = 10.0, x: float = 10.0, y: float = 0.0, window: Window = WINDOW) -> Ego:
    """Return an ego vehicle that drives along x and is at (x, y) at time zero."""
    steps = window.steps
    time = (np.arange(steps) - window.history_steps) * window.interval_s
    return Ego(
        position=np.stack([x + speed_mps * time, np.full(steps, y)], axis=1),
        heading=np.zeros(steps),
        velocity=np.tile([speed_mps, 0.0], (steps, 1)),
        acceleration=np.zeros((steps, 2)),
        steering_angle=np.zeros(steps),
        yaw_rate=np.zeros(steps),
        valid=np.ones(steps, np.bool_),
        acceleration_valid=np.ones(steps, np.bool_),
        steering_valid=np.zeros(steps, np.bool_),
    )


def make_tracks(rows: Sequence[Mapping[str, Any]], window: Window = WINDOW) -> Tracks:
    """Return tracks of `position` ((2,) or (T, 2)) and, if they differ from a standing car, the other arrays by name."""
    steps = window.steps

    def stacked(name: str, default: Any, shape: tuple[int, ...]) -> np.ndarray:
        values = [np.broadcast_to(row.get(name, default), shape) for row in rows]
        return np.array(values, np.float64) if rows else np.zeros((0, *shape))

    valid = stacked("valid", True, (steps,)).astype(np.bool_)  # noqa: FBT003 -- the default of the column
    return Tracks(
        token=np.array([f"track{index}".encode() for index in range(len(rows))], "S16"),
        category=np.array([row.get("category", 0) for row in rows], np.int8),
        position=stacked("position", 0.0, (steps, 2)) * valid[..., None],
        heading=stacked("heading", 0.0, (steps,)) * valid,
        velocity=stacked("velocity", 0.0, (steps, 2)) * valid[..., None],
        size=stacked("size", (2.0, 4.5), (steps, 2)) * valid[..., None],
        valid=valid,
    )


def make_static(rows: Sequence[tuple[int, float, float]]) -> StaticObjects:
    """Return static objects of (category, x, y), one metre wide."""
    return StaticObjects(
        token=np.array([f"static{index}".encode() for index in range(len(rows))], "S16"),
        category=np.array([row[0] for row in rows], np.int8),
        position=np.array([row[1:] for row in rows], np.float64).reshape(-1, 2),
        heading=np.zeros(len(rows)),
        size=np.ones((len(rows), 2)),
    )


def make_lights(connectors: Sequence[tuple[int, int]], window: Window = WINDOW) -> Lights:
    """Return (connector, status) statements at time zero."""
    return Lights(
        step=np.full(len(connectors), window.history_steps, np.int64),
        connector_id=np.array([one for one, _ in connectors], np.int64),
        status=np.array([status for _, status in connectors], np.int8),
    )


def make_scene(view: MapView, route: Sequence[int], **parts: Any) -> Scene:
    """Return a scene on a map; what is not given is empty, the ego vehicle drives along x."""
    window = parts.pop("window", WINDOW)
    given = {
        "ego": driving(window=window),
        "tracks": make_tracks([], window),
        "static_objects": make_static([]),
        "lights": make_lights([], window),
    } | parts
    return Scene(
        id=ScenarioId("log", "token", 1_000_000),
        window=window,
        times_us=1_000_000 + np.arange(-window.history_steps, window.future_steps + 1) * 100_000,
        route=np.array(route, np.int64),
        goal=None,
        map=view,
        **given,
    )


def straight_road(**options: Any) -> MapView:
    """Return one straight lane of 400 m, id 1 in roadblock 11."""
    return make_map([RoadLane(id=1, line=straight(-200.0, 200.0), block=11)], **options)


def fork() -> MapView:
    """Return a lane that ends at x = 30 and goes on to the left and to the right for 200 m."""
    return make_map(
        [
            RoadLane(id=1, line=straight(-60.0, 30.0), block=11, to=(21, 22)),
            RoadLane(id=21, line=between((30.0, 0.0), (80.0, 15.0)), block=31, to=(2,), connector=True),
            RoadLane(id=22, line=between((30.0, 0.0), (80.0, -15.0)), block=31, to=(3,), connector=True),
            RoadLane(id=2, line=straight(80.0, 280.0, 15.0), block=12),
            RoadLane(id=3, line=straight(80.0, 280.0, -15.0), block=12),
        ]
    )


def moved(scene: Scene, angle: float = 0.0, shift: tuple[float, float] = (0.0, 0.0)) -> Scene:
    """Return the scene with the whole world turned about the origin and then shifted."""
    turn, offset = rotation(-angle), np.array(shift)

    def point(points: np.ndarray) -> np.ndarray:
        return points @ turn + offset

    ego, tracks, static = scene.ego, scene.tracks, scene.static_objects
    seen = tracks.valid
    return attrs.evolve(
        scene,
        map=_moved_map(scene.map, point),
        ego=attrs.evolve(ego, position=point(ego.position), heading=ego.heading + angle),
        tracks=attrs.evolve(
            tracks,
            position=np.where(seen[..., None], point(tracks.position), 0.0),
            heading=np.where(seen, tracks.heading + angle, 0.0),
            velocity=tracks.velocity @ turn,
        ),
        static_objects=attrs.evolve(static, position=point(static.position), heading=static.heading + angle),
    )


def _moved_map(view: MapView, point: Callable[[np.ndarray], np.ndarray]) -> MapView:
    def lines(old: Polylines) -> Polylines:
        return Polylines(old.offsets, point(old.points))

    def polygons(old: Polygons) -> Polygons:
        return Polygons(old.ring_offsets, lines(old.rings), old.holes)

    def table(old: Any) -> Any:
        change = {Polylines: lines, Polygons: polygons}
        values = {field.name: getattr(old, field.name) for field in attrs.fields(type(old))}
        return type(old)(**{name: change.get(type(value), lambda same: same)(value) for name, value in values.items()})

    areas = {layer: table(one) for layer, one in view.areas.items()}
    return MapView(name=view.name, lanes=table(view.lanes), blocks=table(view.blocks), areas=areas)


@pytest.fixture(scope="session")
def world() -> SimpleNamespace:
    """Return the makers of this file by name."""
    names = (RoadLane, straight, between, make_map, driving, make_tracks, make_static, make_lights, make_scene)
    return SimpleNamespace(**{maker.__name__: maker for maker in (*names, straight_road, fork, moved, build)}, window=WINDOW)


def build(scene: Scene, **settings: Any) -> dict[str, np.ndarray]:
    """Return the sample of a scene; without a cost map unless asked for one."""
    config = PlutoFeaturesConfig(**{"cost_map": "none"} | settings)
    return PlutoFeatures(config).build(scene)


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> list[Scene]:
    """Return six scenes driven in a synthetic town."""
    folder = tmp_path_factory.mktemp("town")
    summary = write_dataset(folder / "data", logs=2, seconds=16, seed=3, grid=(3, 3))
    config = NuPlanConfig(data_root=str(summary.data_root), map_root=str(summary.map_root))
    source = NuPlanSource(config, cache_home=Path(folder / "cache"))
    ids = list(source.list(ScenarioFilter()).ids())
    by_log = {log: [one for one in ids if one.log == log] for log in {one.log for one in ids}}
    chosen = [by_log[log][frame] for log in sorted(by_log) for frame in (45, 80, 120)]
    return [source.load(one, WINDOW) for one in chosen]
