import contextlib
import json
import math
import os
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
import shapely

from pluto_core.errors import PlutoError
from pluto_nuplan.projection import to_utm
from pluto_nuplan.synth.dataset import ensure_dataset, log_names, write_dataset

SETTINGS = {"logs": 2, "seconds": 12.0, "seed": 7, "grid": (2, 2)}
TABLES = {
    "log",
    "ego_pose",
    "camera",
    "image",
    "lidar",
    "lidar_pc",
    "lidar_box",
    "track",
    "category",
    "scene",
    "scenario_tag",
    "traffic_light_status",
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("synth") / "town", **SETTINGS)


@pytest.fixture(scope="module")
def logs(dataset):
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(contextlib.closing(sqlite3.connect(path))) for path in sorted(dataset.data_root.glob("*.db"))
        ]


@pytest.fixture(scope="module")
def town(dataset):
    [path] = dataset.map_root.glob("us-nv-las-vegas-strip/*/map.gpkg")
    with contextlib.closing(sqlite3.connect(path)) as database:
        yield database


def _frames(log):
    """Time, ego pose and motion of each frame: t, x, y, heading, vx, vy, ax, ay; and frame tokens."""
    rows = log.execute(
        "SELECT p.token, p.timestamp, x, y, qw, qz, vx, vy, acceleration_x, acceleration_y FROM lidar_pc p "
        "JOIN ego_pose e ON p.ego_pose_token = e.token ORDER BY p.timestamp"
    ).fetchall()
    values = np.array([row[1:] for row in rows], np.float64)
    heading = 2 * np.arctan2(values[:, 4], values[:, 3])
    seconds = (values[:, 0] - values[0, 0]) * 1e-6
    return [row[0] for row in rows], np.column_stack((seconds, values[:, 1:3], heading, values[:, 5:]))


def _shapes(town, layer):
    rows = town.execute(f"SELECT fid, geom FROM {layer}").fetchall()  # noqa: S608
    assert all(blob[:4] == b"GP\0\x03" for _, blob in rows)
    shapes = shapely.from_wkb([blob[40:] for _, blob in rows])
    projected = shapely.transform(shapes, lambda at: np.column_stack(to_utm(at[:, 0], at[:, 1], 11)))
    return dict(zip([fid for fid, _ in rows], projected, strict=True))


def _rectangles(pose, length, width):
    corners = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) / 2
    cos, sin = np.cos(pose[:, 2:]), np.sin(pose[:, 2:])
    along, across = corners[:, 0] * length[:, None], corners[:, 1] * width[:, None]
    x, y = pose[:, :1] + along * cos - across * sin, pose[:, 1:2] + along * sin + across * cos
    return shapely.polygons(np.stack((x, y), axis=-1))


