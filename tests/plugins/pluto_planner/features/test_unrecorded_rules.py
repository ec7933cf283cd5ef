"""Rules that the recorded scenarios do not exercise (spec pluto-features section 15), each on a road made for it."""

from types import SimpleNamespace
from typing import Any

import attrs
import numpy as np
import pytest

from pluto_core.maps import MapView, Polygons, Polylines
from pluto_core.scene import Category, LightStatus
from pluto_planner.features import drivable, ego, ego_path, obstacles, route
from pluto_planner.features.cost_map import Grid
from pluto_planner.features.map_geometry import MapGeometry


def _start_block(world: SimpleNamespace, view: MapView, ids: list[int], heading: float = 0.0, **place: float) -> int:
    """Return the id of the block that the route correction takes the ego vehicle to be on."""
    vehicle = world.driving(**place)
    vehicle.heading[:] = heading
    now = ego.present(world.make_scene(view, ids, ego=vehicle))
    row, _ = route._starting_block(MapGeometry.of(view), route.known_blocks(view, np.array(ids)), now)
    return int(view.blocks.ids[row])


def test_starting_block(world: SimpleNamespace) -> None:
    """On the route comes first, then what is aligned (3 m, 45 degrees), then the nearest."""
    lanes = [
        world.RoadLane(id=1, line=world.straight(-50.0, 50.0, 0.0), block=11),
        world.RoadLane(id=2, line=world.straight(-50.0, 50.0, 4.0), block=12),
        world.RoadLane(id=3, line=world.straight(50.0, -50.0, 1.0), block=13),
    ]
    view = world.make_map(lanes)
    assert _start_block(world, view, [11, 12], y=0.5) == 11
    assert _start_block(world, view, [12], y=1.5) == 12
    assert _start_block(world, view, [12], y=0.5) == 11, "3.5 m to the route's lane"
    assert _start_block(world, view, [11], y=1.0) == 11, "the nearest lane leads the other way"
    assert _start_block(world, view, [99, 11], y=1.9, heading=0.78) == 11
    assert _start_block(world, view, [99, 11], y=1.1, heading=0.79) == 13, "no lane is aligned: the nearest"
    assert _start_block(world, view, [12], y=40.0) == 12, "nothing within 2.5 m: the nearest of the map"


def _starting_lane(world: SimpleNamespace, view: MapView, ids: list[int], heading: float = 0.0, **place: float) -> int:
    vehicle = world.driving(**place)
    vehicle.heading[:] = heading
    now = ego.present(world.make_scene(view, ids, ego=vehicle))
    ground = MapGeometry.of(view)
    way = route.corrected(ground, np.array(ids), now, parity=True)
    row = ego_path.starting_lane(ground, way, drivable.around(ground, now.center, 50.0), now)
    return int(view.lanes.ids[row])


def test_starting_lane(world: SimpleNamespace) -> None:
    """Of the lanes under the rear axle, edges included, the best aligned; else the one under the centre; else the nearest."""
    bent = np.stack([np.linspace(0.0, 30.0, 121), np.linspace(0.0, 15.0, 121)], axis=1)
    lanes = [
        world.RoadLane(id=1, line=world.straight(0.0, 60.0), block=11),
        world.RoadLane(id=2, line=bent, block=11),
        world.RoadLane(id=3, line=world.straight(0.0, 60.0, -4.0), block=11),
    ]
    view = world.make_map(lanes)
    assert _starting_lane(world, view, [11], x=2.0) == 1
    assert _starting_lane(world, view, [11], x=2.0, heading=0.4) == 2
    assert _starting_lane(world, view, [11], x=20.0, y=-2.0, heading=-0.1) in {1, 3}, "the edge belongs to both"
    assert _starting_lane(world, view, [11], x=-1.0, y=-4.0) == 3, "only the centre is on a lane"
    assert _starting_lane(world, view, [11], x=30.0, y=-9.0) == 3, "beside the road"


def test_the_plan_looks_fifteen_blocks_ahead(world: SimpleNamespace) -> None:
    """Of a route of 25 blocks the path takes the next 15."""
    lanes = [
        world.RoadLane(id=i, line=world.straight(20.0 * i, 20.0 * i + 20), block=100 + i, to=(i + 1,) if i < 24 else ())
        for i in range(25)
    ]
    view = world.make_map(lanes)
    ground = MapGeometry.of(view)
    way = route.Route(blocks=tuple(range(25)), lanes=tuple(range(25)))
    assert ego_path.lane_plan(ground, way, 3) == list(range(3, 18))
    assert ego_path.lane_plan(ground, way, 20) == list(range(20, 25))


