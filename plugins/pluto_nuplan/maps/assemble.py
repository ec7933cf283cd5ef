"""Puts the layers of a nuPlan map together as one `MapView`."""

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.errors import Reason, SampleError
from pluto_core.maps import Areas, Blocks, Lanes, Layer, MapView, Polygons, Polylines, Ragged
from pluto_nuplan.maps import graph
from pluto_nuplan.maps.geopackage import MISSING
from pluto_nuplan.maps.graph import UNKNOWN, Index
from pluto_nuplan.maps.tables import Problems, Table, Tables

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

AREA_SOURCES = {
    Layer.CROSSWALK: "crosswalks",
    Layer.STOP_POLYGON: "stop_polygons",
    Layer.INTERSECTION: "intersections",
    Layer.WALKWAY: "walkways",
    Layer.CARPARK: "carpark_areas",
    Layer.ROAD_SEGMENT: "road_segments",
    Layer.GENERIC_DRIVABLE: "generic_drivable_areas",
}


@attrs.frozen(eq=False)
class _Half:
    """The lanes, or the lane connectors: rows of the tables that one object is made of."""

    source: Table[Any]
    """Layer that gives the attributes."""
    chosen: Ints
    """Rows of `source` that are kept."""
    polygons: Polygons
    baselines: Polylines
    left: Polylines
    right: Polylines

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def ids(self) -> Ints:
        return self.source.fids[self.chosen]

    def keys(self, column: str) -> Ints:
        return self.source.ids(column)[self.chosen]

    def values(self, column: str) -> list[Any]:
        return [self.source.columns[column][row] for row in self.chosen]


def assemble(name: str, tables: Tables, problems: Problems) -> MapView:
    """Return the map; objects that lack a part are left out and noted in `problems`."""
    areas = {layer: _areas(tables.polygons[source]) for layer, source in AREA_SOURCES.items()}
    lane_half, connector_half = _lanes(tables, problems), _connectors(tables, problems)
    blocks, owner = _blocks(tables, lane_half, connector_half, problems)
    return MapView(name=name, lanes=_join(tables, lane_half, connector_half, owner, problems), blocks=blocks, areas=areas)


def _areas(table: Table[Polygons]) -> Areas:
    kind = table.ids("stop_polygon_type_fid") if "stop_polygon_type_fid" in table.columns else np.full(len(table.fids), MISSING)
    return Areas(ids=table.fids, polygons=table.shapes, kind=kind)


def _lanes(tables: Tables, problems: Problems) -> _Half:
    lanes = tables.polygons["lanes_polygons"]
    return _half("lane", lanes, lanes, np.arange(len(lanes.fids)), tables, problems)


def _connectors(tables: Tables, problems: Problems) -> _Half:
    connectors = tables.lines["lane_connectors"]
    shaped = tables.polygons["gen_lane_connectors_scaled_width_polygons"]
    index = Index.first(shaped.ids("lane_connector_fid"), "polygons beyond the first of their lane connector", problems)
    return _half("lane_connector", connectors, shaped, index.find(connectors.fids), tables, problems)


def _half(kind: str, source: Table[Any], shaped: Table[Polygons], polygon: Ints, tables: Tables, problems: Problems) -> _Half:
    """Return the objects of `source` that have a polygon, a baseline and two boundaries.

    Args:
        kind: `lane` or `lane_connector`.
        source: Layer that lists the objects.
        shaped: Layer that holds their polygons and names their boundaries.
        polygon: For each object its row in `shaped`.
        tables: All layers.
        problems: Where what is left out is noted.

    Raises:
        SampleError: There are objects, and none is complete.
    """
    paths, edges = tables.lines["baseline_paths"], tables.lines["boundaries"]
    index = Index.first(paths.ids(f"{kind}_fid"), f"baselines beyond the first of their {kind}", problems)
    baseline = index.find(source.fids)
    sides = [graph.find(edges.fids, shaped.ids(f"{side}_boundary_fid")) for side in ("left", "right")]
    left, right = (np.where(polygon == UNKNOWN, UNKNOWN, _taken(side, polygon)) for side in sides)
    problems.add(int((polygon == UNKNOWN).sum()), f"{kind}s have no polygon")
    problems.add(int((baseline == UNKNOWN).sum()), f"{kind}s have no baseline")
    problems.add(int(((polygon != UNKNOWN) & ((left == UNKNOWN) | (right == UNKNOWN))).sum()), f"{kind}s lack a boundary")
    chosen = np.flatnonzero((np.stack([polygon, baseline, left, right]) != UNKNOWN).all(axis=0))
    if len(source.fids) and not len(chosen):
        message = f"no {kind} of the map has polygon, baseline and boundaries; fetch the map again"
        raise SampleError(Reason.BROKEN_MAP, message)
    return _Half(
        source=source,
        chosen=chosen,
        polygons=shaped.shapes.take(polygon[chosen]),
        baselines=paths.shapes.take(baseline[chosen]),
        left=edges.shapes.take(left[chosen]),
        right=edges.shapes.take(right[chosen]),
    )


