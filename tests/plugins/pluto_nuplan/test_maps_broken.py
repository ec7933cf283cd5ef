import json
import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest
import shapely

from pluto_core.errors import Reason, SampleError
from pluto_core.maps import Layer
from pluto_nuplan.maps import MapFile, find_map, open_map
from pluto_nuplan.maps.geopackage import as_ids, decode
from pluto_nuplan.maps.store import build
from pluto_nuplan.synth.dataset import write_dataset


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the map file of a small synthetic town."""
    made = write_dataset(tmp_path_factory.mktemp("whole") / "data", logs=1, seconds=4.0, grid=(2, 2), density=0.1)
    (location,) = [path.name for path in made.map_root.iterdir() if path.is_dir()]
    return find_map(made.map_root, location)


@pytest.fixture(scope="module")
def whole_view(whole):
    """Return the map that nothing was done to."""
    return build(whole)[0]


@pytest.fixture
def broken(whole, tmp_path):
    """Return a function that copies the map, runs SQL on the copy, and reads it: the view and what was left out."""

    def run(*statements):
        path = tmp_path / "map.gpkg"
        shutil.copyfile(whole.path, path)
        with closing(sqlite3.connect(path)) as connection:
            for statement in statements:
                connection.execute(*((statement,) if isinstance(statement, str) else statement))
            connection.commit()
        return build(MapFile(whole.location, whole.version, path))

    return run


def first(table, column, value, where="fid IS NOT NULL"):
    """Return the statement that changes one column of the first row of a table, with its parameter."""
    return f"UPDATE {table} SET {column} = ? WHERE fid = (SELECT min(fid) FROM {table} WHERE {where})", (value,)  # noqa: S608


def blob(geometry, flags=0b1):
    """Return a geometry as a GeoPackage stores it."""
    return b"GP\0" + bytes([flags]) + b"\xe6\x10\0\0" + shapely.to_wkb(geometry)


def refused(run, reason):
    """Return the message with which a map is refused for a reason."""
    with pytest.raises(SampleError) as caught:
        run()
    assert caught.value.reason is reason
    return caught.value.detail


def test_all_that_a_map_lacks_is_named_at_once(broken):
    """Missing layers and columns come in one message, which names the file."""
    drop = ("DROP TABLE crosswalks", "DROP TABLE boundaries", "ALTER TABLE lanes_polygons RENAME COLUMN lane_index TO place")
    detail = refused(lambda: broken(*drop), Reason.BROKEN_MAP)
    assert all(
        part in detail for part in ("layer crosswalks", "layer boundaries", "column lanes_polygons.lane_index", "map.gpkg")
    )


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("DELETE FROM meta WHERE key = 'projectedCoordSystem'", "it names none"),
        ("UPDATE meta SET value = 'EPSG:3857' WHERE key = 'projectedCoordSystem'", "it names 'EPSG:3857'"),
        ("DROP TABLE meta", "it names none"),
        ("DROP TABLE gpkg_geometry_columns", "cannot be read as a GeoPackage"),
        ("DELETE FROM gpkg_geometry_columns WHERE table_name = 'walkways'", "layer walkways has no geometry column"),
        ("UPDATE gpkg_geometry_columns SET srs_id = 3857 WHERE table_name = 'walkways'", "EPSG:3857"),
        ("UPDATE lanes_polygons SET geom = NULL", "no object of layer lanes_polygons has a usable geometry"),
        ("UPDATE baseline_paths SET lane_fid = NULL", "no lane of the map has polygon, baseline and boundaries"),
    ],
)
def test_a_map_that_cannot_be_used_is_refused_by_name(broken, statement, complaint):
    """Each message says what is missing."""
    assert complaint in refused(lambda: broken(statement), Reason.BROKEN_MAP)


@pytest.mark.parametrize("content", [b"", b"no database at all", b"SQLite format 3\0" + bytes(4096)])
def test_what_is_no_geopackage_is_refused(tmp_path, content):
    """Empty files, foreign files and damaged databases say which file it is."""
    path = tmp_path / "map.gpkg"
    path.write_bytes(content)
    assert str(path) in refused(lambda: build(MapFile("x", "1", path)), Reason.BROKEN_MAP)


def test_a_map_cut_off_in_the_middle_is_refused(whole, tmp_path):
    """A download that broke off is no map."""
    path = tmp_path / "map.gpkg"
    content = whole.path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert str(path) in refused(lambda: build(MapFile("x", "1", path)), Reason.BROKEN_MAP)


CONNECTOR_POLYGONS = "gen_lane_connectors_scaled_width_polygons"


@pytest.mark.parametrize(
    ("wound", "layer", "lost", "note"),
    [
        (first("baseline_paths", "lane_fid", None, "lane_fid IS NOT NULL"), Layer.LANE, 1, "1 lanes have no baseline"),
        (first("lanes_polygons", "left_boundary_fid", None), Layer.LANE, 1, "1 lanes lack a boundary"),
        (first("lanes_polygons", "right_boundary_fid", 1e12), Layer.LANE, 1, "1 lanes lack a boundary"),
        (first("lanes_polygons", "lane_group_fid", 1e12), Layer.LANE, 0, "1 lanes are in an unknown roadblock"),
        (first("walkways", "geom", None), Layer.WALKWAY, 1, "1 objects of walkways have no geometry"),
        (first(CONNECTOR_POLYGONS, "lane_connector_fid", None), Layer.LANE_CONNECTOR, 1, "1 lane_connectors have no polygon"),
        (first("lane_connectors", "exit_lane_fid", 77), Layer.LANE_CONNECTOR, 0, "1 lane connectors leave an unknown lane"),
        (first("lane_connectors", "entry_lane_fid", 77), Layer.LANE_CONNECTOR, 0, "1 lane connectors enter an unknown lane"),
        (first("lane_connectors", "traffic_light_stop_line_fids", "77"), Layer.LANE_CONNECTOR, 0, "1 stop lines of connectors"),
        (first("lane_group_connectors", "to_lane_group_fid", 77), Layer.ROADBLOCK_CONNECTOR, 0, "1 roadblock connectors enter"),
    ],
)
def test_objects_without_a_part_are_left_out_and_counted(broken, whole_view, caplog, wound, layer, lost, note):
    """The rest of the map stays; one warning says what was lost."""
    view, problems = broken(wound)
    assert any(note in problem for problem in problems)
    assert len(view.ids(layer)) == len(whole_view.ids(layer)) - lost
    assert sum("is incomplete" in record.message and note in record.message for record in caplog.records) == 1
    assert view.lanes.successors.values.max(initial=-1) < len(view.lanes)


@pytest.mark.parametrize(
    ("geometry", "note"),
    [
        (shapely.Point(1, 2), "geometry of another type"),
        (shapely.Polygon(), "no geometry that can be read"),
        (shapely.Polygon([(0, 0), (np.inf, 0), (1, 1)]), "coordinates that are not finite"),
    ],
)
def test_unusable_geometries_are_left_out_and_counted(broken, whole_view, geometry, note):
    """A point, an empty polygon or one at infinity in place of a crosswalk."""
    view, problems = broken(first("crosswalks", "geom", blob(geometry)))
    assert len(problems) == 1
    assert note in problems[0]
    assert len(view.areas[Layer.CROSSWALK]) == len(whole_view.areas[Layer.CROSSWALK]) - 1


def test_lines_without_length_are_left_out(broken, whole_view):
    """A boundary that is one spot takes its lanes with it."""
    statement = "UPDATE boundaries SET geom = ? WHERE fid = (SELECT left_boundary_fid FROM lanes_polygons ORDER BY fid LIMIT 1)"
    view, problems = broken((statement, (blob(shapely.LineString([(-71, 42), (-71, 42)])),)))
    assert problems[0] == "1 objects of boundaries have no length"
    assert 0 < len(view.lanes) < len(whole_view.lanes)
    assert np.isfinite(view.edges()).all()


def test_holes_several_parts_and_crossing_outlines_are_read(broken):
    """A walkway of two parts, one with a hole and one that crosses itself, contains what the even-odd rule says."""
    lon, lat = -115.17, 36.12
    square = shapely.box(lon, lat, lon + 9e-4, lat + 9e-4)
    hole = shapely.box(lon + 3e-4, lat + 3e-4, lon + 6e-4, lat + 6e-4)
    bow = shapely.Polygon([(lon + 2e-3, lat), (lon + 3e-3, lat + 1e-3), (lon + 3e-3, lat), (lon + 2e-3, lat + 1e-3)])
    view, problems = broken(first("walkways", "geom", blob(shapely.MultiPolygon([square - hole, bow]))))
    assert problems == []
    walkways = view.areas[Layer.WALKWAY]
    assert walkways.polygons.holes[:3].tolist() == [False, True, False]
    corners = [walkways.polygons.rings.line(index) for index in range(3)]
    inside, in_hole = corners[0][:4].mean(axis=0) + 35.0, corners[1][:4].mean(axis=0)
    wing = (corners[2][1] + corners[2][2] + corners[2][:4].mean(axis=0)) / 3
    point, row = view.containing(Layer.WALKWAY, np.array([inside, in_hole, wing]))
    assert point[row == 0].tolist() == [0, 2]


def test_several_stop_lines_of_one_connector(broken, whole_view):
    """Those that touch the baseline, in the order of the text; if none does, the one nearest to its first point."""
    stops = whole_view.areas[Layer.STOP_POLYGON]
    shapes = [shapely.Polygon(stops.polygons.exterior(row)) for row in range(len(stops))]
    lanes = whole_view.lanes
    paths = {int(lanes.ids[row]): shapely.LineString(lanes.baselines.line(row)) for row in range(lanes.lane_count, len(lanes))}
    fid, path = next((fid, path) for fid, path in paths.items() if shapely.intersects(shapes, path).any())
    touching = stops.ids[shapely.intersects(shapes, path)].tolist()
    apart = stops.ids[~shapely.intersects(shapes, path)].tolist()
    distances = shapely.distance(np.array(shapes), shapely.Point(path.coords[0]))
    nearest = min(apart, key=lambda stop: distances[stops.ids.tolist().index(stop)])
    for named, expected in (([*reversed(apart), *touching], touching), (apart, [nearest])):
        text = ", ".join(f"{stop}.0" for stop in named)
        view, _ = broken(first("lane_connectors", "traffic_light_stop_line_fids", text, f"fid = {fid}"))
        row = view.row(Layer.LANE_CONNECTOR, fid)
        assert stops.ids[view.lanes.stop_polygons.row(row)].tolist() == expected
        assert view.lanes.has_lights[row]


def test_a_layer_in_metres_is_not_projected_again(broken, whole_view):
    """Where a layer is registered in the map's own UTM zone, its coordinates stay as they are."""
    corner = whole_view.lanes.baselines.points[0]
    square = shapely.box(*corner, *(corner + 10))
    register = """UPDATE gpkg_geometry_columns SET srs_id =
        (SELECT substr(value, 6) FROM meta WHERE key = 'projectedCoordSystem') WHERE table_name = 'walkways'"""
    view, _ = broken(register, first("walkways", "geom", blob(square)))
    np.testing.assert_array_equal(view.areas[Layer.WALKWAY].polygons.bounds[0], square.bounds)


