"""Paths: projection, trimming, and where the reference stops counting."""

from types import SimpleNamespace

import numpy as np
import shapely
from hypothesis import given
from hypothesis import strategies as st

from pluto_planner.features.paths import Path, lane_poses, nearest_vertex

COORDINATE = st.floats(-100, 100).map(lambda x: round(x, 3))
LINE = st.lists(st.tuples(COORDINATE, COORDINATE), min_size=2, max_size=12, unique=True)


def _path(points: list[tuple[float, float]] | np.ndarray, *, keep_last: bool = True) -> Path:
    xy = np.asarray(points, np.float64)
    step = np.diff(xy, axis=0)
    heading = np.arctan2(step[:, 1], step[:, 0])
    return Path.along(np.column_stack([xy, np.append(heading, heading[-1])]), keep_last=keep_last)


@given(LINE, st.tuples(COORDINATE, COORDINATE))
def test_projection_is_the_nearest_place(points: list[tuple[float, float]], point: tuple[float, float]) -> None:
    """Arc length and distance name a place on the line as near as shapely's."""
    path, line = _path(points), shapely.LineString(points)
    arc, distance = path.project(np.array([point]))
    assert np.isclose(distance[0], line.distance(shapely.Point(point)), atol=1e-6)
    place = line.interpolate(arc[0])
    assert np.isclose(place.distance(shapely.Point(point)), distance[0], atol=1e-6)


@given(LINE, st.floats(0, 1), st.floats(0, 1))
def test_a_cut_is_as_long_as_asked(points: list[tuple[float, float]], first: float, second: float) -> None:
    """A piece runs from one arc length to the other, inside the path, by way of its vertices."""
    path = _path(points)
    end = path.ends_m[1]
    begin, stop = min(first, second) * end, max(first, second) * end
    piece = path.cut(begin, stop)
    assert np.isclose(piece.length_m, stop - begin)
    assert (np.diff(piece.arc_m) >= 0).all()
    chords = np.hypot(*np.diff(piece.poses[:, :2], axis=0).T).sum()
    assert chords <= piece.length_m + 1e-6 or len(piece.poses) == 2


def test_repeated_vertices_do_not_count() -> None:
    """A vertex twice over changes no place on the path, and the reference's path ends one vertex early (D-11)."""
    once, twice = _path([(0, 0), (1, 0), (2, 0), (3, 1)]), _path([(0, 0), (1, 0), (1, 0), (2, 0), (3, 1)])
    at = np.array([0.3, 1.0, 1.7, 2.5])
    assert np.allclose(once.at(at)[:, :2], twice.at(at)[:, :2])
    assert once.ends_m[1] == 2 + np.sqrt(2)
    assert _path([(0, 0), (1, 0), (2, 0), (3, 1)], keep_last=False).ends_m[1] == 2


def test_beyond_the_ends_two_vertices_remain() -> None:
    """Behind the last vertex the last two are left, before the first the first two."""
    path = _path([(0, 0), (1, 0), (2, 0)])
    assert np.allclose(path.cut(5.0, 9.0).poses[:, 0], [1, 2])
    assert np.allclose(path.cut(-5.0, 0.0).poses[:, 0], [0, 1])


def test_headings_turn_the_short_way() -> None:
    """Between 3.1 and -3.1 rad the heading passes pi."""
    path = Path.along(np.array([[0.0, 0.0, 3.1], [-1.0, 0.0, -3.1], [-2.0, 0.0, -3.1]]))
    assert abs(abs(path.at(np.array([0.5]))[0, 2]) - np.pi) < 1e-9


def test_joints_of_lanes_stand_twice(world: SimpleNamespace) -> None:
    """Each lane ends with the heading of its own last segment."""
    fork = world.fork()
    poses = lane_poses(fork, [0, 3])
    joint = len(fork.lanes.baselines.line(0))
    assert np.allclose(poses[joint - 1, :2], poses[joint, :2])
    assert poses[joint - 1, 2] == poses[joint - 2, 2]
    assert lane_poses(fork, []).shape == (0, 3)


def test_nearest_vertex_by_stride(world: SimpleNamespace) -> None:
    """With a stride of 4 the nearest of every fourth vertex counts."""
    road = world.straight_road()
    assert nearest_vertex(road, 0, np.array([-199.25, 0.0]))[0] == 0.0
    assert nearest_vertex(road, 0, np.array([-199.25, 0.0]), stride=4)[0] == 0.25
