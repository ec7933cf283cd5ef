"""Reference lines and map polygons on roads that can be computed by hand."""

from types import SimpleNamespace

import attrs
import numpy as np
import pytest

from pluto_core.errors import Reason, SampleError
from pluto_core.maps import Polylines
from pluto_core.scene import LightStatus
from pluto_planner.features import map_geometry
from pluto_planner.features.ego_path import lane_plan
from pluto_planner.features.map_geometry import MapGeometry
from pluto_planner.features.route import Route


@pytest.mark.parametrize("parity", [False, True])
def test_one_straight_lane(world: SimpleNamespace, *, parity: bool) -> None:
    """One line of 120 points begins at the rear axle; 10 m/s project to 10 m a second."""
    sample = world.build(world.make_scene(world.straight_road(), [11], ego=world.driving(x=10.1)), parity=parity)
    position = sample["reference_line/position"]
    assert position.shape == (1, 120, 2)
    assert sample["reference_line/valid_mask"].all()
    assert np.allclose(position[0, 0], 0.0, atol=1e-4)
    assert 0.75 <= position[0, 1, 0] <= 1.0
    assert np.allclose(np.diff(position[0, 1:, 0]), 1.0, atol=1e-4)
    assert np.allclose(sample["reference_line/future_projection"][0], [[10.0 * s, 0.0] for s in range(1, 9)], atol=1e-4)


def test_other_vertex_spacing_is_resampled(world: SimpleNamespace) -> None:
    """Where vertices are not a quarter of a metre apart, points still are a metre apart (D-13); in parity they are not."""
    lanes = [world.RoadLane(id=1, line=world.straight(-200.0, 200.0, spacing=2.0), block=11)]
    scene = world.make_scene(world.make_map(lanes), [11])
    steps = {parity: world.build(scene, parity=parity)["reference_line/vector"][0, 1, 0] for parity in (False, True)}
    assert steps[False] == pytest.approx(1.0)
    assert steps[True] == pytest.approx(8.0)
    forced = world.build(scene, resample_reference_lines=False)["reference_line/vector"][0, 1, 0]
    assert forced == pytest.approx(8.0)


def test_a_fork_gives_two_lines(world: SimpleNamespace) -> None:
    """Both ways from the fork are lines, in the order of the map."""
    position = world.build(world.make_scene(world.fork(), [11, 31, 12]))["reference_line/position"]
    assert len(position) == 2
    assert position[0, 110, 1] == pytest.approx(15.0, abs=1e-3)
    assert position[1, 110, 1] == pytest.approx(-15.0, abs=1e-3)


def test_lines_side_by_side_are_one(world: SimpleNamespace) -> None:
    """Two lanes 0.4 m apart give one line, 0.6 m apart two."""
    for gap, count in ((0.4, 1), (0.6, 2)):
        lanes = [world.RoadLane(id=one, line=world.straight(-50.0, 200.0, gap * one), block=11) for one in range(2)]
        for parity in (False, True):
            sample = world.build(world.make_scene(world.make_map(lanes), [11]), parity=parity)
            assert len(sample["reference_line/position"]) == count


def test_short_lines_go_where_long_ones_are(world: SimpleNamespace) -> None:
    """A lane that ends before 96 m is left out where another does not."""
    ends = {1: 60.0, 2: 200.0}
    lanes = [world.RoadLane(id=one, line=world.straight(-50.0, end, 3.0 * one), block=11) for one, end in ends.items()]
    scene = world.make_scene(world.make_map(lanes), [11], ego=world.driving(y=4.5))
    assert len(world.build(scene)["reference_line/position"]) == 1
    short = world.make_scene(world.make_map(lanes[:1]), [11], ego=world.driving(y=3.0))
    assert world.build(short)["reference_line/valid_mask"].sum() == 50


def test_lanes_against_the_way_begin_no_line(world: SimpleNamespace) -> None:
    """A lane more than a right angle off is no start."""
    lanes = [world.RoadLane(id=1, line=world.straight(200.0, -200.0), block=11)]
    with pytest.raises(SampleError):
        world.build(world.make_scene(world.make_map(lanes), [11]))


