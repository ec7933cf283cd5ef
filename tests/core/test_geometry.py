import math
from fractions import Fraction
from itertools import chain

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from pluto_core import geometry
from pluto_core.errors import PlutoError
from pluto_core.shapes import Polygons, Polylines

ORIGIN = np.array([664300.0, 3997878.0])
COORDINATE = st.integers(-12, 12)
BOXES = st.tuples(COORDINATE, COORDINATE, st.integers(1, 8), st.integers(1, 8)).map(
    lambda box: np.array([box[0], box[1], box[0] + box[2], box[1] + box[3]], np.float64)
)


@st.composite
def polygons(draw):
    """Draw a valid polygon, often with a hole or a second part, with corners on a grid, so that points lie on its edges."""
    shape = shapely.Polygon()
    for _ in range(draw(st.integers(1, 4))):
        left, low = draw(COORDINATE), draw(COORDINATE)
        width, height = draw(st.integers(1, 9)), draw(st.integers(1, 9))
        shape = shape.union(shapely.Polygon([(left, low), (left + width, low), (left, low + height)]))
    if draw(st.booleans()):
        left, low = draw(COORDINATE), draw(COORDINATE)
        shape = shape.difference(shapely.box(left, low, left + 2, low + 2))
    return shape if not shape.is_empty else shapely.box(0, 0, 1, 1)


def as_polygons(shapes):
    """Return shapely polygons in our form."""
    rings, holes, counts = [], [], []
    for shape in shapes:
        before = len(rings)
        for part in shapely.get_parts(shape):
            rings += [shapely.get_coordinates(ring) for ring in (part.exterior, *part.interiors)]
            holes += [False, *[True] * len(part.interiors)]
        counts.append(len(rings) - before)
    return Polygons(geometry.offsets_of(counts), Polylines.from_lines(rings), np.array(holes, np.bool_))


def every(table):
    """Return the slice of all rows."""
    return slice(0, len(table))


@given(st.lists(polygons(), min_size=1, max_size=4), BOXES)
@settings(max_examples=100, deadline=None)
def test_polygons_touch_a_box_exactly_where_geos_says_so(shapes, box):
    """Overlap, touching corners and edges, boxes in holes and boxes in polygons are told apart as by GEOS."""
    table = as_polygons(shapes)
    expected = np.flatnonzero(shapely.intersects(shapes, shapely.box(*box)))
    np.testing.assert_array_equal(geometry.polygons_touching_box(table, box, every(table)), expected)


@given(st.lists(polygons(), min_size=1, max_size=4))
@settings(max_examples=50, deadline=None)
def test_points_on_the_boundary_are_outside(shapes):
    """Of all points of a half grid exactly those are contained that GEOS finds strictly inside."""
    table = as_polygons(shapes)
    points = np.stack(np.meshgrid(np.arange(-12, 13, 0.5), np.arange(-12, 13, 0.5)), axis=-1).reshape(-1, 2)
    point, row = geometry.points_in_polygons(points, table, every(table))
    expected = np.argwhere(shapely.contains_xy(np.array(shapes)[None, :], points[:, 0, None], points[:, 1, None]))
    np.testing.assert_array_equal(np.stack([point, row], axis=1), expected)


@given(st.lists(st.lists(st.tuples(COORDINATE, COORDINATE), min_size=2, max_size=70), min_size=1, max_size=4), BOXES)
@settings(max_examples=100, deadline=None)
def test_lines_touch_a_box_exactly_where_geos_says_so(lines, box):
    """Lines of any length, also with repeated vertices, are told apart as by GEOS."""
    table = Polylines.from_lines([np.array(line, np.float64) for line in lines])
    shapes = np.array([shapely.LineString(line) for line in lines])
    expected = np.flatnonzero(shapely.intersects(shapes, shapely.box(*box)))
    np.testing.assert_array_equal(geometry.lines_touching_box(table, box, every(table)), expected)


@given(st.lists(polygons(), min_size=1, max_size=4), COORDINATE, COORDINATE)
@settings(max_examples=100, deadline=None)
def test_nearest_polygon_is_as_near_as_any(shapes, x, y):
    """The distance is the least that GEOS finds, and the polygon named is the first that has it."""
    table = as_polygons(shapes)
    row, distance_m = geometry.nearest_polygon(np.array([x, y], np.float64), table, every(table))
    distances = shapely.distance(np.array(shapes), shapely.Point(x, y))
    assert distance_m == pytest.approx(distances.min(), abs=1e-12)
    assert distances[row] == pytest.approx(distances.min(), abs=1e-12)


