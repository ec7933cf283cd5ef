"""A small map made in memory: lanes side by side, a junction with lights, a turn to the right, a crosswalk."""

from collections.abc import Sequence
from functools import lru_cache

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.geometry import rotation
from pluto_core.maps import AREA_LAYERS, Areas, Blocks, Lanes, Layer, MapView, Polygons, Polylines, Ragged, empty_areas

Floats = npt.NDArray[np.float64]

LANE_WIDTH_M = 3.5
HEADING_RAD = 0.3
"""Direction of the road in the global frame."""
ORIGIN_M = (1000.0, 2000.0)
"""Where the road's own origin lies in the global frame: far from zero, as in real maps."""

BEGIN_M, STOP_M, LEAVE_M, END_M = -250.0, 60.0, 90.0, 400.0
"""Along the road: where it begins, where the junction begins and ends, where the road ends."""
_TURN_RADIUS_M = 15.0
_SIDE_LENGTH_M = 100.0
_TRAFFIC_LIGHT_KIND = 2
"""nuPlan v1.1, StopLineType."""

BEFORE, AFTER, SIDE = 10, 20, 30
"""Ids of the roadblocks."""
AHEAD, TURNING = 40, 41
"""Ids of the roadblock connectors."""
CROSSWALK_M = (63.0, 67.0)


def place(points: Floats) -> Floats:
    """Return points (k, 2) of the road's frame (x along it, y to its left) in the global frame."""
    moved: Floats = points @ rotation(-HEADING_RAD) + np.asarray(ORIGIN_M)
    return moved


def lane_center(index: int) -> float:
    """Return y of a lane's centre line; lane 0 is the leftmost."""
    return -(index + 0.5) * LANE_WIDTH_M


@attrs.frozen(kw_only=True)
class _Strip:
    """A lane or connector to be laid, in the road's frame."""

    id: int
    block: int
    line: Floats
    index: int = -1
    connector: bool = False
    to: tuple[int, ...] = ()

    def side(self, sign: float) -> Floats:
        step = np.gradient(self.line, axis=0)
        normal = np.stack([-step[:, 1], step[:, 0]], axis=1) / np.hypot(step[:, 0], step[:, 1])[:, None]
        edge: Floats = self.line + sign * normal * LANE_WIDTH_M / 2
        return edge

    def ring(self) -> Floats:
        return np.concatenate([self.side(1.0), self.side(-1.0)[::-1], self.side(1.0)[:1]])


@lru_cache(maxsize=8)
def make_map(lanes: int = 2) -> MapView:
    """Return the map with so many lanes side by side, made once a process; with none it is empty.

    Lanes 100, 101, ... lead over connectors 400, 401, ... to lanes 200, 201, ...; the rightmost also turns off over 410 to 300.
    """
    strips = _strips(lanes) if lanes else []
    areas = {layer: empty_areas() for layer in AREA_LAYERS}
    if lanes:
        right = -lanes * LANE_WIDTH_M
        areas[Layer.CROSSWALK] = _area(500, _box(*CROSSWALK_M, right, 0.0))
        areas[Layer.STOP_POLYGON] = _area(600, _box(STOP_M - 3.0, STOP_M, right, 0.0), _TRAFFIC_LIGHT_KIND)
        areas[Layer.INTERSECTION] = _area(700, _box(STOP_M, LEAVE_M, right - _TURN_RADIUS_M, 0.0))
        areas[Layer.CARPARK] = _area(800, _box(0.0, 20.0, right - 12.0, right - 4.0))
    lane_table, block_rows = _lanes(strips, has_stop=bool(lanes))
    blocks = _blocks(strips, lane_table, block_rows)
    return MapView(name="made", lanes=lane_table, blocks=blocks, areas=areas, reopen=(make_map, (lanes,)))