def test_a_loop_ends(world: SimpleNamespace) -> None:
    """On a ring of lanes shorter than a line the search stops where it was before (X-17), and a start remains (X-16)."""
    lanes = [
        world.RoadLane(id=1, line=world.straight(0.0, 20.0), block=11, to=(2,)),
        world.RoadLane(id=2, line=world.straight(20.0, 0.0), block=12, to=(1,)),
    ]
    sample = world.build(world.make_scene(world.make_map(lanes), [11, 12], ego=world.driving(speed_mps=0.0)))
    assert len(sample["reference_line/position"]) == 1


def test_plan_takes_the_shortest_way(world: SimpleNamespace) -> None:
    """Dijkstra reaches the last block by the shorter lane; where it cannot, it goes as deep as it can."""
    lanes = [
        world.RoadLane(id=1, line=world.straight(0.0, 20.0), block=11, to=(21, 22)),
        world.RoadLane(id=21, line=world.between((20.0, 0.0), (60.0, 30.0)), block=31, to=(2,), connector=True),
        world.RoadLane(id=22, line=world.straight(20.0, 60.0), block=31, to=(2,), connector=True),
        world.RoadLane(id=2, line=world.straight(60.0, 90.0), block=12),
        world.RoadLane(id=3, line=world.straight(300.0, 330.0), block=13),
    ]
    view = world.make_map(lanes)
    ground, row = MapGeometry.of(view), {int(one): row for row, one in enumerate(view.lanes.ids)}
    block = {int(one): row for row, one in enumerate(view.blocks.ids)}
    for blocks in ([11, 31, 12], [11, 31, 12, 13]):
        route = Route(blocks=tuple(block[one] for one in blocks), lanes=tuple(row.values()))
        assert lane_plan(ground, route, row[1]) == [row[1], row[22], row[2]]


def test_edges_are_resampled_by_arc_length(world: SimpleNamespace) -> None:
    """A lane of 10 m has a point every half metre, its middle at 5 m; repeated vertices and corners change nothing."""
    line = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 0.0], [10.0, 0.0]])
    view = world.make_map([world.RoadLane(id=1, line=world.straight(0.0, 10.0), block=11)])
    lane = attrs.evolve(view.lanes, baselines=Polylines.from_lines([line]))
    edges = MapGeometry.of(attrs.evolve(view, lanes=lane, derived={})).lanes_with_edges(np.array([0]))
    assert np.allclose(edges.points[0, 0], [[0.5 * j, 0.0] for j in range(21)])
    corner = attrs.evolve(view.lanes, baselines=Polylines.from_lines([np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 1.0]])]))
    edges = MapGeometry.of(attrs.evolve(view, lanes=corner, derived={})).lanes_with_edges(np.array([0]))
    at = 0.2 * np.arange(21)
    assert np.allclose(edges.points[0, 0], np.stack([np.minimum(at, 3.0), np.maximum(at - 3.0, 0.0)], axis=1))


def test_a_line_without_length_is_named(world: SimpleNamespace) -> None:
    """A boundary of one point makes the map broken, not the program."""
    view = world.straight_road()
    lanes = attrs.evolve(view.lanes, left=Polylines.from_lines([np.zeros((2, 2))]))
    with pytest.raises(SampleError, match="left boundary of lane 1") as refused:
        world.build(world.make_scene(attrs.evolve(view, lanes=lanes, derived={}), [11]))
    assert refused.value.reason is Reason.BROKEN_MAP


def test_polygons_of_a_fork(world: SimpleNamespace) -> None:
    """Types, route, lights and limits stand beside the edges; the last statement about a light counts."""
    lights = world.make_lights([(21, LightStatus.RED), (21, LightStatus.GREEN), (22, LightStatus.RED), (2, LightStatus.RED)])
    walk = np.array([[40.0, -2.0], [43.0, -2.0], [43.0, 2.0], [40.0, 2.0]])
    view = world.fork()
    crossed = attrs.evolve(view, areas=view.areas | world.make_map([], crosswalks=[walk]).areas, derived={})
    sample = world.build(world.make_scene(crossed, [11, 31], lights=lights))
    assert sample["map/polygon_type"].tolist() == [0, 0, 0, 1, 1, 2]
    assert sample["map/polygon_on_route"].tolist() == [True, False, False, True, True, False]
    assert sample["map/polygon_tl_status"].tolist() == [3, 3, 3, 0, 2, 3]
    assert sample["map/polygon_road_block_id"].tolist() == [11, 12, 12, 31, 31, 0]
    parity = world.build(world.make_scene(crossed, [11, 31], lights=lights), parity=True)
    assert parity["map/polygon_tl_status"].tolist() == [3, 2, 3, 0, 2, 3]
    left, right = sample["map/point_position"][0, 1:, 0]
    assert left[1] == pytest.approx(2.0)
    assert right[1] == pytest.approx(-2.0)
    ends = sample["map/point_position"][..., 0, :] + sample["map/point_vector"].sum(axis=2)
    assert ends[0, 0] == pytest.approx([20.0, 0.0], abs=1e-3)


def test_polygons_outside_the_square_are_left_out(world: SimpleNamespace) -> None:
    """A lane counts from its first centre-line point inside the radius."""
    lanes = [
        world.RoadLane(id=1, line=world.straight(-100.0, 100.0), block=11),
        world.RoadLane(id=2, line=world.straight(-100.0, 100.0, 61.0), block=12),
    ]
    scene = world.make_scene(world.make_map(lanes), [11], ego=world.driving(x=0.0))
    assert len(world.build(scene, radius=60.0)["map/polygon_type"]) == 1
    sample = world.build(scene, radius=62.0)
    assert len(sample["map/polygon_type"]) == 2
    assert sample["map/valid_mask"][0].sum() == 13


def test_ids_shared_between_layers(world: SimpleNamespace) -> None:
    """A crosswalk with a lane's id has a row of its own; in parity it takes the lane's, and its own row is lost (D-6)."""
    walk = np.array([[40.0, -2.0], [43.0, -2.0], [43.0, 2.0], [40.0, 2.0]])
    view = world.straight_road(crosswalks=[walk])
    clashing = attrs.evolve(view, lanes=attrs.evolve(view.lanes, ids=view.areas["crosswalk"].ids), derived={})
    scene = world.make_scene(clashing, [11])
    assert world.build(scene)["map/polygon_type"].tolist() == [0, 2]
    assert world.build(scene, parity=True)["map/polygon_type"].tolist()[0] == 2


def test_crosswalks_run_along_their_longer_side(world: SimpleNamespace) -> None:
    """The centre line follows the walkway, left is left, the sense is the ego vehicle's, wherever GEOS begins (D-7)."""
    walk = np.array([[40.0, -1.0], [52.0, -1.0], [52.0, 2.0], [40.0, 2.0]])
    for start in range(4):
        view = world.straight_road(crosswalks=[np.roll(walk, start, axis=0)])
        edges = world.build(world.make_scene(view, [11]))["map/point_position"][1]
        assert np.allclose(edges[:, 0], [[30.0, 0.5], [30.0, 2.0], [30.0, -1.0]], atol=1e-3)


def test_least_rectangle_is_the_one_that_was_observed() -> None:
    """In parity edges follow the ring that shapely gives for a box (seen with shapely 2.2, GEOS 3.14)."""
    box = map_geometry.shapely.box(0, 0, 10, 3)
    edges = map_geometry.rectangle_edges(np.array([map_geometry.shapely.Polygon([(0, 0), (10, 0), (10, 3), (0, 3)])]))
    assert edges.shape == (1, 3, 21, 2)
    assert np.allclose(edges[0, 0, 10], [box.centroid.x, box.centroid.y])
    assert np.allclose(edges[0, 0], (edges[0, 1] + edges[0, 2]) / 2)
