"""The map of a scene: lanes, blocks and areas as arrays, their graph in CSR form, and vector queries.

Everything is metres in the scene's global frame. Ids are unique **per layer**; inside a layer objects stand in ascending
id, and every query returns indices in that order unless it says otherwise. Two tables hold two layers each, so that a
graph edge is one number: `lanes` (LANE first, then LANE_CONNECTOR) and `blocks` (ROADBLOCK first, then
ROADBLOCK_CONNECTOR).
"""

import enum
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core import geometry
from pluto_core.errors import PlutoError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Layer(str, enum.Enum):
    """Layers of a map (nuPlan v1.1, SemanticMapLayer)."""

    LANE = "lane"
    LANE_CONNECTOR = "lane_connector"
    ROADBLOCK = "roadblock"
    ROADBLOCK_CONNECTOR = "roadblock_connector"
    CROSSWALK = "crosswalk"
    STOP_POLYGON = "stop_polygon"
    INTERSECTION = "intersection"
    WALKWAY = "walkway"
    CARPARK = "carpark"
    ROAD_SEGMENT = "road_segment"
    GENERIC_DRIVABLE = "generic_drivable"


LANE_LAYERS = (Layer.LANE, Layer.LANE_CONNECTOR)
BLOCK_LAYERS = (Layer.ROADBLOCK, Layer.ROADBLOCK_CONNECTOR)
AREA_LAYERS = tuple(layer for layer in Layer if layer not in LANE_LAYERS + BLOCK_LAYERS)


@attrs.frozen(eq=False)
class Ragged:
    """Rows of integers of different lengths (CSR)."""

    offsets: Ints
    """(n + 1,) row `i` is `values[offsets[i]:offsets[i + 1]]`."""
    values: Ints
    """(sum of lengths,)"""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.offsets) - 1

    def row(self, index: int) -> Ints:
        """Return one row."""
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    @classmethod
    def from_pairs(cls, rows: Ints, values: Ints, count: int) -> "Ragged":
        """Return `count` rows from (row, value) pairs; inside a row the order of the pairs is kept."""
        order = np.argsort(rows, kind="stable")
        offsets = np.zeros(count + 1, np.int64)
        np.cumsum(np.bincount(rows, minlength=count), out=offsets[1:])
        return cls(offsets, np.asarray(values, np.int64)[order])


@attrs.define(eq=False, slots=False)
class Polylines:
    """Lines of different numbers of vertices."""

    offsets: Ints
    """(n + 1,) line `i` is `points[offsets[i]:offsets[i + 1]]`."""
    points: Floats
    """(V, 2) vertices, m."""

    def __len__(self) -> int:
        """Return the number of lines."""
        return len(self.offsets) - 1

    def line(self, index: int) -> Floats:
        """Return the (k, 2) vertices of one line."""
        return self.points[self.offsets[index] : self.offsets[index + 1]]

    @cached_property
    def arc_m(self) -> Floats:
        """Return the (V,) arc length of every vertex from the start of its line."""
        return geometry.arc_lengths(self.points, self.offsets)

    @cached_property
    def headings(self) -> Floats:
        """Return the (V,) heading of every vertex towards the next; the last vertex of a line repeats the one before."""
        return geometry.vertex_headings(self.points, self.offsets)

    @cached_property
    def lengths_m(self) -> Floats:
        """Return the (n,) lengths; 0 for a line without vertices."""
        filled = np.diff(self.offsets) > 0
        lengths = np.zeros(len(self))
        lengths[filled] = self.arc_m[self.offsets[1:][filled] - 1]
        return lengths

    @cached_property
    def bounds(self) -> Floats:
        """Return the (n, 4) boxes: least x, least y, greatest x, greatest y."""
        return geometry.bounds(self.points, self.offsets)

    def poses(self, index: int) -> Floats:
        """Return the (k, 3) vertices of one line with their headings."""
        span = slice(self.offsets[index], self.offsets[index + 1])
        return np.concatenate([self.points[span], self.headings[span, None]], axis=1)

    def resampled(self, count: int) -> Floats:
        """Return (n, count, 2) points equally spaced along each line, end points included.

        Raises:
            PlutoError: A line has no length.
        """
        return geometry.resample(self.points, self.offsets, count)

    @classmethod
    def from_lines(cls, lines: list[Floats]) -> "Polylines":
        """Return the lines, in their order."""
        offsets = np.zeros(len(lines) + 1, np.int64)
        np.cumsum([len(line) for line in lines], out=offsets[1:])
        points = np.concatenate([np.asarray(line, np.float64).reshape(-1, 2) for line in lines]) if lines else np.zeros((0, 2))
        return cls(offsets, points)


