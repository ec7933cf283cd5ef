"""Maps of nuplan-devkit as map views: the part around a place, object by object through `AbstractMap`."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs
import numpy as np

from pluto_core.maps import Areas, Blocks, Lanes, Layer, MapView, empty_areas
from pluto_core.scene import Floats, Ints
from pluto_core.shapes import Polygons, Polylines, Ragged

LAYERS = {
    Layer.LANE: "LANE",
    Layer.LANE_CONNECTOR: "LANE_CONNECTOR",
    Layer.ROADBLOCK: "ROADBLOCK",
    Layer.ROADBLOCK_CONNECTOR: "ROADBLOCK_CONNECTOR",
    Layer.CROSSWALK: "CROSSWALK",
    Layer.STOP_POLYGON: "STOP_LINE",
    Layer.INTERSECTION: "INTERSECTION",
    Layer.WALKWAY: "WALKWAYS",
    Layer.CARPARK: "CARPARK_AREA",
}
"""Our layers by the names of the devkit's `SemanticMapLayer`. It gives no objects for road segments and generic areas."""

Objects = dict[Layer, list[Any]]


def extract(found: Objects, name: str, extent: tuple[float, float, float, float]) -> MapView:
    """Return a map view of map objects.

    Args:
        found: Objects of every layer of `LAYERS`, in any order.
        name: Name of the map.
        extent: Box of which these are all objects: least x, least y, greatest x, greatest y, m.
    """
    ordered = {layer: sorted(found.get(layer, ()), key=_id) for layer in LAYERS}
    lanes = [*ordered[Layer.LANE], *ordered[Layer.LANE_CONNECTOR]]
    blocks = [*ordered[Layer.ROADBLOCK], *ordered[Layer.ROADBLOCK_CONNECTOR]]
    split = len(ordered[Layer.LANE]), len(ordered[Layer.ROADBLOCK])
    tables = _Tables(_rows(lanes, split[0]), _rows(blocks, split[1]), _rows(ordered[Layer.STOP_POLYGON], 0))
    areas = {layer: _areas(ordered[layer]) for layer in LAYERS if layer not in _GRAPH}
    rows = {_id(one): row for row, one in enumerate(ordered[Layer.INTERSECTION])}
    return MapView(
        name=name,
        lanes=_lanes(lanes, split[0], tables),
        blocks=_blocks(blocks, split[1], tables, rows),
        areas={layer: areas.get(layer) or empty_areas() for layer in Layer if layer not in _GRAPH},
        extent=extent,
    )


_GRAPH = (Layer.LANE, Layer.LANE_CONNECTOR, Layer.ROADBLOCK, Layer.ROADBLOCK_CONNECTOR)
_Rows = dict[tuple[bool, int], int]
"""Rows by (whether the object is a connector, id): lanes and connectors may share ids."""


@attrs.frozen
class _Tables:
    """Where the objects of an extract stand."""

    lanes: _Rows
    blocks: _Rows
    stops: _Rows


def _rows(objects: Sequence[Any], split: int) -> _Rows:
    return {(row >= split, _id(one)): row for row, one in enumerate(objects)}


def _id(one: Any) -> int:
    return int(one.id)