def _taken(values: Ints, rows: Ints) -> Ints:
    """Return `values[rows]`; where there are no values, `UNKNOWN` throughout."""
    return values[rows] if len(values) else np.full(len(rows), UNKNOWN, np.int64)


def _blocks(tables: Tables, lanes: _Half, connectors: _Half, problems: Problems) -> tuple[Blocks, Ints]:
    """Return the blocks and, for each lane and connector, the row of its block."""
    groups, turns = tables.polygons["lane_groups_polygons"], tables.polygons["lane_group_connectors"]
    split, count = len(groups.fids), len(groups.fids) + len(turns.fids)

    def lookup(ids: Ints, keys: Ints, what: str) -> Ints:
        return graph.known(graph.find(ids, keys), keys, what, problems)

    before = lookup(groups.fids, turns.ids("from_lane_group_fid"), "roadblock connectors leave an unknown roadblock")
    after = lookup(groups.fids, turns.ids("to_lane_group_fid"), "roadblock connectors enter an unknown roadblock")
    successors, predecessors = graph.both_ways(before, split + np.arange(len(turns.fids)), after, count)
    of_lane = lookup(groups.fids, lanes.keys("lane_group_fid"), "lanes are in an unknown roadblock")
    of_turn = lookup(
        turns.fids, connectors.keys("lane_group_connector_fid"), "lane connectors are in an unknown roadblock connector"
    )
    owner = np.concatenate([of_lane, np.where(of_turn == UNKNOWN, UNKNOWN, of_turn + split)])
    crossing = graph.find(tables.polygons["intersections"].fids, turns.ids("intersection_fid"))
    blocks = Blocks(
        ids=np.concatenate([groups.fids, turns.fids]),
        block_count=split,
        polygons=Polygons.joined([groups.shapes, turns.shapes]),
        successors=successors,
        predecessors=predecessors,
        interior=graph.members(owner, count),
        intersection=np.concatenate([np.full(split, UNKNOWN, np.int64), crossing]),
    )
    return blocks, owner


def _join(tables: Tables, lanes: _Half, connectors: _Half, owner: Ints, problems: Problems) -> Lanes:
    split = len(lanes)
    successors, predecessors = _graph(lanes, connectors, problems)
    limits, has_limit = _speed_limits(lanes.values("speed_limit_mps") + connectors.values("speed_limit_mps"))
    texts = connectors.values("traffic_light_stop_line_fids")
    stops = graph.stop_lines(texts, connectors.baselines, tables.polygons["stop_polygons"], problems)
    return Lanes(
        ids=np.concatenate([lanes.ids, connectors.ids]),
        lane_count=split,
        polygons=Polygons.joined([lanes.polygons, connectors.polygons]),
        baselines=Polylines.joined([lanes.baselines, connectors.baselines]),
        left=Polylines.joined([lanes.left, connectors.left]),
        right=Polylines.joined([lanes.right, connectors.right]),
        reach=Polylines.joined([Polylines.empty(split), connectors.source.shapes.take(connectors.chosen)]),
        speed_limit_mps=limits,
        has_speed_limit=has_limit,
        has_lights=np.concatenate([np.zeros(split, np.bool_), graph.has_lights(texts)]),
        lane_index=np.concatenate([lanes.keys("lane_index"), np.full(len(connectors), MISSING, np.int64)]),
        block=owner,
        successors=successors,
        predecessors=predecessors,
        stop_polygons=Ragged.from_rows([np.zeros(0, np.int64)] * split + stops),
    )


def _graph(lanes: _Half, connectors: _Half, problems: Problems) -> tuple[Ragged, Ragged]:
    left, entered = connectors.keys("exit_lane_fid"), connectors.keys("entry_lane_fid")
    before = graph.known(graph.find(lanes.ids, left), left, "lane connectors leave an unknown lane", problems)
    after = graph.known(graph.find(lanes.ids, entered), entered, "lane connectors enter an unknown lane", problems)
    rows = len(lanes) + np.arange(len(connectors))
    return graph.both_ways(before, rows, after, len(lanes) + len(connectors))


def _speed_limits(values: list[Any]) -> tuple[Floats, Mask]:
    """Return the limits in m/s, 0 where there is none, and where there is one."""
    limits = np.array([value if isinstance(value, int | float) else np.nan for value in values], np.float64)
    present = np.isfinite(limits)
    return np.where(present, limits, 0.0), present
