"""What the builder computes once per map and keeps with it: polygons, resampled edges, adjacency.

Everything is filled in row by row when first asked for, so that a large map costs nothing where nobody drives.
"""

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import shapely

from pluto_core import geometry
from pluto_core.errors import Reason, SampleError
from pluto_core.maps import Lanes, Layer, MapView, Polygons, Polylines, Ragged
from pluto_planner.schema import POINTS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Geometries = npt.NDArray[Any]
"""Array of shapely geometries."""

_KEY = "pluto_planner.features"
_SHARES = np.linspace(0.0, 1.0, POINTS + 1)


def shapely_polygons(polygons: Polygons, rows: Ints) -> Geometries:
    """Return rows of a table of polygons as shapely polygons, or multi-polygons where one has several parts."""
    ring, owner = geometry.spans(polygons.ring_offsets, rows)
    vertex, ring_owner = geometry.spans(polygons.rings.offsets, ring)
    points = polygons.rings.points[vertex]
    ring_offsets = _offsets(ring_owner, len(ring))
    first = np.flatnonzero(~polygons.holes[ring])
    part_offsets = np.append(first, len(ring))
    parts = np.bincount(owner[first], minlength=len(rows))
    if (parts == 1).all():
        return np.asarray(shapely.from_ragged_array(shapely.GeometryType.POLYGON, points, (ring_offsets, part_offsets)))
    whole_offsets = np.concatenate([[0], np.cumsum(parts)])
    kind = shapely.GeometryType.MULTIPOLYGON
    return np.asarray(shapely.from_ragged_array(kind, points, (ring_offsets, part_offsets, whole_offsets)))


def _offsets(owner: Ints, count: int) -> Ints:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.bincount(owner, minlength=count))])