def _lit_road(world: SimpleNamespace, first: float, second: float = 100.0) -> MapView:
    """Return a straight road with connectors (21 and 22) of 10 m that begin at two places."""
    ends = [-50.0, first, first + 10, second, second + 10, 300.0]
    lanes = [
        world.RoadLane(
            id=(1, 21, 2, 22, 3)[i],
            line=world.straight(ends[i], ends[i + 1]),
            block=11 + i,
            to=((21,), (2,), (22,), (3,), ())[i],
            connector=i in {1, 3},
        )
        for i in range(5)
    ]
    return world.make_map(lanes)


def _lit(world: SimpleNamespace, view: MapView, red: tuple[int, ...], **parts: Any) -> dict[str, np.ndarray]:
    lights = world.make_lights([(one, LightStatus.RED) for one in red])
    return world.build(world.make_scene(view, [11, 12, 13, 14, 15], lights=lights, **parts))


def test_several_red_lights(world: SimpleNamespace) -> None:
    """All that the corridor meets are cared for; the nearest cuts the future and ends the free path, whatever the order."""
    view = _lit_road(world, 40.0, 55.0)
    for red in ((21, 22), (22, 21)):
        sample = _lit(world, view, red)
        assert sample["causal/ego_care_red_light_mask"].sum() == 2
        # The front bumper is at 14.049, and the rear axle at 10: points end 3 m before the stop.
        assert sample["causal/free_path_points"][-1, 0] == pytest.approx(1.461 + 40.0 - 14.049 - 3.0, abs=0.26)
        # The centre (11.461) is strictly behind the line at 40 from the 29th step on.
        assert sample["causal/fixed_ego_future_valid_mask"].sum() == 28
    only = _lit(world, view, (22,))
    assert only["causal/ego_care_red_light_mask"].sum() == 1
    assert only["causal/fixed_ego_future_valid_mask"].sum() == 43


def test_after_the_red_light_nothing_is_an_example(world: SimpleNamespace) -> None:
    """The future stays cut when the expert has left the connector again."""
    sample = _lit(world, _lit_road(world, 40.0), (21,))
    mask = sample["causal/fixed_ego_future_valid_mask"]
    assert mask[:28].all()
    assert not mask[28:].any()


@pytest.mark.parametrize(("gap", "met"), [(1.1, True), (1.2, False)])
def test_the_corridor_ends_square(world: SimpleNamespace, gap: float, *, met: bool) -> None:
    """It reaches half a width beyond the 50 m of path from the vehicle's centre."""
    end = 10.0 + 1.461 + 50.0
    sample = _lit(world, _lit_road(world, end + gap), (21,), ego=world.driving(speed_mps=0.0))
    assert sample["causal/is_waiting_for_red_light_without_lead"] == met


@pytest.mark.parametrize(("distance", "leads"), [(49.9, True), (50.1, False)])
def test_obstacles_within_the_radius(world: SimpleNamespace, distance: float, *, leads: bool) -> None:
    """A car leads from nearer than 50 m between the centres."""
    tracks = world.make_tracks([{"position": (10.0 + 1.461 + distance, 0.0)}])
    sample = world.build(world.make_scene(world.straight_road(), [11], tracks=tracks))
    assert sample["causal/leading_agent_mask"].any() == leads


def test_what_is_under_the_vehicle_leads_before_what_is_ahead(world: SimpleNamespace) -> None:
    """The corridor holds the vehicle's own footprint, and a red light waits behind a nearer car."""
    view = _lit_road(world, 40.0)
    lights = world.make_lights([(21, LightStatus.RED)])
    beside = world.make_tracks([{"position": (10.0, 1.5), "size": (1.0, 1.0)}, {"position": (30.0, 0.0)}])
    scene = world.make_scene(view, [11, 12, 13, 14, 15], lights=lights, tracks=beside)
    sample = world.build(scene)
    assert sample["causal/leading_agent_mask"].tolist() == [False, True, True]
    assert sample["causal/leading_distance"][1] == 0.0
    assert not sample["causal/is_waiting_for_red_light_without_lead"]
    now, ground = ego.present(scene), MapGeometry.of(view)
    way = route.corrected(ground, scene.route, now, parity=False)
    ahead, _ = ego_path.ahead(ground, way, drivable.around(ground, now.center, 50.0), now, parity=False)
    lead = obstacles.leading(ground, scene, way, ahead, now, 50.0)
    assert lead.tracks.tolist() == [0, 1, -1]
    assert (np.diff(lead.distance_m) > 0).all()


def test_the_free_path_counts_speed_sideways_too(world: SimpleNamespace) -> None:
    """10 m/s forward and 5 m/s sideways brake like 125 m2/s2."""
    vehicle = world.driving()
    vehicle.velocity[:, 1] = 5.0
    free = world.build(world.make_scene(world.straight_road(), [11], ego=vehicle))["causal/free_path_points"]
    assert free[0, 0] == pytest.approx(1.461 + 12.5 + 2.588 + 3.0, abs=0.26)
    assert free[-1, 0] == pytest.approx(1.461 + 125 / 3 - 3.0, abs=0.26)