def _strips(lanes: int) -> list[_Strip]:
    strips: list[_Strip] = []
    for index in range(lanes):
        y, last = lane_center(index), index == lanes - 1
        ways = (400 + index, 410) if last else (400 + index,)
        strips.append(_Strip(id=100 + index, block=BEFORE, line=_straight(BEGIN_M, STOP_M, y), index=index, to=ways))
        strips.append(_Strip(id=200 + index, block=AFTER, line=_straight(LEAVE_M, END_M, y), index=index))
        ahead = _straight(STOP_M, LEAVE_M, y)
        strips.append(_Strip(id=400 + index, block=AHEAD, line=ahead, connector=True, to=(200 + index,)))
    y = lane_center(lanes - 1)
    angle = np.linspace(0.0, np.pi / 2, 25)
    curve = np.stack([STOP_M + _TURN_RADIUS_M * np.sin(angle), y - _TURN_RADIUS_M * (1 - np.cos(angle))], axis=1)
    strips.append(_Strip(id=410, block=TURNING, line=curve, connector=True, to=(300,)))
    away = curve[-1] + np.linspace(0.0, _SIDE_LENGTH_M, 101)[:, None] * np.array([0.0, -1.0])
    strips.append(_Strip(id=300, block=SIDE, line=away, index=0))
    return sorted(strips, key=lambda strip: (strip.connector, strip.id))


def _straight(start: float, end: float, y: float) -> Floats:
    count = round(end - start) + 1
    return np.stack([np.linspace(start, end, count), np.full(count, y)], axis=1)


def _box(x0: float, x1: float, y0: float, y1: float) -> Floats:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]])


def _area(identity: int, ring: Floats, kind: int = -1) -> Areas:
    return Areas(ids=np.array([identity]), polygons=Polygons.from_rings([place(ring)]), kind=np.array([kind]))


def _lanes(strips: Sequence[_Strip], *, has_stop: bool) -> tuple[Lanes, list[tuple[bool, int]]]:
    """Return the table of lanes, and the blocks in the order of their rows."""
    row_of = {strip.id: row for row, strip in enumerate(strips)}
    block_rows = sorted({(strip.connector, strip.block) for strip in strips})
    edges = [(row_of[strip.id], row_of[other]) for strip in strips for other in strip.to]
    connector = np.array([strip.connector for strip in strips], np.bool_)
    stops = [(row, 0) for row, strip in enumerate(strips) if strip.connector and has_stop]
    count = len(strips)
    table = Lanes(
        ids=np.array([strip.id for strip in strips], np.int64),
        lane_count=int(np.count_nonzero(~connector)),
        polygons=Polygons.from_rings([place(strip.ring()) for strip in strips]),
        baselines=Polylines.from_lines([place(strip.line) for strip in strips]),
        left=Polylines.from_lines([place(strip.side(1.0)) for strip in strips]),
        right=Polylines.from_lines([place(strip.side(-1.0)) for strip in strips]),
        reach=Polylines.from_lines([place(strip.line) if strip.connector else np.zeros((0, 2)) for strip in strips]),
        speed_limit_mps=np.where(connector, 0.0, 13.9),
        has_speed_limit=~connector,
        has_lights=connector,
        lane_index=np.array([strip.index for strip in strips], np.int64),
        block=np.array([block_rows.index((strip.connector, strip.block)) for strip in strips], np.int64),
        successors=_ragged(edges, count),
        predecessors=_ragged([(end, start) for start, end in edges], count),
        stop_polygons=_ragged(stops, count),
    )
    return table, block_rows


def _blocks(strips: Sequence[_Strip], lanes: Lanes, block_rows: Sequence[tuple[bool, int]]) -> Blocks:
    count = len(block_rows)
    pairs = [(int(lanes.block[row]), int(lanes.block[end])) for row in range(len(lanes)) for end in lanes.successors.row(row)]
    edges = sorted(set(pairs))
    interior = [(int(block), row) for row, block in enumerate(lanes.block)]
    return Blocks(
        ids=np.array([block for _, block in block_rows], np.int64),
        block_count=sum(not connector for connector, _ in block_rows),
        polygons=Polygons.from_rings([place(_outline(strips, block)) for _, block in block_rows]),
        successors=_ragged(edges, count),
        predecessors=_ragged([(end, start) for start, end in edges], count),
        interior=_ragged(interior, count),
        intersection=np.array([0 if connector else -1 for connector, _ in block_rows], np.int64),
    )


def _outline(strips: Sequence[_Strip], block: int) -> Floats:
    """Return the ring around the lanes of a block, which stand from left to right."""
    members = [strip for strip in strips if strip.block == block]
    left, right = members[0].side(1.0), members[-1].side(-1.0)
    return np.concatenate([left, right[::-1], left[:1]])


def _ragged(pairs: Sequence[tuple[int, int]], count: int) -> Ragged:
    rows, values = (np.array([pair[side] for pair in pairs], np.int64) for side in range(2))
    return Ragged.from_pairs(rows, values, count)