@attrs.define(eq=False)
class LazyPolygons:
    """Polygons of one table as shapely geometries, made when first asked for."""

    polygons: Polygons
    _made: Geometries = attrs.field(init=False)
    _ready: npt.NDArray[np.bool_] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin with none made."""
        self._made = np.empty(len(self.polygons), dtype=object)
        self._ready = np.zeros(len(self.polygons), np.bool_)

    def __getitem__(self, rows: Ints) -> Geometries:
        """Return the geometries of some rows."""
        missing = np.unique(rows[~self._ready[rows]])
        if len(missing):
            self._made[missing] = shapely_polygons(self.polygons, missing)
            shapely.prepare(self._made[missing])
            self._ready[missing] = True
        return self._made[rows]

    def touching(self, others: Geometries, rows: Ints) -> npt.NDArray[np.bool_]:
        """Return the (len(others), len(rows)) mask of geometries that share a point with polygons of this table."""
        touching = np.zeros((len(others), len(rows)), np.bool_)
        if touching.size == 0:
            return touching
        mine, theirs = self.polygons.bounds[rows], shapely.bounds(others)
        near = (theirs[:, None, :2] <= mine[None, :, 2:]).all(axis=-1) & (theirs[:, None, 2:] >= mine[None, :, :2]).all(axis=-1)
        other, row = np.nonzero(near)
        touching[other, row] = shapely.intersects(self[rows[row]], others[other])
        return touching


@attrs.define(eq=False)
class LazyEdges:
    """Centre line, left and right edge of polygons at 21 points each, and the orientation of the 20 segments."""

    points: Floats
    """(n, 3, 21, 2) m, global."""
    orientation: Floats
    """(n, 3, 20) rad, global."""
    ready: npt.NDArray[np.bool_]
    """(n,)"""

    @classmethod
    def empty(cls, count: int) -> "LazyEdges":
        """Return edges of `count` polygons, none of them filled in."""
        return cls(np.empty((count, 3, POINTS + 1, 2)), np.empty((count, 3, POINTS)), np.zeros(count, np.bool_))

    def store(self, rows: Ints, points: Floats) -> None:
        """Fill in the (k, 3, 21, 2) edges of some rows."""
        self.points[rows] = points
        step = np.diff(points, axis=2)
        self.orientation[rows] = np.arctan2(step[..., 1], step[..., 0])
        self.ready[rows] = True


@attrs.define(eq=False)
class MapGeometry:
    """Geometry and graph of one map, in the forms that the builder needs."""

    view: MapView
    lanes: LazyPolygons
    blocks: LazyPolygons
    carparks: LazyPolygons
    crosswalks: LazyPolygons
    lane_edges: LazyEdges
    crosswalk_edges: LazyEdges
    _neighbours: dict[tuple[str, int], list[int]] = attrs.field(factory=dict, init=False)
    _overlaps: dict[tuple[int, int], float] = attrs.field(factory=dict, init=False)

    @classmethod
    def of(cls, view: MapView) -> "MapGeometry":
        """Return the geometry of a map, made at the first call and kept with the map."""
        found = view.derived.get(_KEY)
        if found is None:
            crosswalks = view.areas[Layer.CROSSWALK].polygons
            found = view.derived[_KEY] = cls(
                view=view,
                lanes=LazyPolygons(view.lanes.polygons),
                blocks=LazyPolygons(view.blocks.polygons),
                carparks=LazyPolygons(view.areas[Layer.CARPARK].polygons),
                crosswalks=LazyPolygons(crosswalks),
                lane_edges=LazyEdges.empty(len(view.lanes)),
                crosswalk_edges=LazyEdges.empty(len(crosswalks)),
            )
        assert isinstance(found, cls)
        return found

    def lanes_with_edges(self, rows: Ints) -> LazyEdges:
        """Return the edges of lanes with `rows` filled in: the stored lines at equal steps of arc length.

        Raises:
            SampleError: With `BROKEN_MAP`, where a line has no length.
        """
        missing = rows[~self.lane_edges.ready[rows]]
        if len(missing):
            lanes = self.view.lanes
            lines = [self._resampled(part, missing, name) for name, part in _edge_lines(lanes)]
            self.lane_edges.store(missing, np.stack(lines, axis=1))
        return self.lane_edges

    def crosswalks_with_edges(self, rows: Ints) -> LazyEdges:
        """Return the edges of crosswalks with `rows` filled in: the sides of the least rectangle around each."""
        missing = rows[~self.crosswalk_edges.ready[rows]]
        if len(missing):
            self.crosswalk_edges.store(missing, rectangle_edges(self.crosswalks[missing]))
        return self.crosswalk_edges

    def lane_successors(self, row: int) -> list[int]:
        """Return the lanes one can drive on to."""
        return self._row("lanes", self.view.lanes.successors, row)

    def block_neighbours(self, row: int, *, forward: bool) -> list[int]:
        """Return the blocks after (`forward`) or before a block."""
        blocks = self.view.blocks
        return self._row("after", blocks.successors, row) if forward else self._row("before", blocks.predecessors, row)

    def interior(self, row: int) -> list[int]:
        """Return the lanes of a block."""
        return self._row("interior", self.view.blocks.interior, row)

    def block_overlap_m2(self, first: int, second: int) -> float:
        """Return the area that two blocks share."""
        key = (min(first, second), max(first, second))
        if key not in self._overlaps:
            self._overlaps[key] = self._overlap(*key)
        return self._overlaps[key]

    def _row(self, name: str, table: Ragged, row: int) -> list[int]:
        key = (name, row)
        found = self._neighbours.get(key)
        if found is None:
            found = self._neighbours[key] = table.row(row).tolist()
        return found

    def _overlap(self, first: int, second: int) -> float:
        boxes = self.view.blocks.polygons.bounds
        low, high = np.maximum(boxes[first, :2], boxes[second, :2]), np.minimum(boxes[first, 2:], boxes[second, 2:])
        if (low > high).any():
            return 0.0
        one, two = shapely.make_valid(self.blocks[np.array([first, second])])
        return float(shapely.area(shapely.intersection(one, two)))

    def _resampled(self, lines: Polylines, rows: Ints, name: str) -> Floats:
        return np.stack([self._at_equal_steps(lines.line(row), row, name) for row in rows.tolist()])

    def _at_equal_steps(self, line: Floats, row: int, name: str) -> Floats:
        """Return (21, 2) points at equal steps of arc length.

        Each line by itself and in the order of the reference's arithmetic: where a lane runs along an axis, the last bit
        decides between a heading of pi and of minus pi.
        """
        arc = np.append(0.0, np.cumsum(np.hypot(*np.diff(line, axis=0).T))) if len(line) else np.zeros(1)
        if not arc[-1] > 0:
            broken = self.view.lanes.ids[row]
            raise SampleError(Reason.BROKEN_MAP, f"the {name} of lane {broken} in map {self.view.name!r} has no length")
        share = arc / arc[-1]
        return np.stack([np.interp(_SHARES, share, line[:, axis]) for axis in range(2)], axis=-1)


def _edge_lines(lanes: Lanes) -> tuple[tuple[str, Polylines], ...]:
    return ("centre line", lanes.baselines), ("left boundary", lanes.left), ("right boundary", lanes.right)


def rectangle_edges(polygons: Geometries) -> Floats:
    """Return (k, 3, 21, 2) middle, left and right line of the least rectangle around each polygon, as GEOS turns it.

    Raises:
        SampleError: With `BROKEN_MAP`, where a polygon has no area.
    """
    around = shapely.oriented_envelope(polygons)
    if not (shapely.get_type_id(around) == shapely.GeometryType.POLYGON).all():
        raise SampleError(Reason.BROKEN_MAP, "a crosswalk has no area")
    corners = shapely.get_coordinates(around).reshape(-1, 5, 2)
    right, left = corners[:, [3, 0]], corners[:, [2, 1]]
    edges = np.stack([(left + right) / 2, left, right], axis=1)
    return between(edges[:, :, 0], edges[:, :, 1])


def between(start: Floats, end: Floats) -> Floats:
    """Return (..., 21, 2) points from `start` (..., 2) to `end` at equal steps."""
    return np.asarray((end - start)[..., None, :] * _SHARES[:, None] + start[..., None, :])