def test_blobs_with_every_envelope_and_damage():
    """All envelope sizes are skipped; null, empty, foreign and cut off blobs give no geometry."""
    line = shapely.LineString([(1, 2), (3, 4)])
    good = [
        b"GP\0" + bytes([1 | kind << 1]) + b"\xe6\x10\0\0" + bytes(size) + shapely.to_wkb(line)
        for kind, size in enumerate((0, 32, 48, 48, 64))
    ]
    bad = [None, b"", b"GP\0\1", b"XX" + good[0][2:], good[0][:-5], blob(line, flags=0b10001), "text", 7]
    found = decode([*good, *bad])
    assert all(shapely.equals_exact(one, line) for one in found[: len(good)])
    assert found[len(good) :].tolist() == [None] * len(bad)


def test_ids_of_any_storage_class():
    """Whole numbers count whether SQLite holds them as integer, real or text."""
    assert as_ids([12089, 12089.0, "12089", "12089.0", None, "", "x", 1.5, -3, float("nan")]).tolist() == [12089] * 4 + [-1] * 6


def test_a_map_that_is_not_there_is_named_with_its_setting(whole, tmp_path):
    """Missing folder, index, location and file each give a message that names the setting."""
    root = whole.path.parents[2]
    cases = [
        (lambda: find_map(tmp_path / "nowhere", "x"), "nowhere"),
        (lambda: find_map(tmp_path, "x"), "nuplan-maps-v1.0.json"),
        (lambda: find_map(root, "atlantis"), whole.location),
        (lambda: find_map(root, "us-ma-boston"), "map.gpkg"),
    ]
    for run, part in cases:
        detail = refused(run, Reason.MISSING_MAP)
        assert "source.map_root" in detail
        assert part in detail


def test_names_of_older_logs_are_understood(whole):
    """Some logs append .gpkg to the location."""
    assert find_map(whole.path.parents[2], f"{whole.location}.gpkg") == whole


@pytest.mark.parametrize("content", ["no json", "[]", '{"a": {"version": "../up"}}', '{"a": {"version": "x/y"}}'])
def test_an_index_that_makes_no_sense_is_refused(tmp_path, content):
    """Neither broken JSON nor paths in place of names are followed."""
    (tmp_path / "nuplan-maps-v1.0.json").write_text(content)
    assert "nuplan-maps-v1.0.json" in refused(lambda: open_map(tmp_path, "a"), Reason.BROKEN_MAP)


def test_an_index_entry_without_version_is_no_map(tmp_path):
    """An entry that does not say where the map is counts as none."""
    (tmp_path / "nuplan-maps-v1.0.json").write_text(json.dumps({"a": {}, "b": 1}))
    assert "a, b" in refused(lambda: open_map(tmp_path, "a"), Reason.MISSING_MAP)