def test_rows_of_a_slice_are_counted_from_its_start():
    """A query over part of a table sees only that part."""
    table = Polygons.from_rings([np.array([[x, 0.0], [x + 1, 0], [x + 1, 1], [x, 1]]) for x in range(5)])
    box, part = np.array([1.5, 0.5, 3.5, 0.6]), slice(2, 5)
    assert geometry.polygons_touching_box(table, box, part).tolist() == [0, 1]
    assert [side.tolist() for side in geometry.points_in_polygons(np.array([[3.5, 0.5], [0.5, 0.5]]), table, part)] == [
        [0],
        [1],
    ]
    assert geometry.nearest_polygon(np.array([-1.0, 0.5]), table, part) == (0, 3.0)
    assert geometry.nearest_polygon(np.zeros(2), table, slice(2, 2)) == (-1, math.inf)


@pytest.mark.parametrize("pairs_at_once", [1, 7, 1 << 20])
def test_many_scattered_points_give_the_same_pairs_in_the_same_order(monkeypatch, pairs_at_once):
    """How often the points are halved does not show."""
    rng = np.random.default_rng(3)
    centers = rng.uniform(0, 100, (40, 2))
    table = Polygons.from_rings([center + np.array([[-9.0, -9], [9, -9], [9, 9], [-9, 9]]) for center in centers])
    points = rng.uniform(0, 100, (200, 2))
    monkeypatch.setattr(geometry, "_PAIRS_AT_ONCE", pairs_at_once)
    point, row = geometry.points_in_polygons(points, table, every(table))
    expected = np.argwhere((np.abs(points[:, None] - centers) < 9).all(axis=-1))
    np.testing.assert_array_equal(np.stack([point, row], axis=1), expected)


@given(st.tuples(*[st.floats(-1, 1)] * 4), st.floats(0, 1), st.integers(-2, 2))
@settings(deadline=None)
def test_turns_have_the_sign_of_exact_arithmetic(ends, share, nudge):
    """Points next to a segment, some ulps beside it, are put on the right side of it."""
    start, end = ORIGIN + ends[:2], ORIGIN + ends[2:]
    point = start + share * (end - start)
    point[1] += nudge * np.spacing(point[1])
    (ax, ay), (bx, by), (x, y) = ([Fraction(value) for value in side.tolist()] for side in (start, end, point))
    exact = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
    assert np.sign(geometry.turns(start[None], end[None], point[None]))[0] == (exact > 0) - (exact < 0)


def random_lines(seed, count=30, longest=400):
    """Return wiggly lines far from the origin and from each other."""
    rng = np.random.default_rng(seed)
    return [
        ORIGIN + rng.uniform(-5e4, 5e4, 2) + np.cumsum(rng.uniform(-0.3, 1, (rng.integers(2, longest), 2)), axis=0)
        for _ in range(count)
    ]


def test_arc_lengths_are_those_of_each_line_alone():
    """A table of long lines far apart gives the lengths of its lines as exactly as one line would."""
    lines = random_lines(0, count=300)
    table = Polylines.from_lines([*lines[:100], np.zeros((0, 2)), *lines[100:], np.ones((1, 2))])
    expected = [0.0 if len(line) < 2 else shapely.LineString(line).length for line in map(table.line, range(len(table)))]
    np.testing.assert_allclose(table.lengths_m, expected, rtol=0, atol=1e-10)
    alone = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(lines[-1], axis=0).T))])
    np.testing.assert_allclose(table.arc_m[-len(alone) - 1 : -1], alone, rtol=0, atol=1e-10)


def test_resampled_points_are_interpolated_by_arc_length():
    """Every line is cut into equal steps from its first vertex to its last, both of them exact."""
    lines = random_lines(1)
    sampled = Polylines.from_lines(lines).resampled(21)
    for line, points in zip(lines, sampled, strict=True):
        arc = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
        at = np.linspace(0, 1, 21) * arc[-1]
        expected = np.stack([np.interp(at, arc, line[:, axis]) for axis in range(2)], axis=-1)
        np.testing.assert_allclose(points, expected, rtol=0, atol=2e-9)
        np.testing.assert_array_equal(points[[0, -1]], line[[0, -1]])


def test_resampling_passes_repeated_vertices():
    """A vertex that stands twice in a line does no harm."""
    line = np.array([[0.0, 0], [0, 0], [1, 0], [1, 0], [2, 0], [2, 0]])
    np.testing.assert_allclose(Polylines.from_lines([line]).resampled(5)[0, :, 0], [0, 0.5, 1, 1.5, 2])