def test_schema_is_complete(logs):
    """Every table is there, tokens are 8-byte blobs, and every reference leads to a row."""
    references = (
        ("lidar_pc", "ego_pose_token", "ego_pose"),
        ("lidar_pc", "scene_token", "scene"),
        ("lidar_pc", "next_token", "lidar_pc"),
        ("lidar_box", "lidar_pc_token", "lidar_pc"),
        ("lidar_box", "track_token", "track"),
        ("lidar_box", "next_token", "lidar_box"),
        ("track", "category_token", "category"),
        ("scene", "goal_ego_pose_token", "ego_pose"),
        ("scenario_tag", "lidar_pc_token", "lidar_pc"),
        ("traffic_light_status", "lidar_pc_token", "lidar_pc"),
    )
    for log in logs:
        names = {name for (name,) in log.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        assert names >= TABLES
        for table in names - {"camera", "image"}:
            kinds = log.execute(f"SELECT DISTINCT typeof(token), length(token) FROM {table}").fetchall()  # noqa: S608
            assert kinds == [("blob", 8)]
        for table, column, target in references:
            query = f"SELECT count(*) FROM {table} WHERE {column} NOT NULL AND {column} NOT IN (SELECT token FROM {target})"  # noqa: S608
            assert log.execute(query).fetchone() == (0,)


def test_frames_come_at_20_hz_and_scenes_in_order(logs):
    """240 frames in 12 s with jitter below a millisecond, and enough scenes for the reader to drop four."""
    for log in logs:
        _, frames = _frames(log)
        steps = np.diff(frames[:, 0])
        assert len(frames) == 240
        assert np.abs(steps - 0.05).max() <= 0.0010001
        assert np.ptp(steps) > 0
        names = [name for (name,) in log.execute("SELECT name FROM scene ORDER BY rowid")]
        assert names == sorted(names)
        assert len(names) >= 8


def test_same_seed_same_rows_in_another_process(tmp_path):
    """Another process writes identical rows and map for the same seed, and another seed gives other rows."""
    program = (
        "import sys, pathlib; from pluto_nuplan.synth.dataset import write_dataset; "
        "write_dataset(pathlib.Path(sys.argv[1]), logs=1, seconds=4.0, seed=7, grid=(1, 1))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "5", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "again")], check=True, env=environment)
    here = write_dataset(tmp_path / "here", logs=1, seconds=4.0, seed=7, grid=(1, 1))
    other = write_dataset(tmp_path / "other", logs=1, seconds=4.0, seed=8, grid=(1, 1))
    for path in (*here.data_root.glob("*.db"), *here.map_root.glob("*/*/map.gpkg")):
        relative = path.relative_to(here.root)
        assert _dump(path) == _dump(tmp_path / "again" / relative)
        assert _dump(path) != _dump(other.root / relative)


def _dump(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        return list(database.iterdump())


def test_vehicles_do_not_overlap(logs):
    """At sampled frames no two vehicles, the recording one included, share room, nor do vehicles and people."""
    for log in logs:
        tokens, frames = _frames(log)
        for index in range(0, len(tokens), 15):
            rows = log.execute(
                "SELECT x, y, yaw, b.length, b.width FROM lidar_box b JOIN track t ON b.track_token = t.token "
                "JOIN category c ON t.category_token = c.token WHERE lidar_pc_token = ? "
                "ORDER BY c.name NOT IN ('vehicle', 'bicycle')",
                (tokens[index],),
            ).fetchall()
            _, x, y, heading = frames[index, :4]
            ego = (x + 1.461 * np.cos(heading), y + 1.461 * np.sin(heading), heading, 5.176, 2.297)
            values = np.array([ego, *rows])
            people = log.execute(
                "SELECT count(*) FROM lidar_box b JOIN track t ON b.track_token = t.token JOIN category c "
                "ON t.category_token = c.token WHERE lidar_pc_token = ? AND c.name IN ('vehicle', 'bicycle')",
                (tokens[index],),
            ).fetchone()[0]
            boxes = _rectangles(values[:, :3], values[:, 3], values[:, 4])
            first, second = shapely.STRtree(boxes).query(boxes[: people + 1], predicate="intersects")
            assert (first == second).all()


def test_velocities_are_those_of_the_positions(logs):
    """Ego velocities (body frame, rear axle) and box velocities (global) match differences of positions."""
    for log in logs:
        _, frames = _frames(log)
        velocity = np.gradient(frames[:, 1:3], frames[:, 0], axis=0)
        cos, sin = np.cos(frames[:, 3]), np.sin(frames[:, 3])
        body = np.column_stack(
            (velocity @ [1, 0] * cos + velocity @ [0, 1] * sin, velocity @ [0, 1] * cos - velocity @ [1, 0] * sin)
        )
        assert np.abs(body - frames[:, 4:6])[1:-1].max() < 0.1
        assert np.abs(frames[:, 5]).max() < 0.1
        rows = log.execute(
            "SELECT a.x, a.y, a.vx, a.vy, b.x, b.y, b.vx, b.vy, q.timestamp - p.timestamp FROM lidar_box a "
            "JOIN lidar_box b ON a.next_token = b.token JOIN lidar_pc p ON a.lidar_pc_token = p.token "
            "JOIN lidar_pc q ON b.lidar_pc_token = q.token JOIN track t ON a.track_token = t.token "
            "JOIN category c ON t.category_token = c.token WHERE q.timestamp - p.timestamp < 60000 AND c.name = 'vehicle'"
        ).fetchall()
        values = np.array(rows)
        mean = (values[:, 2:4] + values[:, 6:8]) / 2
        difference = (values[:, 4:6] - values[:, :2]) / (values[:, 8:] * 1e-6)
        assert np.abs(mean - difference).max() < 0.5
        assert np.abs(mean - difference).mean() < 0.02


def test_route_covers_what_is_driven(logs, town):
    """The rear axle is on a roadblock or connector of its scene's route at every frame, and the route leads on."""
    blocks = {**_shapes(town, "lane_groups_polygons"), **_shapes(town, "lane_group_connectors")}
    for log in logs:
        tokens, frames = _frames(log)
        scenes = dict(log.execute("SELECT p.token, s.roadblock_ids FROM lidar_pc p JOIN scene s ON p.scene_token = s.token"))
        for index in range(0, len(tokens), 10):
            route = [int(fid) for fid in scenes[tokens[index]].split(" ")]
            on = shapely.intersects(shapely.points(*frames[index, 1:3]), [shapely.buffer(blocks[fid], 0.05) for fid in route])
            assert on.any()
            assert shapely.distance(blocks[route[-1]], shapely.points(*frames[-1, 1:3])) > 20.0


def test_map_layers_fit_together(town, dataset):
    """Edges' references lead to rows, ids are unique across layers, lights' connectors exist, the zone is named."""
    layers = [name for (name,) in town.execute("SELECT table_name FROM gpkg_geometry_columns")]
    fids = [fid for layer in layers for (fid,) in town.execute(f"SELECT fid FROM {layer}")]  # noqa: S608
    assert len(fids) == len(set(fids))
    for query in (
        "SELECT count(*) FROM lane_connectors c LEFT JOIN lanes_polygons l ON l.fid = c.exit_lane_fid WHERE l.fid IS NULL",
        "SELECT count(*) FROM lane_connectors WHERE lane_group_connector_fid NOT IN (SELECT fid FROM lane_group_connectors)",
        "SELECT count(*) FROM lanes_polygons l LEFT JOIN baseline_paths b ON b.lane_fid = l.fid WHERE b.fid IS NULL",
        "SELECT count(*) FROM lanes_polygons l LEFT JOIN boundaries b ON b.fid = l.left_boundary_fid WHERE b.fid IS NULL",
        "SELECT count(*) FROM lanes_polygons WHERE lane_group_fid NOT IN (SELECT fid FROM lane_groups_polygons)",
    ):
        assert town.execute(query).fetchone() == (0,)
    assert dict(town.execute("SELECT key, value FROM meta"))["projectedCoordSystem"] == "EPSG:32611"
    index = json.loads((dataset.map_root / "nuplan-maps-v1.0.json").read_text())
    assert len(index) == 4
    assert all(shapely.is_valid(list(_shapes(town, "lanes_polygons").values())))


def test_stop_polygons_meet_the_connectors_that_they_hold(town):
    """Each connector's baseline meets the stop polygon that it names."""
    stops, lines = _shapes(town, "stop_polygons"), _shapes(town, "lane_connectors")
    for fid, named in town.execute("SELECT fid, traffic_light_stop_line_fids FROM lane_connectors"):
        assert shapely.intersects(lines[fid], stops[int(named)])


def test_lights_name_connectors_near_by(logs, town):
    """Every frame has lights, each of a connector of the map, and all three states occur in a log."""
    known = {fid for (fid,) in town.execute("SELECT fid FROM lane_connectors")}
    for log in logs:
        named = {fid for (fid,) in log.execute("SELECT DISTINCT lane_connector_id FROM traffic_light_status")}
        assert named <= known
        states = {status for (status,) in log.execute("SELECT DISTINCT status FROM traffic_light_status")}
        assert states == {"green", "yellow", "red"}


def test_a_second_call_finds_the_first(tmp_path):
    """`ensure_dataset` writes once; other settings replace it; a folder that holds something else is left alone."""
    small = {"logs": 1, "seconds": 4.0, "grid": (1, 1)}
    first = ensure_dataset(tmp_path / "town", **small)
    again = ensure_dataset(tmp_path / "town", **small)
    assert (first.written, again.written) == (True, False)
    assert (again.boxes, again.frames) == (first.boxes, 80)
    assert ensure_dataset(tmp_path / "town", **{**small, "seed": 1}).written
    assert [path.name for path in tmp_path.iterdir()] == ["town"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(PlutoError, match="something else"):
        ensure_dataset(tmp_path / "mine", **small)


@pytest.mark.parametrize(
    "wrong",
    [
        {"logs": 0},
        {"seconds": 0.5},
        {"seconds": math.nan},
        {"seconds": 1e9},
        {"density": 0.0},
        {"density": math.nan},
        {"grid": (0, 2)},
        {"grid": (2, 99_999)},
        {"seed": -1},
    ],
)
def test_settings_out_of_range_are_named(tmp_path, wrong):
    """A setting out of range is one message that names it, and nothing is written."""
    with pytest.raises(PlutoError, match=next(iter(wrong))):
        write_dataset(tmp_path / "town", **wrong)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("count", [3, 5, 9, 12, 60])
def test_names_come_from_all_splits(shared_data, count):
    """Two thirds of the logs have names of the official train split, the others of val and test."""
    path = shared_data.parent / "spec" / "data" / "nuplan_log_splits.json"
    if not path.exists():
        pytest.skip(f"no official lists at {path}")
    official = json.loads(path.read_text())
    names = log_names(count)
    assert len(set(names)) == count
    found = {split: len(set(names) & set(official[split])) for split in ("train", "val", "test")}
    assert sum(found.values()) == count
    assert min(found.values()) >= 1
    assert abs(found["train"] - 2 * count / 3) < 1.01