@attrs.define(eq=False, slots=False)
class Polygons:
    """Polygons with holes and several parts. A ring that is no hole starts a new part; the first ring never is one."""

    ring_offsets: Ints
    """(n + 1,) polygon `i` has the rings `ring_offsets[i]:ring_offsets[i + 1]`."""
    rings: Polylines
    """Closed rings: the last vertex repeats the first."""
    holes: Mask
    """(rings,) whether the ring is a hole of the part before it."""

    def __len__(self) -> int:
        """Return the number of polygons."""
        return len(self.ring_offsets) - 1

    def exterior(self, index: int) -> Floats:
        """Return the (k, 2) closed outer ring of the first part."""
        return self.rings.line(int(self.ring_offsets[index]))

    @cached_property
    def bounds(self) -> Floats:
        """Return the (n, 4) boxes: least x, least y, greatest x, greatest y."""
        vertices = self.rings.offsets[self.ring_offsets]
        return geometry.bounds(self.rings.points, vertices)

    @classmethod
    def from_rings(cls, rings: list[Floats]) -> "Polygons":
        """Return one simple polygon a ring; rings are closed where they are open."""
        closed = [ring if np.array_equal(ring[0], ring[-1]) else np.concatenate([ring, ring[:1]]) for ring in rings]
        return cls(np.arange(len(rings) + 1, dtype=np.int64), Polylines.from_lines(closed), np.zeros(len(rings), np.bool_))


@attrs.define(eq=False, slots=False, kw_only=True)
class Lanes:
    """Lanes and lane connectors; both graph and geometry."""

    ids: Ints
    """(n,) ids; ascending within LANE and within LANE_CONNECTOR."""
    lane_count: int
    """The first `lane_count` rows are of LANE, the rest of LANE_CONNECTOR."""
    polygons: Polygons
    baselines: Polylines
    """Centre lines in driving direction, vertices as drawn."""
    left: Polylines
    """Left boundaries, vertices in their own stored direction."""
    right: Polylines
    reach: Polylines
    """What a proximal query of a connector tests: the line stored in its layer (nuPlan v1.1); empty lines for lanes."""
    speed_limit_mps: Floats
    """(n,) 0 where there is none."""
    has_speed_limit: Mask
    """(n,)"""
    has_lights: Mask
    """(n,) whether a traffic light governs the connector."""
    lane_index: Ints
    """(n,) position in its roadblock, smaller is further left; -1 for connectors."""
    block: Ints
    """(n,) row of its roadblock (or roadblock connector) in `blocks`, -1 where unknown."""
    successors: Ragged
    """Rows of `lanes` one can drive on to, in ascending id."""
    predecessors: Ragged
    stop_polygons: Ragged
    """Rows of the layer STOP_POLYGON that stop the connector's traffic."""

    def __len__(self) -> int:
        """Return the number of lanes and connectors."""
        return len(self.ids)


@attrs.define(eq=False, slots=False, kw_only=True)
class Blocks:
    """Roadblocks (lanes side by side) and roadblock connectors (connectors of one turn)."""

    ids: Ints
    """(n,) ids; ascending within ROADBLOCK and within ROADBLOCK_CONNECTOR."""
    block_count: int
    """The first `block_count` rows are of ROADBLOCK, the rest of ROADBLOCK_CONNECTOR."""
    polygons: Polygons
    successors: Ragged
    """Rows of `blocks` one can drive on to, in ascending id."""
    predecessors: Ragged
    interior: Ragged
    """Rows of `lanes` that the block consists of, in ascending id."""
    intersection: Ints
    """(n,) row of the layer INTERSECTION a connector lies in, -1 where there is none."""

    def __len__(self) -> int:
        """Return the number of roadblocks and connectors."""
        return len(self.ids)


@attrs.define(eq=False, slots=False, kw_only=True)
class Areas:
    """One layer of polygons without a graph: crosswalks, stop polygons, car parks, and so on."""

    ids: Ints
    """(n,) ascending."""
    polygons: Polygons
    kind: Ints
    """(n,) type code of the layer (nuPlan's stop_polygon_type_fid for STOP_POLYGON), -1 where it has none."""

    def __len__(self) -> int:
        """Return the number of areas."""
        return len(self.ids)


