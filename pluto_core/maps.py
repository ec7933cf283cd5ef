"""The map of a scene: lanes, blocks and areas as arrays, their graph in CSR form, and vector queries.

Everything is metres in the scene's global frame. Ids are unique **per layer**; inside a layer objects stand in ascending
id, and every query returns indices in that order unless it says otherwise. Two tables hold two layers each, so that a
graph edge is one number: `lanes` (LANE first, then LANE_CONNECTOR) and `blocks` (ROADBLOCK first, then
ROADBLOCK_CONNECTOR).
"""

import enum
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core import geometry
from pluto_core.errors import PlutoError
from pluto_core.shapes import Polygons as Polygons
from pluto_core.shapes import Polylines as Polylines
from pluto_core.shapes import Ragged as Ragged

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
    reopen: tuple[Callable[..., "MapView"], tuple[Any, ...]] | None = attrs.field(default=None, repr=False)
    """How another process gets this map (a function and its arguments): what is pickled in its place."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Let a map that can be opened again travel as the way to open it, not as its arrays."""
        return self.reopen or super().__reduce_ex__(protocol)

    def ids(self, layer: Layer) -> Ints:
        """Return the ids of a layer, ascending."""
        return self._ids(layer)

    def row(self, layer: Layer, object_id: int) -> int:
        """Return the row of an object in its table, or -1 where the layer has no such id."""
        rows = self._rows(layer)
        ids = self._ids(layer)
        place = int(np.searchsorted(ids, object_id))
        found = place < len(ids) and ids[place] == object_id
        return int(rows.start) + place if found else -1

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
            touching = geometry.lines_touching_box(self.lanes.reach, box, rows)
        else:
            touching = geometry.polygons_touching_box(self._polygons(layer), box, rows)
        return touching + int(rows.start)

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

    def walk(self, points: Floats) -> Ints:
        """Return the rows of `blocks` that a drive passes, in order (nuPlan v1.1, `get_roadblock_ids_from_trajectory`).

        From a block the drive goes on to the successor that contains its next point. Where none does, to any block that
        does, roadblocks before connectors; where several do, the points that follow decide among them.

        Args:
            points: (k, 2) m, global, in driving order (nuPlan takes the rear axle).
        """
        found = [self.containing(layer, points) for layer in BLOCK_LAYERS]
        blocks, turns = ([set(row[point == place].tolist()) for place in range(len(points))] for point, row in found)
        passed: list[int] = []
        waiting: set[int] = set()
        for block, turn in zip(blocks, turns, strict=True):
            here = block | turn
            if passed and passed[-1] in here:
                continue
            onward = waiting or set(self.blocks.successors.row(passed[-1]).tolist() if passed else ())
            possible = (onward & here) or block or turn
            if len(possible) == 1:
                passed += possible
            waiting = possible if len(possible) > 1 else set()
        return np.array(passed, np.int64)

    def edges(self, count: int = 21) -> Floats:
        """Return the (n, 3, count, 2) points of all lanes and connectors: centre, left and right line, equally spaced each.

        Boundaries keep their own stored direction. Computed once per map and count.

        Raises:
            PlutoError: A line has no length.
        """
        key = ("edges", count)
        if key not in self.derived:
            lines = [self.lanes.baselines, self.lanes.left, self.lanes.right]
            self.derived.setdefault(key, np.stack([side.resampled(count) for side in lines], axis=1))
        edges: Floats = self.derived[key]
        return edges

    def neighbors(self) -> Ints:
        """Return (n, 2) rows of the lanes directly left and right of each lane in its roadblock, -1 where there is none.

        Lane connectors have no neighbours (nuPlan v1.1).
        """
        if "neighbors" not in self.derived:
            self.derived.setdefault("neighbors", _neighbors(self.lanes))
        neighbors: Ints = self.derived["neighbors"]
        return neighbors

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

    def _ids(self, layer: Layer) -> Ints:
        return self._table(layer).ids[self._rows(layer)]

    def _require_within(self, box: Floats) -> None:
        if self.extent is None:
            return
        low, high = np.array(self.extent[:2]), np.array(self.extent[2:])
        if (box[:2] < low).any() or (box[2:] > high).any():
            message = f"map {self.name!r} reaches over {self.extent}, a query over {tuple(box.round(1))}; load a larger extract"
            raise PlutoError(message)


def _neighbors(lanes: Lanes) -> Ints:
    split = lanes.lane_count
    place = np.stack([lanes.block[:split], lanes.lane_index[:split]], axis=1)
    rows = {(block, index): row for row, (block, index) in reversed(list(enumerate(map(tuple, place.tolist()))))}
    neighbors = np.full((len(lanes), 2), -1, np.int64)
    for row, (block, index) in enumerate(place.tolist()):
        if block >= 0:
            neighbors[row] = rows.get((block, index - 1), -1), rows.get((block, index + 1), -1)
    return neighbors


def to_arrays(view: MapView) -> dict[str, npt.NDArray[Any]]:
    """Return every array of a map by a name such as `lanes/baselines/points`; `from_arrays` reads them back.

    What shapes have computed so far (bounds, arc lengths) is part of it, so that no reader need compute it again.
    """
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


def _flatten(prefix: str, table: Any) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    fields = [field.name for field in attrs.fields(type(table))]
    done = [name for name in _computed_once(type(table)) if name in vars(table)]
    for name in fields + done:
        value = getattr(table, name)
        if attrs.has(type(value)):
            yield from _flatten(f"{prefix}/{name}", value)
        else:
            yield f"{prefix}/{name}", np.asarray(value)


def _rebuild(kind: type[Any], prefix: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    values: dict[str, Any] = {}
    for field in attrs.fields(kind):
        key = f"{prefix}/{field.name}"
        if isinstance(field.type, type) and attrs.has(field.type):
            values[field.name] = _rebuild(field.type, key, arrays)
        else:
            values[field.name] = int(arrays[key]) if field.type is int else arrays[key]
    table = kind(**values)
    for name in _computed_once(kind):
        if f"{prefix}/{name}" in arrays:
            vars(table)[name] = arrays[f"{prefix}/{name}"]
    return table


def _computed_once(kind: type[Any]) -> list[str]:
    return [name for name, member in vars(kind).items() if isinstance(member, cached_property)]


def empty_areas() -> Areas:
    """Return a layer without objects."""
    return Areas(ids=np.zeros(0, np.int64), polygons=Polygons.from_rings([]), kind=np.zeros(0, np.int64))