@pytest.mark.parametrize("line", [np.zeros((0, 2)), np.ones((1, 2)), np.ones((3, 2))])
def test_a_line_without_length_cannot_be_resampled(line):
    """The message names the line."""
    table = Polylines.from_lines([np.array([[0.0, 0], [1, 1]]), line])
    with pytest.raises(PlutoError, match="line 1 has no length"):
        table.resampled(3)


def test_projection_and_poses_along_agree_with_linear_referencing():
    """Arc length and distance of the nearest spot, and the spot at an arc length, are those of GEOS."""
    rng = np.random.default_rng(2)
    lines = random_lines(2, count=10)
    table = Polylines.from_lines(lines)
    for index, line in enumerate(lines):
        shape = shapely.LineString(line)
        points = line[rng.integers(0, len(line), 40)] + rng.normal(0, 5, (40, 2))
        arc_m, distance_m = table.project(index, points)
        np.testing.assert_allclose(arc_m, shapely.line_locate_point(shape, shapely.points(points)), rtol=0, atol=1e-8)
        np.testing.assert_allclose(distance_m, shapely.distance(shape, shapely.points(points)), rtol=0, atol=1e-8)
        poses = table.along(index, arc_m)
        spots = shapely.get_coordinates(shapely.line_interpolate_point(shape, arc_m))
        ahead = shapely.get_coordinates(shapely.line_interpolate_point(shape, arc_m + 0.5))
        np.testing.assert_allclose(poses[:, :2], spots, rtol=0, atol=1e-8)
        inner = arc_m < shape.length - 0.5
        expected = np.arctan2(*(ahead - spots).T[::-1])
        np.testing.assert_allclose(geometry.wrap(poses[inner, 2] - expected[inner]), 0, atol=1e-6)


def test_the_heading_at_the_end_looks_back():
    """At and beyond the last vertex the heading is that of the last half metre; a single vertex has heading 0."""
    table = Polylines.from_lines([np.array([[0.0, 0], [2, 0], [2, 2]]), np.ones((1, 2))])
    np.testing.assert_allclose(table.along(0, np.array([0.0, 3.9, 4.0, 9.0]))[:, 2], [0, *[math.pi / 2] * 3])
    np.testing.assert_allclose(table.along(1, np.zeros(1)), [[1, 1, 0]])
    assert [side.tolist() for side in table.project(1, np.array([[1.0, 3.0]]))] == [[0.0], [2.0]]


def test_headings_and_bounds_of_short_and_empty_lines():
    """The last vertex repeats the heading before it, a single one has 0; the bounds of nothing overlap nothing."""
    table = Polylines.from_lines([np.array([[0.0, 0], [0, 1], [1, 1]]), np.zeros((0, 2)), np.full((1, 2), 5.0)])
    np.testing.assert_allclose(table.headings, [math.pi / 2, 0, 0, 0])
    np.testing.assert_array_equal(table.bounds[[0, 2]], [[0, 0, 1, 1], [5, 5, 5, 5]])
    assert geometry.lines_touching_box(table, np.array([-9.0, -9, 9, 9]), every(table)).tolist() == [0, 2]
    np.testing.assert_allclose(table.poses(0), [[0, 0, math.pi / 2], [0, 1, 0], [1, 1, 0]])


@given(st.lists(st.integers(0, 100), max_size=6))
@settings(deadline=None)
def test_chunks_cover_every_edge_once(sizes):
    """The chunks of a line run from its first vertex to its last without a gap, none longer than 32 edges."""
    table = Polylines.from_lines([np.random.default_rng(size).uniform(-1, 1, (size, 2)) for size in sizes])
    edges = [list(range(first, last)) for first, last in table.chunk_spans]
    expected = [list(range(first, last - 1)) for first, last in zip(table.offsets[:-1], table.offsets[1:], strict=True)]
    assert list(chain(*edges)) == list(chain(*expected))
    assert all(len(chunk) <= 32 for chunk in edges)
    for (first, last), box in zip(table.chunk_spans, table.chunk_bounds, strict=True):
        inside = table.points[first : last + 1]
        assert (inside >= box[:2]).all()
        assert (inside <= box[2:]).all()


def test_rotation_brings_a_heading_to_the_x_axis():
    """A row vector along the heading becomes (1, 0)."""
    np.testing.assert_allclose(np.array([math.cos(0.7), math.sin(0.7)]) @ geometry.rotation(0.7), [1, 0], atol=1e-15)


@given(st.floats(-1e3, 1e3))
@settings(deadline=None)
def test_wrapped_angles_lie_in_half_open_range(angle):
    """A wrapped angle is in [-pi, pi) and points the same way."""
    wrapped = float(geometry.wrap(np.array(angle)))
    assert -math.pi <= wrapped < math.pi
    assert math.cos(wrapped - angle) == pytest.approx(1)
