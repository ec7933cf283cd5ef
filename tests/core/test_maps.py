import copy
import pickle

import attrs
import numpy as np
import pytest

from pluto_core.errors import PlutoError
from pluto_core.maps import (
    AREA_LAYERS,
    Areas,
    Blocks,
    Lanes,
    Layer,
    MapView,
    Polygons,
    Polylines,
    Ragged,
    empty_areas,
    from_arrays,
    to_arrays,
)


def strip(x, y, length=10.0, width=4.0):
    """Return the outline of a lane that runs east from (x, y)."""
    return np.array([[x, y - width / 2], [x + length, y - width / 2], [x + length, y + width / 2], [x, y + width / 2]])


def line(x, y, length=10.0):
    """Return a straight line that runs east from (x, y)."""
    return np.array([[x, y], [x + length / 2, y], [x + length, y]])


def small_map(**changes):
    """Return lanes 3 (left) and 5 (right) side by side, lane 9 behind a connector that shares the id 5."""
    starts = [(0.0, 4.0), (0.0, 0.0), (20.0, 0.0), (10.0, 0.0)]
    none = np.zeros(0, np.int64)
    lanes = Lanes(
        ids=np.array([3, 5, 9, 5]),
        lane_count=3,
        polygons=Polygons.from_rings([strip(x, y) for x, y in starts]),
        baselines=Polylines.from_lines([line(x, y) for x, y in starts]),
        left=Polylines.from_lines([line(x, y + 2) for x, y in starts]),
        right=Polylines.from_lines([line(x, y - 2) for x, y in starts]),
        reach=Polylines.joined([Polylines.empty(3), Polylines.from_lines([line(10.0, 0.0)])]),
        speed_limit_mps=np.array([10.0, 10, 0, 5]),
        has_speed_limit=np.array([True, True, False, True]),
        has_lights=np.array([False, False, False, True]),
        lane_index=np.array([0, 1, 0, -1]),
        block=np.array([0, 0, 1, 2]),
        successors=Ragged.from_pairs(np.array([1, 3]), np.array([3, 2]), 4),
        predecessors=Ragged.from_pairs(np.array([3, 2]), np.array([1, 3]), 4),
        stop_polygons=Ragged.from_rows([none, none, none, np.array([0])]),
    )
    blocks = Blocks(
        ids=np.array([20, 30, 20]),
        block_count=2,
        polygons=Polygons.from_rings([strip(0.0, 2.0, width=8.0), strip(20.0, 0.0), strip(10.0, 0.0)]),
        successors=Ragged.from_pairs(np.array([0, 2]), np.array([2, 1]), 3),
        predecessors=Ragged.from_pairs(np.array([2, 1]), np.array([0, 2]), 3),
        interior=Ragged.from_rows([np.array([0, 1]), np.array([2]), np.array([3])]),
        intersection=np.array([-1, -1, -1]),
    )
    stop = Areas(ids=np.array([7]), polygons=Polygons.from_rings([strip(9.0, 0.0, length=1.0)]), kind=np.array([2]))
    areas = dict.fromkeys(AREA_LAYERS, empty_areas()) | {Layer.STOP_POLYGON: stop}
    return attrs.evolve(MapView(name="small", lanes=lanes, blocks=blocks, areas=areas), **changes)


def near_ids(view, layer, x, y, half_side_m):
    """Return the ids that a proximal query gives."""
    return view.ids(layer)[view.near(layer, np.array([x, y]), half_side_m) - view._rows(layer).start].tolist()


def test_ids_are_looked_up_within_their_layer():
    """A lane and a connector of one id are two objects; an id that a layer lacks has no row."""
    view = small_map()
    assert (view.row(Layer.LANE, 5), view.row(Layer.LANE_CONNECTOR, 5)) == (1, 3)
    assert (view.row(Layer.ROADBLOCK, 20), view.row(Layer.ROADBLOCK_CONNECTOR, 20)) == (0, 2)
    assert view.row(Layer.LANE, 4) == view.row(Layer.LANE_CONNECTOR, 9) == view.row(Layer.CROSSWALK, 1) == -1
    assert view.ids(Layer.LANE).tolist() == [3, 5, 9]
    assert view.ids(Layer.LANE_CONNECTOR).tolist() == [5]
    assert view.lane_ids(np.array([3, 0])).tolist() == [5, 3]


