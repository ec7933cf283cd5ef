"""Writer of a town's map: a GeoPackage in nuPlan's layers, longitude and latitude in degrees."""

import contextlib
import sqlite3
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import shapely

from pluto_nuplan.projection import to_lonlat
from pluto_nuplan.synth.curves import Array, ring
from pluto_nuplan.synth.fids import Fids
from pluto_nuplan.synth.layout import LANE_WIDTH_M
from pluto_nuplan.synth.surroundings import Surroundings
from pluto_nuplan.synth.town import Block, Connector, Lane, LaneGroup, Town

WGS84 = 4326

_TRAFFIC_LIGHT_STOP = 2
_TURN_TYPES = (1, 0, 2)
_CREATOR = "synthetic"
_APPLICATION_ID = 0x47504B47
_VERSION = 10200
_STAMP = "2021-01-01T00:00:00.000Z"
_TABLES = """
CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT NOT NULL, srs_id INTEGER NOT NULL PRIMARY KEY, organization TEXT NOT NULL,
    organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT);
CREATE TABLE gpkg_contents (table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE,
    description TEXT DEFAULT '', last_change DATETIME NOT NULL, min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE,
    srs_id INTEGER REFERENCES gpkg_spatial_ref_sys (srs_id));
CREATE TABLE gpkg_geometry_columns (table_name TEXT NOT NULL PRIMARY KEY REFERENCES gpkg_contents (table_name),
    column_name TEXT NOT NULL, geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL, z TINYINT NOT NULL,
    m TINYINT NOT NULL);
"""
_WGS84_TEXT = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],'
    'AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0,AUTHORITY["EPSG","8901"]],UNIT["degree",0.0174532925199433,'
    'AUTHORITY["EPSG","9122"]],AXIS["Latitude",NORTH],AXIS["Longitude",EAST],AUTHORITY["EPSG","4326"]]'
)
_SYSTEMS = (
    ("Undefined Cartesian SRS", -1, "NONE", -1, "undefined", "undefined Cartesian coordinate reference system"),
    ("Undefined geographic SRS", 0, "NONE", 0, "undefined", "undefined geographic coordinate reference system"),
    ("WGS 84 geodetic", WGS84, "EPSG", WGS84, _WGS84_TEXT, "longitude and latitude on WGS 84"),
)


@attrs.frozen(eq=False)
class Layer:
    """A map layer: rows of feature id, geometry in UTM metres (N, 2) and the values of `columns`."""

    name: str
    kind: str
    columns: dict[str, str]
    rows: list[tuple[int, Array, tuple[Any, ...]]]