def _cell(world: SimpleNamespace, **track: Any) -> float:
    """Return the cost map's cell under the only track, 10 m ahead on a road 10 m wide."""
    lane = world.RoadLane(id=1, line=world.straight(-200.0, 200.0), block=11, width_m=10.0)
    tracks = world.make_tracks([{"position": (20.0, 0.0), **track}])
    return float(
        world.build(world.make_scene(world.make_map([lane]), [11], tracks=tracks), cost_map="map")["cost_maps"][300, 350, 0]
    )


def test_who_is_parked(world: SimpleNamespace) -> None:
    """Seen for 50 steps, and less than 1 m from first to last, whatever lies between; pedestrians too."""
    seen = np.zeros(101, np.bool_)
    seen[10:60] = True
    assert _cell(world, valid=seen) < 0
    seen[10] = False
    assert _cell(world, valid=seen) > 0
    assert _cell(world, category=int(Category.PEDESTRIAN)) < 0
    there = np.stack([20.0 + np.zeros(101), np.zeros(101)], axis=1)
    there[40:60, 0] += 8.0
    assert _cell(world, position=there) < 0
    there[-1, 0] += 1.01
    assert _cell(world, position=there) > 0


def test_cells_are_rounded_half_to_even(world: SimpleNamespace) -> None:
    """Columns grow forward, rows to the right; halves go to the even cell."""
    now = ego.present(world.make_scene(world.straight_road(), [11], ego=world.driving(x=0.0)))
    grid = Grid(size_px=600, resolution_m=0.25)
    points = np.array([[0.125, 0.0], [0.375, 0.0], [0.0, 0.125], [0.0, 0.375], [10.0, 5.0]])
    assert grid.pixels(points, now).tolist() == [[300, 300], [302, 300], [300, 300], [300, 298], [340, 280]]


def test_holes_of_lanes_are_filled(world: SimpleNamespace) -> None:
    """Only the outer ring of a lane counts on the cost map."""
    view = world.make_map([world.RoadLane(id=1, line=world.straight(-200.0, 200.0), block=11, width_m=10.0)])
    hole = np.array([[15.0, -2.0], [25.0, -2.0], [25.0, 2.0], [15.0, 2.0], [15.0, -2.0]])
    rings = Polylines.from_lines([view.lanes.polygons.rings.line(0), hole])
    polygons = Polygons(np.array([0, 2]), rings, np.array([False, True]))
    holed = attrs.evolve(view, lanes=attrs.evolve(view.lanes, polygons=polygons), derived={})
    one, other = (world.build(world.make_scene(each, [11]), cost_map="map")["cost_maps"] for each in (view, holed))
    assert np.array_equal(one, other)


def test_static_objects_far_along_a_lane(world: SimpleNamespace) -> None:
    """A lane that begins within 50 m counts to its end; from 120 m of the vehicle's centre on nothing does."""
    cones = world.make_static([(int(Category.TRAFFIC_CONE), 11.461 + x, 0.0) for x in (60.0, 119.9, 120.1)])
    assert len(world.build(world.make_scene(world.straight_road(), [11], static_objects=cones))["static_objects/heading"]) == 2


def test_equal_distances(world: SimpleNamespace) -> None:
    """Agents equally far away stand by category, then in the source's order."""
    rows = [{"position": (10.0 + 1.461, y), "category": category} for y, category in ((8, 1), (-8, 0), (-8, 2), (8, 0))]
    sample = world.build(world.make_scene(world.straight_road(), [11], tracks=world.make_tracks(rows)))
    assert sample["agent/category"].tolist() == [0, 1, 1, 2, 3]
    assert sample["agent/position"][1:, 20, 1].tolist() == [-8.0, 8.0, 8.0, -8.0]


def test_many_reference_lines(world: SimpleNamespace) -> None:
    """Three ways out of a crossing are three lines; a lane of 2 m is no start."""
    targets = [20.0, 0.0, -20.0]
    lanes = [
        world.RoadLane(id=1, line=world.straight(-60.0, 30.0), block=11, to=(21, 22, 23)),
        world.RoadLane(id=9, line=world.straight(9.0, 10.8, 3.0), block=11, to=(1,)),
        *(
            world.RoadLane(id=21 + i, line=world.between((30.0, 0.0), (90.0, y)), block=31, to=(2 + i,), connector=True)
            for i, y in enumerate(targets)
        ),
        *(world.RoadLane(id=2 + i, line=world.straight(90.0, 250.0, y), block=12) for i, y in enumerate(targets)),
    ]
    sample = world.build(world.make_scene(world.make_map(lanes), [11, 31, 12]))
    assert sample["reference_line/position"][:, 105, 1] == pytest.approx(targets, abs=1e-3)