@attrs.define(eq=False, slots=False, kw_only=True)
class MapView:
    """A map, or the part of one that a source could give."""

    name: str
    lanes: Lanes
    blocks: Blocks
    areas: Mapping[Layer, Areas]
    """Every layer of `AREA_LAYERS`."""
    extent: tuple[float, float, float, float] | None = None
    """Box within which the map is complete (least x, least y, greatest x, greatest y); None: everywhere."""
    derived: dict[Any, Any] = attrs.field(factory=dict, repr=False)
    """What users of the map compute once and keep with it (trees, resampled lines), under keys of their own."""

    def ids(self, layer: Layer) -> Ints:
        """Return the ids of a layer, ascending."""
        rows = self._rows(layer)
        return self._table(layer).ids[rows]

    def row(self, layer: Layer, object_id: int) -> int:
        """Return the row of an object in its table, or -1 where the layer has no such id."""
        rows = self._rows(layer)
        ids = self._table(layer).ids[rows]
        place = int(np.searchsorted(ids, object_id))
        found = place < len(ids) and ids[place] == object_id
        return rows.start + place if found else -1

    def near(self, layer: Layer, center: Floats, half_side_m: float) -> Ints:
        """Return the rows of a layer that touch the axis-aligned square around `center`, in ascending id.

        A connector counts by its line (`Lanes.reach`), everything else by its polygon (nuPlan v1.1).

        Args:
            layer: Layer to ask.
            center: (2,) m, global.
            half_side_m: Half the side of the square.

        Raises:
            PlutoError: The square reaches beyond `extent`.
        """
        box = np.array([*(center - half_side_m), *(center + half_side_m)])
        self._require_within(box)
        rows = self._rows(layer)
        if layer is Layer.LANE_CONNECTOR:
            return rows.start + geometry.lines_touching_box(_slice_lines(self.lanes.reach, rows), box)
        return rows.start + geometry.polygons_touching_box(self._polygons(layer), box, rows)

    def containing(self, layer: Layer, points: Floats) -> tuple[Ints, Ints]:
        """Return which polygons of a layer strictly contain which points.

        Args:
            layer: Layer to ask; connectors count by their polygon.
            points: (k, 2) m, global.

        Returns:
            (m,) indices of points and (m,) rows of the layer's table, by point and then by id.
        """
        rows = self._rows(layer)
        point, row = geometry.points_in_polygons(points, self._polygons(layer), rows)
        return point, rows.start + row

    def nearest(self, layer: Layer, point: Floats) -> tuple[int, float]:
        """Return the row and the distance of the polygon nearest to a point (0 inside); (-1, inf) for an empty layer."""
        rows = self._rows(layer)
        row, distance_m = geometry.nearest_polygon(point, self._polygons(layer), rows)
        return (rows.start + row if row >= 0 else -1), distance_m

    def lane_ids(self, rows: Ints) -> Ints:
        """Return the ids of rows of `lanes`; LANE and LANE_CONNECTOR may share an id."""
        return self.lanes.ids[rows]

    def _rows(self, layer: Layer) -> slice:
        if layer in LANE_LAYERS:
            split, total = self.lanes.lane_count, len(self.lanes)
            return slice(0, split) if layer is Layer.LANE else slice(split, total)
        if layer in BLOCK_LAYERS:
            split, total = self.blocks.block_count, len(self.blocks)
            return slice(0, split) if layer is Layer.ROADBLOCK else slice(split, total)
        return slice(0, len(self.areas[layer]))

    def _table(self, layer: Layer) -> Lanes | Blocks | Areas:
        if layer in LANE_LAYERS:
            return self.lanes
        return self.blocks if layer in BLOCK_LAYERS else self.areas[layer]

    def _polygons(self, layer: Layer) -> Polygons:
        return self._table(layer).polygons

    def _require_within(self, box: Floats) -> None:
        if self.extent is None:
            return
        low, high = np.array(self.extent[:2]), np.array(self.extent[2:])
        if (box[:2] < low).any() or (box[2:] > high).any():
            message = f"map {self.name!r} reaches over {self.extent}, a query over {tuple(box.round(1))}; load a larger extract"
            raise PlutoError(message)


def _slice_lines(lines: Polylines, rows: slice) -> Polylines:
    return Polylines(lines.offsets[rows.start : rows.stop + 1], lines.points)


def to_arrays(view: MapView) -> dict[str, npt.NDArray[Any]]:
    """Return every array of a map by a name such as `lanes/baselines/points`; `from_arrays` reads them back."""
    arrays = dict(_flatten("lanes", view.lanes)) | dict(_flatten("blocks", view.blocks))
    for layer, areas in view.areas.items():
        arrays |= dict(_flatten(f"areas/{layer.value}", areas))
    return arrays


def from_arrays(
    name: str, arrays: Mapping[str, npt.NDArray[Any]], extent: tuple[float, float, float, float] | None = None
) -> MapView:
    """Return the map that `to_arrays` took apart; the arrays are not copied and may be memory-mapped."""
    return MapView(
        name=name,
        lanes=_rebuild(Lanes, "lanes", arrays),
        blocks=_rebuild(Blocks, "blocks", arrays),
        areas={layer: _rebuild(Areas, f"areas/{layer.value}", arrays) for layer in AREA_LAYERS},
        extent=extent,
    )


def _flatten(prefix: str, table: Any) -> Iterator[tuple[str, npt.NDArray[Any]]]:  # noqa: ANN401 -- any attrs class above
    for field in attrs.fields(type(table)):
        value = getattr(table, field.name)
        if attrs.has(type(value)):
            yield from _flatten(f"{prefix}/{field.name}", value)
        else:
            yield f"{prefix}/{field.name}", np.asarray(value)


def _rebuild(kind: type[Any], prefix: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Any:  # noqa: ANN401
    values: dict[str, Any] = {}
    for field in attrs.fields(kind):
        key = f"{prefix}/{field.name}"
        if isinstance(field.type, type) and attrs.has(field.type):
            values[field.name] = _rebuild(field.type, key, arrays)
        else:
            values[field.name] = int(arrays[key]) if field.type is int else arrays[key]
    return kind(**values)


def empty_areas() -> Areas:
    """Return a layer without objects."""
    return Areas(ids=np.zeros(0, np.int64), polygons=Polygons.from_rings([]), kind=np.zeros(0, np.int64))