def write_map(path: Path, layers: Iterable[Layer], epsg: int) -> None:
    """Write layers whose geometry is in UTM zone `epsg` - 32600 as a GeoPackage."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(
            f"PRAGMA application_id={_APPLICATION_ID}; PRAGMA user_version={_VERSION}; PRAGMA synchronous=OFF; {_TABLES}"
        )
        database.executemany("INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, ?)", _SYSTEMS)
        for layer in layers:
            _write_layer(database, layer, epsg - 32600)
        database.execute("CREATE TABLE meta (fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, key TEXT, value TEXT)")
        database.executemany(
            "INSERT INTO meta (key, value) VALUES (?, ?)",
            [("geographicCoordSystem", f"epsg:{WGS84}"), ("projectedCoordSystem", f"EPSG:{epsg}"), ("version", _CREATOR)],
        )
        _enter(database, ("meta", "attributes", "meta", "", _STAMP, None, None, None, None, 0))
        database.commit()


def _enter(database: sqlite3.Connection, row: tuple[Any, ...]) -> None:
    database.execute("INSERT INTO gpkg_contents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def _write_layer(database: sqlite3.Connection, layer: Layer, zone: int) -> None:
    columns = "".join(f', "{name}" {kind}' for name, kind in layer.columns.items())
    database.execute(
        f'CREATE TABLE "{layer.name}" (fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, geom {layer.kind}{columns})'
    )
    bounds = (None, None, None, None)
    if layer.rows:
        blobs, box = _encode([row[1] for row in layer.rows], layer.kind, zone)
        bounds = tuple(box.tolist())
        marks = ", ".join("?" * (len(layer.columns) + 2))
        database.executemany(
            f'INSERT INTO "{layer.name}" VALUES ({marks})',  # noqa: S608  (names are ours)
            [(row[0], blob, *row[2]) for row, blob in zip(layer.rows, blobs, strict=True)],
        )
    _enter(database, (layer.name, "features", layer.name, "", _STAMP, *bounds, WGS84))
    database.execute("INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', ?, ?, 0, 0)", (layer.name, layer.kind, WGS84))


def _encode(lines: list[Array], kind: str, zone: int) -> tuple[list[bytes], Array]:
    """GeoPackage geometry blobs (header with envelope, little-endian, then WKB), and the box of all."""
    flat = np.concatenate(lines)
    lonlat = np.column_stack(to_lonlat(flat[:, 0], flat[:, 1], zone))
    owner = np.repeat(np.arange(len(lines)), [len(line) for line in lines])
    shapes = (
        shapely.linestrings(lonlat, indices=owner)
        if kind == "LINESTRING"
        else shapely.polygons(shapely.linearrings(lonlat, indices=owner))
    )
    bounds = shapely.bounds(shapes)
    head = struct.pack("<2sBBi", b"GP", 0, 0b011, WGS84)
    envelopes = bounds[:, [0, 2, 1, 3]].astype("<f8").tobytes()
    bodies = shapely.to_wkb(shapes, byte_order=1)
    blobs = [head + envelopes[32 * at : 32 * at + 32] + body for at, body in enumerate(bodies)]
    return blobs, np.concatenate((bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)))


def town_layers(town: Town, around: Surroundings, fids: Fids) -> Iterator[Layer]:
    """All layers of a town's map."""
    yield _lanes(town, fids)
    yield _connectors(town, fids)
    yield _connector_polygons(town, fids)
    yield _baselines(town, fids)
    boundaries = [(fids.of("boundary", i), line, (0, 0, _CREATOR)) for i, line in enumerate(town.boundaries_m)]
    columns = {"boundary_type_fid": "INTEGER", "has_reflectors": "INTEGER", "creator_id": "TEXT"}
    yield Layer("boundaries", "LINESTRING", columns, boundaries)
    yield _groups(town, fids)
    yield _blocks(town, fids)
    yield _stops(town, around, fids)
    yield _crosswalks(town, around, fids)
    yield _plain("intersections", "intersection", around.intersections_m, fids, {"intersection_type_fid": 2, "is_mini": 0})
    yield _plain("road_segments", "road_segment", around.road_segments_m, fids)
    yield _plain("walkways", "walkway", around.walkways_m, fids)
    yield _plain("carpark_areas", "car_park", [park.outline_m for park in around.car_parks], fids, {"heading": 0})
    drives = [park.driveway_m for park in around.car_parks] + [strip.outline_m for strip in around.strips]
    yield _plain("generic_drivable_areas", "drivable_area", drives, fids)


def _plain(name: str, layer: str, outlines: Iterable[Array], fids: Fids, extra: dict[str, int] | None = None) -> Layer:
    extra = extra or {}
    columns = {**dict.fromkeys(extra, "INTEGER"), "creator_id": "TEXT"}
    rows = [(fids.of(layer, i), outline, (*extra.values(), _CREATOR)) for i, outline in enumerate(outlines)]
    return Layer(name, "POLYGON", columns, rows)


def _between(town: Town, edge: Lane | Connector | LaneGroup | Block) -> Array:
    return ring(town.boundaries_m[edge.left], town.boundaries_m[edge.right][::-1])


def _sides(fids: Fids, edge: Lane | Connector | LaneGroup | Block) -> tuple[int, int]:
    return fids.of("boundary", edge.left), fids.of("boundary", edge.right)


_SIDES = {"left_boundary_fid": "INTEGER", "right_boundary_fid": "INTEGER"}


def _lanes(town: Town, fids: Fids) -> Layer:
    columns = {"lane_fid": "INTEGER", "lane_group_fid": "INTEGER", "lane_index": "INTEGER", **_SIDES}
    columns |= {"speed_limit_mps": "REAL", "lane_type_fid": "INTEGER", "width": "REAL", "creator_id": "TEXT"}
    rows = []
    for lane in town.lanes:
        fid = fids.of("lane", lane.index)
        values = (fid, fids.of("group", lane.group), lane.order, *_sides(fids, lane), lane.limit_mps, 0, LANE_WIDTH_M, _CREATOR)
        rows.append((fid, _between(town, lane), values))
    return Layer("lanes_polygons", "POLYGON", columns, rows)