def _lanes(objects: Sequence[Any], split: int, tables: _Tables) -> Lanes:
    lanes, turns = objects[:split], objects[split:]
    limits = [one.speed_limit_mps for one in objects]
    baselines = Polylines.from_lines([_line(one.baseline_path) for one in objects])
    reach = [*[np.zeros((0, 2))] * split, *(_line(one.baseline_path) for one in turns)]
    return Lanes(
        ids=_ids(objects),
        lane_count=split,
        polygons=_polygons([one.polygon for one in objects]),
        baselines=baselines,
        left=Polylines.from_lines([_line(one.left_boundary) for one in objects]),
        right=Polylines.from_lines([_line(one.right_boundary) for one in objects]),
        reach=Polylines.from_lines(reach),
        speed_limit_mps=np.array([0.0 if limit is None or np.isnan(limit) else limit for limit in limits], np.float64),
        has_speed_limit=np.array([limit is not None and not np.isnan(limit) for limit in limits], np.bool_),
        has_lights=np.array([False] * split + [bool(one.has_traffic_lights()) for one in turns], np.bool_),
        lane_index=np.array([one.index for one in lanes] + [-1] * len(turns), np.int64),
        block=np.array(
            [tables.blocks.get((row >= split, int(one.get_roadblock_id())), -1) for row, one in enumerate(objects)], np.int64
        ),
        successors=_edges(objects, split, tables.lanes, lambda one: one.outgoing_edges),
        predecessors=_edges(objects, split, tables.lanes, lambda one: one.incoming_edges),
        stop_polygons=Ragged.from_rows(
            [np.zeros(0, np.int64)] * split + [_known(one.stop_lines, tables.stops) for one in turns]
        ),
    )


def _blocks(objects: Sequence[Any], split: int, tables: _Tables, intersections: dict[int, int]) -> Blocks:
    crossings = [one.intersection for one in objects[split:]]
    rows = [-1 if crossing is None else intersections.get(_id(crossing), -1) for crossing in crossings]
    interior = [
        np.sort(_present([tables.lanes.get((row >= split, _id(lane)), -1) for lane in one.interior_edges]))
        for row, one in enumerate(objects)
    ]
    return Blocks(
        ids=_ids(objects),
        block_count=split,
        polygons=_polygons([one.polygon for one in objects]),
        successors=_edges(objects, split, tables.blocks, lambda one: one.outgoing_edges),
        predecessors=_edges(objects, split, tables.blocks, lambda one: one.incoming_edges),
        interior=Ragged.from_rows(interior),
        intersection=np.array([-1] * split + rows, np.int64),
    )


def _edges(objects: Sequence[Any], split: int, rows: _Rows, edges: Callable[[Any], Iterable[Any]]) -> Ragged:
    """Return the rows of neighbours in ascending id: what follows a lane is a connector, and the other way round."""
    found = []
    for row, one in enumerate(objects):
        is_lane = row < split
        near = sorted(edges(one), key=_id)
        found.append(_present([rows.get((is_lane, _id(other)), rows.get((not is_lane, _id(other)), -1)) for other in near]))
    return Ragged.from_rows(found)


def _known(objects: Iterable[Any], rows: _Rows) -> Ints:
    return _present([rows.get((True, _id(one)), -1) for one in objects])


def _present(rows: Sequence[int]) -> Ints:
    return np.array([row for row in rows if row >= 0], np.int64)


def _areas(objects: Sequence[Any]) -> Areas:
    kinds = [_kind(one) for one in objects]
    return Areas(ids=_ids(objects), polygons=_polygons([one.polygon for one in objects]), kind=np.array(kinds, np.int64))


def _kind(one: Any) -> int:
    """Return the type code of a stop polygon, -1 where the map gives none (the devkit's own maps refuse to)."""
    try:
        return int(getattr(one, "layer_type", -1))
    except NotImplementedError:
        return -1


def _ids(objects: Sequence[Any]) -> Ints:
    return np.array([_id(one) for one in objects], np.int64)


def _line(path: Any) -> Floats:
    return np.array(path.linestring.coords, np.float64)[:, :2]


def _polygons(shapes: Sequence[Any]) -> Polygons:
    """Return polygons of one or several parts, with their holes."""
    rings: list[Floats] = []
    holes: list[bool] = []
    counts = [0]
    for shape in shapes:
        for part in getattr(shape, "geoms", [shape]):
            for number, ring in enumerate([part.exterior, *part.interiors]):
                rings.append(np.array(ring.coords, np.float64)[:, :2])
                holes.append(number > 0)
        counts.append(len(rings))
    return Polygons(np.array(counts, np.int64), Polylines.from_lines(rings), np.array(holes, np.bool_))
