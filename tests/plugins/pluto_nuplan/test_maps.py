import itertools
import json

import numpy as np
import pytest
import shapely

from pluto_core import geometry
from pluto_core.maps import AREA_LAYERS, Layer
from pluto_nuplan.maps import open_map
from pluto_nuplan.maps.graph import to_shapely
from pluto_nuplan.synth.dataset import write_dataset

GOLDEN = {"town": "us-nv-las-vegas-strip", "tilted": "us-ma-boston"}
LAYERS = {
    "lane": Layer.LANE,
    "lane_connector": Layer.LANE_CONNECTOR,
    "roadblock": Layer.ROADBLOCK,
    "roadblock_connector": Layer.ROADBLOCK_CONNECTOR,
    "crosswalk": Layer.CROSSWALK,
    "stop_line": Layer.STOP_POLYGON,
    "intersection": Layer.INTERSECTION,
    "carpark_area": Layer.CARPARK,
    "walkways": Layer.WALKWAY,
}


@pytest.fixture(scope="module", params=sorted(GOLDEN))
def golden(request, shared_data, tmp_path_factory):
    """Return the folder of a recorded set and its map, read by us."""
    folder = shared_data / "golden" / request.param
    return folder, open_map(folder / "maps", GOLDEN[request.param], cache_home=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def recorded(golden):
    """Return every map object as the reference gave it: layer, row of our table, what was recorded."""
    folder, view = golden
    objects = json.loads((folder / "reader" / f"map_{view.name}.json").read_text())
    assert objects.keys() == LAYERS.keys()
    return [
        (LAYERS[name], view.row(LAYERS[name], int(key)), was) for name, group in objects.items() for key, was in group.items()
    ]


def texts(ids):
    """Return ids as the reference writes them."""
    return [str(value) for value in ids]


def test_every_recorded_object_is_there_and_no_other(golden, recorded):
    """Each layer holds the ids that the reference lists."""
    _, view = golden
    assert all(row >= 0 for _, row, _ in recorded)
    assert len(recorded) == sum(len(view.ids(layer)) for layer in LAYERS.values())


def test_areas_and_centroids_are_the_recorded_ones(golden, recorded):
    """Polygons lie where the reference has them, to the accuracy of the projection."""
    _, view = golden
    shapes = {layer: to_shapely(view._polygons(layer)) for layer in LAYERS.values()}
    ours = np.array([shapes[layer][row] for layer, row, _ in recorded])
    np.testing.assert_allclose(shapely.area(ours), [was["area"] for *_, was in recorded], rtol=0, atol=1e-6)
    centers = shapely.get_coordinates(shapely.centroid(ours))
    np.testing.assert_allclose(centers, [was["centroid"] for *_, was in recorded], rtol=0, atol=1e-7)


def test_lanes_and_connectors_have_the_recorded_lines(golden, recorded):
    """Baselines, boundaries, end poses and numbers of vertices are those of the reference."""
    lanes = golden[1].lanes
    rows, was = zip(*[(row, was) for layer, row, was in recorded if layer in (Layer.LANE, Layer.LANE_CONNECTOR)], strict=True)
    rows = np.array(rows)
    assert (np.diff(lanes.baselines.offsets)[rows] == [one["points"] for one in was]).all()
    for lines, key in ((lanes.left, "left"), (lanes.right, "right")):
        ours = np.stack([lines.lengths_m[rows], lines.points[lines.offsets[rows], 0]], axis=1)
        np.testing.assert_allclose(ours, [one[key] for one in was], rtol=0, atol=1e-8)
    np.testing.assert_allclose(lanes.baselines.lengths_m[rows], [one["length"] for one in was], rtol=0, atol=1e-8)
    for vertex, key in ((0, "first"), (-1, "last")):
        poses = np.array([lanes.baselines.poses(row)[vertex] for row in rows])
        expected = np.array([one[key] for one in was])
        np.testing.assert_allclose(poses[:, :2], expected[:, :2], rtol=0, atol=1e-8)
        np.testing.assert_allclose(geometry.wrap(poses[:, 2] - expected[:, 2]), 0, atol=1e-7)


def test_the_graph_is_the_recorded_one(golden, recorded):
    """Successors, predecessors, neighbours, roadblocks and their lanes come in the reference's order."""
    _, view = golden
    lanes, blocks = view.lanes, view.blocks
    for layer, row, was in recorded:
        if layer in (Layer.LANE, Layer.LANE_CONNECTOR):
            assert texts(lanes.ids[lanes.predecessors.row(row)]) == was["incoming"]
            assert texts(lanes.ids[lanes.successors.row(row)]) == was["outgoing"]
            assert str(blocks.ids[lanes.block[row]]) == was["roadblock"]
            assert [None if side < 0 else str(lanes.ids[side]) for side in view.neighbors()[row]] == was["adjacent"]
        elif layer in (Layer.ROADBLOCK, Layer.ROADBLOCK_CONNECTOR):
            assert texts(blocks.ids[blocks.predecessors.row(row)]) == was["incoming"]
            assert texts(blocks.ids[blocks.successors.row(row)]) == was["outgoing"]
            assert texts(lanes.ids[blocks.interior.row(row)]) == was["interior"]


def test_limits_lights_and_stop_lines_are_the_recorded_ones(golden, recorded):
    """Speed limits to the bit, lights of connectors, and which stop polygons hold their traffic."""
    lanes, stops = golden[1].lanes, golden[1].areas[Layer.STOP_POLYGON]
    for layer, row, was in recorded:
        if layer in (Layer.LANE, Layer.LANE_CONNECTOR):
            assert (float(lanes.speed_limit_mps[row]) if lanes.has_speed_limit[row] else None) == was["speed"]
            assert bool(lanes.has_lights[row]) == was["lights"]
            assert texts(stops.ids[lanes.stop_polygons.row(row)]) == was["stops"]


def test_proximal_objects_are_the_recorded_ones(golden):
    """Every list of ids around the ego centre, all layers and radii of all scenarios, in order."""
    folder, view = golden
    compared = 0
    for path in sorted((folder / "reader" / "scenarios").glob("*.npz")):
        with np.load(path) as scenario:
            center = scenario["ego_now"][0, 8:10]
            for name in scenario.files:
                if name.startswith("near_"):
                    _, half_side_m, kind = name.split("_", 2)
                    layer = LAYERS[kind]
                    ours = view._table(layer).ids[view.near(layer, center, float(half_side_m))]
                    assert ours.tolist() == scenario[name].astype(np.int64).tolist(), (path.name, name)
                    compared += 1
    assert compared >= 14 * 3 * len(LAYERS)


def test_walks_of_recorded_drives_follow_the_graph(golden):
    """Ten seconds of each recorded drive pass blocks that lie on the way one after another, in the order of its route."""
    folder, view = golden
    passed = 0
    for path in sorted((folder / "reader" / "scenarios").glob("*.npz")):
        with np.load(path) as scenario:
            drive = np.concatenate([scenario[part][:, 1:3] for part in ("ego_past", "ego_now", "ego_future")])
            route = scenario["route"].tolist()
        rows = view.walk(drive)
        assert all(after in view.blocks.successors.row(before) for before, after in itertools.pairwise(rows.tolist()))
        places = [route.index(name) for name in texts(view.blocks.ids[rows]) if name in route]
        assert places == sorted(places)
        passed += len(rows)
    assert passed >= 14


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """Return the map of a small synthetic town."""
    root = tmp_path_factory.mktemp("town")
    made = write_dataset(root / "data", logs=1, seconds=4.0, grid=(2, 2), density=0.1)
    (location,) = [path.name for path in made.map_root.iterdir() if path.is_dir()]
    return open_map(made.map_root, location, cache_home=root / "cache")


def test_a_synthetic_town_is_whole(town):
    """Nothing had to be left out, and every layer of a town has objects."""
    assert town.derived["problems"] == []
    assert len(town.lanes) > town.lanes.lane_count > 0
    assert all(len(town.areas[layer]) for layer in AREA_LAYERS)
    assert (town.lanes.block >= 0).all()
    assert town.lanes.has_lights.any()


def test_connections_join_ends(town):
    """A successor's baseline begins where the lane's ends."""
    lanes = town.lanes
    for row in range(len(lanes)):
        for onward in lanes.successors.row(row):
            gap_m = np.hypot(*(lanes.baselines.line(onward)[0] - lanes.baselines.line(row)[-1]))
            assert gap_m < 0.1
            assert row in lanes.predecessors.row(onward)


def test_queries_of_a_town_agree_with_geos(town):
    """Proximal objects, containment and nearest objects are those of GEOS, for every layer, at many places."""
    rng = np.random.default_rng(0)
    lanes = town.lanes
    places = lanes.baselines.points[rng.integers(0, len(lanes.baselines.points), 15)] + rng.normal(0, 6, (15, 2))
    lines = np.array([shapely.LineString(lanes.reach.line(row)) for row in range(lanes.lane_count, len(lanes))])
    for layer in Layer:
        rows = town._rows(layer)
        shapes = to_shapely(town._polygons(layer))[rows]
        reach = lines if layer is Layer.LANE_CONNECTOR else shapes
        point, row = town.containing(layer, places)
        inside = np.argwhere(shapely.contains_xy(shapes[None, :], places[:, 0, None], places[:, 1, None]))
        np.testing.assert_array_equal(np.stack([point, row - rows.start], axis=1), inside)
        for place, half_side_m in zip(places, rng.uniform(0.5, 150, len(places)), strict=True):
            square = shapely.box(*(place - half_side_m), *(place + half_side_m))
            expected = rows.start + np.flatnonzero(shapely.intersects(reach, square))
            np.testing.assert_array_equal(town.near(layer, place, half_side_m), expected)
            assert town.nearest(layer, place)[1] == pytest.approx(
                shapely.distance(shapes, shapely.Point(place)).min(), abs=1e-9
            )