def _connectors(town: Town, fids: Fids) -> Layer:
    names = ("exit_lane_fid", "entry_lane_fid", "lane_group_connector_fid", "exit_lane_group_fid", "entry_lane_group_fid")
    columns = {**dict.fromkeys((*names, "intersection_fid", "turn_type_fid"), "INTEGER"), "speed_limit_mps": "REAL"}
    columns |= {"traffic_light_stop_line_fids": "TEXT", "creator_id": "TEXT"}
    rows = []
    for connector in town.connectors:
        groups = town.blocks[connector.block].groups
        values = (
            fids.of("lane", connector.start),
            fids.of("lane", connector.end),
            fids.of("block", connector.block),
            *(fids.of("group", group) for group in groups),
            fids.of("intersection", connector.junction),
            _TURN_TYPES[connector.turn],
            connector.limit_mps,
            str(fids.of("stop", connector.arms[0])),
            _CREATOR,
        )
        rows.append((fids.of("connector", connector.index), connector.line_m, values))
    return Layer("lane_connectors", "LINESTRING", columns, rows)


def _connector_polygons(town: Town, fids: Fids) -> Layer:
    columns = {"lane_connector_fid": "INTEGER", **_SIDES, "baseline_path_fid": "INTEGER"}
    lanes = len(town.lanes)
    rows = [
        (
            fids.of("connector_polygon", each.index),
            _between(town, each),
            (fids.of("connector", each.index), *_sides(fids, each), fids.of("baseline", lanes + each.index)),
        )
        for each in town.connectors
    ]
    return Layer("gen_lane_connectors_scaled_width_polygons", "POLYGON", columns, rows)


def _baselines(town: Town, fids: Fids) -> Layer:
    """Middle lines; the two columns for their owner are REAL because one of them is always NULL."""
    columns = {"lane_fid": "REAL", "lane_connector_fid": "REAL", "path_type_fid": "INTEGER", "creator_id": "TEXT"}
    rows: list[tuple[int, Array, tuple[Any, ...]]] = []
    for lane in town.lanes:
        owner = (float(fids.of("lane", lane.index)), None, 0, _CREATOR)
        rows.append((fids.of("baseline", len(rows)), lane.line_m, owner))
    for connector in town.connectors:
        owned = (None, float(fids.of("connector", connector.index)), 0, _CREATOR)
        rows.append((fids.of("baseline", len(rows)), connector.line_m, owned))
    return Layer("baseline_paths", "LINESTRING", columns, rows)


def _groups(town: Town, fids: Fids) -> Layer:
    rows = [(fids.of("group", group.index), _between(town, group), (*_sides(fids, group), _CREATOR)) for group in town.groups]
    return Layer("lane_groups_polygons", "POLYGON", {**_SIDES, "creator_id": "TEXT"}, rows)


def _blocks(town: Town, fids: Fids) -> Layer:
    names = ("from_lane_group_fid", "to_lane_group_fid", "intersection_fid")
    rows = []
    for block in town.blocks:
        groups = (fids.of("group", group) for group in block.groups)
        values = (*groups, fids.of("intersection", block.junction), *_sides(fids, block), _CREATOR)
        rows.append((fids.of("block", block.index), _between(town, block), values))
    return Layer("lane_group_connectors", "POLYGON", {**dict.fromkeys(names, "INTEGER"), **_SIDES, "creator_id": "TEXT"}, rows)


def _stops(town: Town, around: Surroundings, fids: Fids) -> Layer:
    groups = {group.arms[1]: group for group in town.groups}
    leaving: dict[int, list[str]] = {}
    for connector in town.connectors:
        leaving.setdefault(connector.arms[0], []).append(str(fids.of("connector", connector.index)))
    rows = []
    for arm, outline in enumerate(around.stops_m):
        lanes = ",".join(str(fids.of("lane", lane)) for lane in groups[arm].lanes)
        values = (_TRAFFIC_LIGHT_STOP, fids.of("group", groups[arm].index), lanes, ",".join(leaving[arm]), _CREATOR)
        rows.append((fids.of("stop", arm), outline, values))
    columns = {"stop_polygon_type_fid": "INTEGER", "lane_group_fid": "INTEGER"}
    columns |= dict.fromkeys(("lane_fids", "lane_connector_fids", "creator_id"), "TEXT")
    return Layer("stop_polygons", "POLYGON", columns, rows)


def _crosswalks(town: Town, around: Surroundings, fids: Fids) -> Layer:
    rows = [
        (fids.of("crosswalk", arm.index), outline, (str(fids.of("intersection", arm.junction)), 1, _CREATOR))
        for arm, outline in zip(town.arms, around.crosswalks_m, strict=True)
    ]
    columns = {"intersection_fids": "TEXT", "is_marked": "INTEGER", "creator_id": "TEXT"}
    return Layer("crosswalks", "POLYGON", columns, rows)