def test_proximal_query_is_a_square_in_ascending_id():
    """Touching counts, the corners of the square count, and connectors count by their line."""
    view = small_map()
    assert near_ids(view, Layer.LANE, 5.0, 2.0, 1.0) == [3, 5]
    assert near_ids(view, Layer.LANE, 5.0, 7.0, 1.0) == [3]
    assert near_ids(view, Layer.LANE, 5.0, 7.001, 1.0) == []
    assert near_ids(view, Layer.LANE, -1.0, 7.0, 1.0) == [3]
    assert near_ids(view, Layer.LANE_CONNECTOR, 15.0, 1.9, 1.0) == []
    assert near_ids(view, Layer.LANE_CONNECTOR, 15.0, 1.9, 1.9) == [5]
    assert near_ids(view, Layer.STOP_POLYGON, 5.0, 0.0, 50.0) == [7]
    assert near_ids(view, Layer.WALKWAY, 5.0, 0.0, 50.0) == []


def test_containment_is_strict_and_ordered():
    """Points on a shared boundary are in neither lane; pairs come by point, then by id; connectors count by polygon."""
    view = small_map()
    points = np.array([[5.0, 1.0], [5.0, 2.0], [5.0, 3.0], [15.0, 1.0]])
    assert [side.tolist() for side in view.containing(Layer.LANE, points)] == [[0, 2], [1, 0]]
    assert [side.tolist() for side in view.containing(Layer.LANE_CONNECTOR, points)] == [[3], [3]]
    assert [side.tolist() for side in view.containing(Layer.ROADBLOCK, points)] == [[0, 1, 2], [0, 0, 0]]


def test_nearest_object_of_a_layer():
    """Zero inside, the gap outside, and nothing in an empty layer."""
    view = small_map()
    assert view.nearest(Layer.LANE, np.array([5.0, 5.0])) == (0, 0.0)
    assert view.nearest(Layer.LANE, np.array([33.0, 6.0])) == (2, 5.0)
    assert view.nearest(Layer.LANE_CONNECTOR, np.array([0.0, 0.0])) == (3, 10.0)
    assert view.nearest(Layer.CARPARK, np.zeros(2)) == (-1, float("inf"))


def test_a_query_beyond_the_extent_is_refused():
    """A map that covers a part of the world says so instead of finding nothing."""
    view = small_map(extent=(0.0, -10.0, 30.0, 10.0))
    assert near_ids(view, Layer.LANE, 5.0, 0.0, 5.0) == [3, 5]
    with pytest.raises(PlutoError, match="load a larger extract"):
        view.near(Layer.LANE, np.array([5.0, 0.0]), 6.0)


def test_edges_are_resampled_once():
    """Centre, left and right line of every lane and connector, the same array for every caller."""
    view = small_map()
    edges = view.edges(5)
    assert edges.shape == (4, 3, 5, 2)
    np.testing.assert_allclose(edges[3, :, :, 1], np.repeat([[0.0], [2.0], [-2.0]], 5, axis=1))
    np.testing.assert_allclose(edges[3, 0, :, 0], [10, 12.5, 15, 17.5, 20])
    assert view.edges(5) is edges
    assert view.edges().shape == (4, 3, 21, 2)


def test_neighbors_share_a_roadblock():
    """Left is the lower index of the same roadblock; connectors and lanes without a roadblock have none."""
    view = small_map()
    assert view.neighbors().tolist() == [[-1, 1], [0, -1], [-1, -1], [-1, -1]]
    view.lanes.block[:] = -1
    assert attrs.evolve(view, derived={}).neighbors().tolist() == [[-1, -1]] * 4


def walked(view, *points):
    """Return the rows of blocks that a drive through points passes."""
    return view.walk(np.array(points, np.float64).reshape(-1, 2)).tolist()


def test_a_walk_passes_each_block_once():
    """Points within a block add nothing, points off all roads are passed over, and the drive goes on behind them."""
    view = small_map()
    assert walked(view, [1, 0], [9, 3], [12, 0], [19, 1], [25, 0], [29, 0]) == [0, 2, 1]
    assert walked(view, [50, 50], [1, 0], [5, 99], [25, 0]) == [0, 1]
    assert walked(view, [50, 50]) == walked(view) == []


def forked_map():
    """Return a map in which two connectors leave block 0: row 2 straight on, row 3 with a bend, both from the same place."""
    view = small_map()
    blocks = view.blocks
    both = Polygons.from_rings([strip(10.0, 0.0), np.array([[10.0, -2], [14, -2], [14, 20], [10, 20]])])
    forked = attrs.evolve(
        blocks,
        ids=np.array([20, 30, 20, 21]),
        polygons=Polygons.joined([blocks.polygons.take(np.array([0, 1])), both]),
        successors=Ragged.from_rows([np.array([2, 3]), np.zeros(0, np.int64), np.array([1]), np.zeros(0, np.int64)]),
    )
    return attrs.evolve(view, blocks=forked)


