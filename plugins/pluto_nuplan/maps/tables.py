"""What a nuPlan map must hold, read into arrays of metres: which layers and columns, and what had to be left out."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import attrs
import numpy as np
import numpy.typing as npt
import shapely

from pluto_core.errors import Reason, SampleError
from pluto_core.maps import Polygons, Polylines
from pluto_nuplan.maps.geopackage import GeoPackage, Layer, as_ids
from pluto_nuplan.maps.utm import to_utm

Ints = npt.NDArray[np.int64]
Shapes = TypeVar("Shapes", Polylines, Polygons)

POLYGON_LAYERS: Mapping[str, tuple[str, ...]] = {
    "lanes_polygons": ("lane_group_fid", "lane_index", "left_boundary_fid", "right_boundary_fid", "speed_limit_mps"),
    "gen_lane_connectors_scaled_width_polygons": ("lane_connector_fid", "left_boundary_fid", "right_boundary_fid"),
    "lane_groups_polygons": (),
    "lane_group_connectors": ("from_lane_group_fid", "to_lane_group_fid", "intersection_fid"),
    "crosswalks": (),
    "stop_polygons": ("stop_polygon_type_fid",),
    "intersections": (),
    "walkways": (),
    "carpark_areas": (),
    "road_segments": (),
    "generic_drivable_areas": (),
}
LINE_LAYERS: Mapping[str, tuple[str, ...]] = {
    "lane_connectors": (
        "exit_lane_fid",
        "entry_lane_fid",
        "lane_group_connector_fid",
        "speed_limit_mps",
        "traffic_light_stop_line_fids",
    ),
    "baseline_paths": ("lane_fid", "lane_connector_fid"),
    "boundaries": (),
}
_POLYGON_TYPES = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
_LINE_TYPES = (shapely.GeometryType.LINESTRING,)
_FIRST_UTM_EPSG = 32600
_FARTHEST = 1e8
"""More than any coordinate on Earth, in metres and in degrees."""


class Problems:
    """What was wrong with a map and left out, each kind with a count."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def add(self, count: int, what: str) -> None:
        """Note that `count` objects have the trouble `what`; nothing for none."""
        if count:
            self.notes.append(f"{count} {what}")


@attrs.frozen(eq=False)
class Table(Generic[Shapes]):
    """The objects of a layer that have a usable geometry, in ascending fid."""

    name: str
    fids: Ints
    shapes: Shapes
    """In metres, one for each fid."""
    columns: dict[str, list[Any]]
    """Values as SQLite gives them, one for each fid."""

    def ids(self, column: str) -> Ints:
        """Return a column of ids, `MISSING` where a row gives none."""
        return as_ids(self.columns[column])

    @classmethod
    def of(cls, layer: Layer, rows: Ints, shapes: Shapes) -> "Table[Shapes]":
        """Return the given rows of a layer."""
        columns = {name: [values[row] for row in rows] for name, values in layer.columns.items()}
        return cls(layer.name, layer.fids[rows], shapes, columns)


@attrs.frozen(eq=False)
class Tables:
    """Every layer that a map view is made of."""

    lines: dict[str, Table[Polylines]]
    polygons: dict[str, Table[Polygons]]


def read_tables(package: GeoPackage, problems: Problems) -> Tables:
    """Return the layers of a map, projected to its UTM zone.

    Raises:
        SampleError: Layers, columns or the projected coordinate system are missing; all that is missing is named.
    """
    wanted = {**LINE_LAYERS, **POLYGON_LAYERS}
    lacking = [part for name, columns in wanted.items() for part in package.lacking(name, columns)]
    if lacking:
        message = f"{package.path} lacks {', '.join(lacking)}; fetch the map again (nuplan-maps-v1.0)"
        raise SampleError(Reason.BROKEN_MAP, message)
    zone = package.projected_epsg() - _FIRST_UTM_EPSG
    return Tables(
        lines={name: _line_table(package.layer(name, columns), zone, problems) for name, columns in LINE_LAYERS.items()},
        polygons={
            name: _polygon_table(package.layer(name, columns), zone, problems) for name, columns in POLYGON_LAYERS.items()
        },
    )


def _line_table(layer: Layer, zone: int, problems: Problems) -> Table[Polylines]:
    merged = layer.geometries.copy()
    several = shapely.get_type_id(merged) == shapely.GeometryType.MULTILINESTRING
    merged[several] = shapely.line_merge(merged[several])
    rows = _usable(layer.name, merged, _LINE_TYPES, problems)
    coordinates = shapely.get_coordinates(merged[rows])
    offsets = _offsets(shapely.get_num_coordinates(merged[rows]))
    lines = Polylines(offsets, _metres(coordinates, layer, zone))
    long = lines.lengths_m > 0
    if not long.all():
        problems.add(int((~long).sum()), f"objects of {layer.name} have no length")
        lines = lines.take(np.flatnonzero(long))
    return Table.of(layer, rows[long], lines)


def _polygon_table(layer: Layer, zone: int, problems: Problems) -> Table[Polygons]:
    rows = _usable(layer.name, layer.geometries, _POLYGON_TYPES, problems)
    parts, polygon_of_part = shapely.get_parts(layer.geometries[rows], return_index=True)
    rings, part_of_ring = shapely.get_rings(parts, return_index=True)
    holes = np.zeros(len(rings), np.bool_)
    holes[1:] = part_of_ring[1:] == part_of_ring[:-1]
    ring_counts = np.bincount(polygon_of_part[part_of_ring], minlength=len(rows))
    coordinates = shapely.get_coordinates(rings)
    lines = Polylines(_offsets(shapely.get_num_coordinates(rings)), _metres(coordinates, layer, zone))
    return Table.of(layer, rows, Polygons(_offsets(ring_counts), lines, holes))


def _usable(name: str, geometries: npt.NDArray[np.object_], types: tuple[int, ...], problems: Problems) -> Ints:
    """Return the rows with a geometry of the right type and finite coordinates.

    Raises:
        SampleError: The layer has rows, and none is usable: it holds something else than what this reader knows.
    """
    present = ~shapely.is_missing(geometries)
    fitting = np.isin(shapely.get_type_id(geometries), types)
    coordinates, owner = shapely.get_coordinates(geometries, return_index=True)
    finite = np.ones(len(geometries), np.bool_)  # bounds pass over a NaN
    finite[owner[~(np.abs(coordinates) <= _FARTHEST).all(axis=1)]] = False
    problems.add(int((~present).sum()), f"objects of {name} have no geometry that can be read")
    problems.add(int((present & ~fitting).sum()), f"objects of {name} have a geometry of another type")
    problems.add(int((present & fitting & ~finite).sum()), f"objects of {name} have coordinates that are not finite")
    usable = np.flatnonzero(present & fitting & finite)
    if len(geometries) and not len(usable):
        message = f"no object of layer {name} has a usable geometry; fetch the map again"
        raise SampleError(Reason.BROKEN_MAP, message)
    return usable


def _metres(coordinates: npt.NDArray[np.float64], layer: Layer, zone: int) -> npt.NDArray[np.float64]:
    if not layer.geographic or len(coordinates) == 0:
        return coordinates
    return to_utm(coordinates[:, 0], coordinates[:, 1], zone)


def _offsets(counts: npt.NDArray[np.integer]) -> Ints:
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets
