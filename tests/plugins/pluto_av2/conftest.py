"""A sensor log and a motion scenario in Argoverse 2's format, made here: a straight two-lane road with an opposite lane."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

LOG = "11111111-2222-3333-4444-555555555555"
FRAMES = 120
SPEED_MPS = 8.0
ANGLE_RAD = 0.5
"""The road does not lie along an axis."""


def place(x: float, y: float) -> tuple[float, float]:
    """Return city coordinates of a point on the road: x along it, y to its left."""
    cos, sin = np.cos(ANGLE_RAD), np.sin(ANGLE_RAD)
    return 1000.0 + cos * x - sin * y, 500.0 + sin * x + cos * y


def _side(x0: float, x1: float, y: float) -> list[dict[str, float]]:
    return [dict(zip("xyz", (*place(x, y), 0.0), strict=True)) for x in np.linspace(x0, x1, 4)]


def segment(identity: int, start: float, end: float, y: float, **more: object) -> dict[str, object]:
    """Return one lane segment 3.5 m wide whose centre line lies at y; it runs backwards where end < start."""
    half = 1.75 if end > start else -1.75
    return {
        "id": identity,
        "is_intersection": False,
        "lane_type": "VEHICLE",
        "left_lane_boundary": _side(start, end, y + half),
        "right_lane_boundary": _side(start, end, y - half),
        "successors": [],
        "predecessors": [],
        "left_neighbor_id": None,
        "right_neighbor_id": None,
        **more,
    }


def segments() -> list[dict[str, object]]:
    """Return two lanes side by side (21 left of 20), a connector and a lane behind it (30, 40), and an opposite lane (50)."""
    return [
        segment(20, -100, 100, 0.0, successors=[30], left_neighbor_id=21),
        segment(21, -100, 100, 3.5, left_neighbor_id=50, right_neighbor_id=20),
        segment(30, 100, 120, 0.0, successors=[40], is_intersection=True),
        segment(40, 120, 300, 0.0),
        segment(50, 100, -100, 7.0, left_neighbor_id=21),
        segment(60, -100, 100, -3.0, lane_type="BIKE"),
    ]


def write_map(folder: Path) -> None:
    """Write the map archive."""
    crossing = {"id": 7, "edge1": _side(101, 101.01, 6)[:2], "edge2": _side(104, 104.01, 6)[:2]}
    crossing["edge1"] = [_side(101, 102, -3)[0], _side(101, 102, 9)[0]]
    crossing["edge2"] = [_side(104, 105, -3)[0], _side(104, 105, 9)[0]]
    area = {"id": 1, "area_boundary": [*_side(-110, 310, -4), *_side(310, -110, 10)]}
    document = {
        "lane_segments": {str(one["id"]): one for one in segments()},
        "pedestrian_crossings": {"7": crossing},
        "drivable_areas": {"1": area},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"log_map_archive_{LOG}____PIT_city_1.json").write_text(json.dumps(document))


def quaternion(yaw: float) -> dict[str, float]:
    """Return a turn about the vertical axis as columns."""
    return {"qw": float(np.cos(yaw / 2)), "qx": 0.0, "qy": 0.0, "qz": float(np.sin(yaw / 2))}


def write_sensor_log(root: Path) -> Path:
    """Write a log: the car drives at a constant speed, another follows 20 m behind, and a cone stands 30 m ahead at start."""
    folder = root / LOG
    write_map(folder / "map")
    times = 315_970_000_000_000_000 + 100_000_000 * np.arange(FRAMES, dtype=np.int64)
    poses, boxes = [], []
    for fine in np.arange(-10, (FRAMES - 1) * 10 + 10):
        x, y = place(SPEED_MPS * fine * 0.01, 0.0)
        poses.append(
            {"timestamp_ns": int(times[0] + fine * 10_000_000), **quaternion(ANGLE_RAD), "tx_m": x, "ty_m": y, "tz_m": 0.0}
        )
    for frame, time in enumerate(times):
        shared = {"timestamp_ns": int(time), "height_m": 1.5, "tz_m": 0.0, "num_interior_pts": 9, **quaternion(0.0)}
        boxes.append(
            {
                **shared,
                "track_uuid": "car",
                "category": "REGULAR_VEHICLE",
                "length_m": 4.5,
                "width_m": 1.9,
                "tx_m": -20.0,
                "ty_m": 0.0,
            }
        )
        cone = 30.0 - SPEED_MPS * frame * 0.1
        boxes.append(
            {
                **shared,
                "track_uuid": "cone",
                "category": "CONSTRUCTION_CONE",
                "length_m": 0.4,
                "width_m": 0.4,
                "tx_m": cone,
                "ty_m": -2.0,
            }
        )
        boxes.append(
            {
                **shared,
                "track_uuid": "ego",
                "category": "EGO_VEHICLE",
                "length_m": 4.9,
                "width_m": 2.0,
                "tx_m": 0.0,
                "ty_m": 0.0,
            }
        )
        if frame % 7:
            boxes.append(
                {
                    **shared,
                    "track_uuid": "walker",
                    "category": "PEDESTRIAN",
                    "length_m": 0.6,
                    "width_m": 0.6,
                    "tx_m": 5.0,
                    "ty_m": 12.0,
                }
            )
    feather.write_feather(pa.Table.from_pylist(poses), folder / "city_SE3_egovehicle.feather")
    feather.write_feather(pa.Table.from_pylist(boxes), folder / "annotations.feather")
    return folder


def write_motion_scenario(root: Path) -> Path:
    """Write a motion scenario of 110 steps with the car and one other."""
    folder = root / "motion" / LOG
    write_map(folder)
    (folder / f"log_map_archive_{LOG}____PIT_city_1.json").rename(folder / f"log_map_archive_{LOG}.json")
    rows = []
    for step in range(110):
        for track, ahead in (("AV", 0.0), ("17", 15.0)):
            x, y = place(SPEED_MPS * step * 0.1 + ahead, 0.0)
            speed = np.array([np.cos(ANGLE_RAD), np.sin(ANGLE_RAD)]) * SPEED_MPS
            rows.append(
                {
                    "track_id": track, "object_type": "vehicle", "timestep": step, "position_x": x, "position_y": y,
                    "heading": ANGLE_RAD, "velocity_x": speed[0], "velocity_y": speed[1], "city": "austin",
                    "start_timestamp": 3.15e17,
                }
            )  # fmt: skip
    parquet.write_table(pa.Table.from_pylist(rows), folder / f"scenario_{LOG}.parquet")
    return folder


@pytest.fixture(scope="session")
def sensor_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one sensor log."""
    root = tmp_path_factory.mktemp("av2")
    write_sensor_log(root)
    return root


@pytest.fixture(scope="session")
def motion_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one motion scenario."""
    root = tmp_path_factory.mktemp("av2_motion")
    write_motion_scenario(root)
    return root