def test_a_walk_waits_where_blocks_overlap():
    """What a point leaves open, the next one decides; without a block to come from, roadblocks come before connectors."""
    view = forked_map()
    assert walked(view, [5, 0], [12, 0], [12, 10]) == [0, 3]
    assert walked(view, [5, 0], [12, 0], [18, 0]) == [0, 2]
    assert walked(view, [5, 0], [12, 0]) == [0]
    assert walked(view, [12, 0], [13, 0], [18, 0], [25, 0]) == [2, 1]


@pytest.mark.parametrize("radius", [10.0, -10.0])
def test_curvature_of_a_circle(radius):
    """It is one over the radius everywhere, ends included, positive to the left."""
    angle = np.linspace(0, 1, 2001)
    arc = Polylines.from_lines([np.stack([np.sin(angle) * 10, radius * (1 - np.cos(angle))], axis=1)])
    np.testing.assert_allclose(arc.curvature(0, np.linspace(-1, 11, 25)), 1 / radius, rtol=1e-4)


def test_curvature_of_straight_and_short_lines():
    """Straight lines have none; a line shorter than four metres has one, that of its ends and middle."""
    lines = Polylines.from_lines([line(0, 0), np.array([[0.0, 0], [1, 0], [1, 1]]), np.array([[0.0, 0], [9, 0], [9, 9]])])
    assert lines.curvature(0, np.array([0.0, 5, 10])).tolist() == [0, 0, 0]
    np.testing.assert_allclose(lines.curvature(1, np.array([0.0, 1, 2])), np.sqrt(2))
    np.testing.assert_allclose(lines.curvature(2, np.array([2.0, 6.9, 9, 11.1, 18])), [0, 0, np.sqrt(0.5), 0, 0], atol=1e-12)


@pytest.mark.parametrize("computed", [False, True])
def test_arrays_of_a_map_give_the_map_back(computed):
    """Nothing is lost, and what was computed before travels along."""
    view = small_map()
    if computed:
        _ = view.lanes.baselines.headings, view.blocks.polygons.bounds
    arrays = to_arrays(view)
    again = from_arrays("small", arrays)
    assert ("lanes/baselines/headings" in arrays) == computed
    assert ("bounds" in vars(again.blocks.polygons)) == computed
    assert arrays.keys() == to_arrays(again).keys()
    for name, array in to_arrays(again).items():
        np.testing.assert_array_equal(array, arrays[name])
    assert isinstance(again.lanes.lane_count, int)


def open_small():
    """Return the map anew, as a process that receives it would."""
    return small_map(name="opened again")


def test_a_map_that_can_be_opened_again_travels_as_the_way_to_open_it():
    """Pickles hold no arrays then; other maps are pickled whole."""
    view = small_map()
    whole = pickle.loads(pickle.dumps(view))  # noqa: S301 -- made here
    np.testing.assert_array_equal(whole.lanes.polygons.rings.points, view.lanes.polygons.rings.points)
    view.reopen = (open_small, ())
    assert len(pickle.dumps(view)) < 200
    assert copy.deepcopy(view).name == "opened again"


def test_rows_of_ragged_tables_keep_the_order_of_their_pairs():
    """Rows without a value are empty, the others hold their values as given."""
    table = Ragged.from_pairs(np.array([2, 0, 2, 2]), np.array([9, 1, 3, 5]), 4)
    assert [table.row(row).tolist() for row in range(len(table))] == [[1], [], [9, 3, 5], []]
    assert len(Ragged.from_rows([])) == 0


def test_taking_and_joining_keeps_holes_and_order():
    """Polygons with several rings survive being picked and put together."""
    square = np.array([[0.0, 0], [9, 0], [9, 9], [0, 9], [0, 0]])
    holed = Polygons(np.array([0, 2]), Polylines.from_lines([square, square / 3 + 3]), np.array([False, True]))
    plain = Polygons.from_rings([square + 20, square + 40])
    table = Polygons.joined([plain, holed]).take(np.array([2, 0]))
    assert table.holes.tolist() == [False, True, False]
    assert table.single.tolist() == [True, True]
    np.testing.assert_array_equal(table.exterior(0), square)
    np.testing.assert_array_equal(table.exterior(1), square + 20)
    np.testing.assert_array_equal(table.bounds, [[0, 0, 9, 9], [20, 20, 29, 29]])
