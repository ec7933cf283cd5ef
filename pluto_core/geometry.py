"""Vector geometry of lines and polygons in CSR form, in numpy alone.

Lines are `points` (V, 2) cut by `offsets` (n + 1,). All lengths are metres, all headings radians in (-pi, pi]. Predicates
are exact: where rounding could turn a sign, `turns` computes it in rational arithmetic.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pluto_core.errors import PlutoError

if TYPE_CHECKING:
    from pluto_core.shapes import Polygons, Polylines

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_SIGN_ERROR = 4 * np.finfo(np.float64).eps
"""Above the bound of J. Shewchuk, "Adaptive precision floating-point arithmetic" (1997), section 4.1."""
_HEADING_STEP_M = 0.5
_CURVATURE_STEP_M = 2.0
_FLAT = 1e-6
"""Below this square of four times a triangle's area (m^4), three points count as being in line."""
_PAIRS_AT_ONCE = 1 << 20
_CHUNK_EDGES = 32
"""Edges under one box: long lines are searched by boxes first, so that a query looks at the edges near it."""


def wrap(angle: Floats) -> Floats:
    """Return angles wrapped to [-pi, pi)."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def rotation(angle: float) -> Floats:
    """Return the (2, 2) matrix `R` with which `w @ R` turns row vectors of the global frame into a frame of heading `angle`."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def offsets_of(counts: Sequence[int] | npt.NDArray[np.integer]) -> Ints:
    """Return the (n + 1,) offsets of a CSR table whose rows have the given lengths."""
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def ranges(starts: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """Return the joined ranges of integers that begin at `starts`, and for each integer the position of its range."""
    owner = np.repeat(np.arange(len(starts)), counts)
    return np.arange(len(owner)) + np.repeat(starts - (np.cumsum(counts) - counts), counts), owner


def spans(offsets: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Return the indices of all members of some rows of a CSR table, and for each the position of its row in `rows`."""
    return ranges(offsets[rows], offsets[rows + 1] - offsets[rows])


def arc_lengths(points: Floats, offsets: Ints) -> Floats:
    """Return the (V,) chord length from the start of its line to every vertex."""
    if len(points) == 0:
        return np.zeros(0)
    steps = np.zeros(len(points))
    steps[1:] = np.hypot(*(points[1:] - points[:-1]).T)
    starts = offsets[:-1][np.diff(offsets) > 0]
    steps[starts] = 0.0
    # The sum falls back to about 0 at every start, so that its rounding stays that of a single line.
    steps[starts[1:]] = -np.add.reduceat(steps, starts)[:-1]
    total = np.cumsum(steps)
    return total - np.repeat(total[starts], np.diff(starts, append=len(points)))


def vertex_headings(points: Floats, offsets: Ints) -> Floats:
    """Return the (V,) heading of each vertex towards the next one of its line; the last repeats the one before."""
    if len(points) == 0:
        return np.zeros(0)
    headings = np.zeros(len(points))
    headings[:-1] = np.arctan2(*(points[1:] - points[:-1]).T[::-1])
    last = offsets[1:][np.diff(offsets) > 0] - 1
    several = np.diff(offsets)[np.diff(offsets) > 0] > 1
    headings[last[several]] = headings[last[several] - 1]
    headings[last[~several]] = 0.0
    return headings


def bounds(points: Floats, offsets: Ints) -> Floats:
    """Return the (n, 4) boxes of lines: least x, least y, greatest x, greatest y; inverted where a line is empty."""
    boxes = np.empty((4, len(offsets) - 1))
    boxes[:2], boxes[2:] = np.inf, -np.inf
    filled = np.flatnonzero(np.diff(offsets) > 0)
    if len(filled):
        boxes[:2, filled] = np.minimum.reduceat(points, offsets[filled]).T
        boxes[2:, filled] = np.maximum.reduceat(points, offsets[filled]).T
    return boxes.T


def chunk_offsets(offsets: Ints) -> Ints:
    """Return the (n + 1,) offsets of the chunks of lines: runs of edges of one line that share a box."""
    edges = np.maximum(np.diff(offsets) - 1, 0)
    return offsets_of(-(-edges // _CHUNK_EDGES))


def chunk_spans(offsets: Ints, chunks: Ints) -> Ints:
    """Return (m, 2) the vertex at which each chunk begins and the one at which it ends."""
    line = np.repeat(np.arange(len(offsets) - 1), np.diff(chunks))
    first = offsets[line] + _CHUNK_EDGES * (np.arange(len(line)) - chunks[line])
    return np.stack([first, np.minimum(first + _CHUNK_EDGES, offsets[line + 1] - 1)], axis=1)


def chunk_bounds(points: Floats, spans: Ints) -> Floats:
    """Return the (m, 4) boxes of chunks: least x, least y, greatest x, greatest y."""
    boxes = bounds(points, np.append(spans[:, 0], len(points)))
    last = points[spans[:, 1]]
    return np.concatenate([np.minimum(boxes[:, :2], last), np.maximum(boxes[:, 2:], last)], axis=1)


def resample(points: Floats, offsets: Ints, count: int) -> Floats:
    """Return (n, count, 2) points equally spaced in arc length along every line, both ends included.

    Raises:
        PlutoError: A line has fewer than two different vertices.
    """
    lines = len(offsets) - 1
    if lines == 0:
        return np.zeros((0, count, 2))
    arc = arc_lengths(points, offsets)
    lengths = np.where(np.diff(offsets) > 1, arc[np.maximum(offsets[1:], 1) - 1], 0.0)
    if not (lengths > 0).all():
        message = f"line {int(np.argmin(lengths))} has no length and cannot be resampled"
        raise PlutoError(message)
    # One long axis on which line i occupies [2i, 2i + 1] finds the segments of all lines in a single search.
    row = np.repeat(np.arange(lines), np.diff(offsets))
    share = np.linspace(0.0, 1.0, count)
    wanted = (2.0 * np.arange(lines)[:, None] + share).ravel()
    after = np.searchsorted(2.0 * row + arc / lengths[row], wanted, side="right")
    owner = np.repeat(np.arange(lines), count)
    segment = np.clip(after - 1, offsets[owner], offsets[owner + 1] - 2)
    return _between(points, arc, segment, (share * lengths[:, None]).ravel()).reshape(lines, count, 2)


def _between(points: Floats, arc: Floats, segment: Ints, wanted: Floats) -> Floats:
    """Return the points at arc lengths `wanted` of the segments that start at vertices `segment`."""
    chord = arc[segment + 1] - arc[segment]
    share = np.clip((wanted - arc[segment]) / np.where(chord > 0, chord, 1.0), 0.0, 1.0)[:, None]
    start, end = points[segment], points[segment + 1]
    return np.where(share < 1, start + share * (end - start), end)


def project(points: Floats, line: Floats, arc: Floats) -> tuple[Floats, Floats]:
    """Return (k,) arc lengths of the spots of a line nearest to (k, 2) points, the first of several, and (k,) distances."""
    if len(line) == 1:
        return np.zeros(len(points)), np.hypot(*(points - line[0]).T)
    start, delta = line[:-1], np.diff(line, axis=0)
    length_sq = np.maximum((delta**2).sum(axis=1), np.finfo(np.float64).tiny)
    offset_x, offset_y = points[:, 0, None] - start[:, 0], points[:, 1, None] - start[:, 1]
    share = np.clip((offset_x * delta[:, 0] + offset_y * delta[:, 1]) / length_sq, 0.0, 1.0)
    offset_x -= share * delta[:, 0]
    offset_y -= share * delta[:, 1]
    best = (offset_x**2 + offset_y**2).argmin(axis=1)
    row = np.arange(len(points))
    return arc[best] + share[row, best] * np.diff(arc)[best], np.hypot(offset_x[row, best], offset_y[row, best])


def poses_along(line: Floats, arc: Floats, wanted: Floats) -> Floats:
    """Return the (k, 3) poses of a line at arc lengths; see `Polylines.along`."""

    def spot(at: Floats) -> Floats:
        return np.stack([np.interp(at, arc, line[:, axis]) for axis in range(2)], axis=-1)

    wanted = np.clip(wanted, arc[0], arc[-1])
    here, ahead = spot(wanted), spot(wanted + _HEADING_STEP_M)
    end = (here == ahead).all(axis=-1, keepdims=True)
    step = np.where(end, here - spot(wanted - _HEADING_STEP_M), ahead - here)
    return np.concatenate([here, np.arctan2(step[:, 1], step[:, 0])[:, None]], axis=-1)


def curvatures_along(line: Floats, arc: Floats, wanted: Floats) -> Floats:
    """Return the (k,) signed curvatures of a line at arc lengths, 1/m; see `Polylines.curvature`."""
    step_m = min(_CURVATURE_STEP_M, arc[-1] / 2)
    middle = np.clip(wanted, step_m, arc[-1] - step_m)[:, None] + np.array([-step_m, 0.0, step_m])
    before, here, after = np.stack([np.interp(middle, arc, line[:, axis]) for axis in range(2)], axis=-1).swapaxes(0, 1)
    (x, y), (to_x, to_y) = (here - before).T, (after - here).T
    doubled = x * to_y - y * to_x
    sides = np.hypot(x, y) * np.hypot(to_x, to_y) * np.hypot(x + to_x, y + to_y)
    bent = 4 * doubled**2 >= _FLAT
    return np.where(bent, 2 * doubled / np.where(bent, sides, 1.0), 0.0)


def turns(start: Floats, end: Floats, points: Floats) -> Floats:
    """Return numbers with the exact sign of the turn start -> end -> point: positive where the point lies on the left.

    Args:
        start: (..., 2) m; all three broadcast.
        end: (..., 2) m.
        points: (..., 2) m.
    """
    ahead = (end[..., 0] - start[..., 0]) * (points[..., 1] - start[..., 1])
    aside = (end[..., 1] - start[..., 1]) * (points[..., 0] - start[..., 0])
    turn: Floats = ahead - aside
    unsure = np.abs(turn) <= _SIGN_ERROR * (np.abs(ahead) + np.abs(aside))
    if unsure.any():
        every = np.broadcast_arrays(start, end, points)
        for place in np.argwhere(unsure & (start != end).any(axis=-1)):
            turn[tuple(place)] = _exact_turn(*(value for side in every for value in side[tuple(place)].tolist()))
    return turn


def _exact_turn(*coordinates: float) -> float:
    start_x, start_y, end_x, end_y, x, y = map(Fraction, coordinates)
    turn = (end_x - start_x) * (y - start_y) - (end_y - start_y) * (x - start_x)
    return float((turn > 0) - (turn < 0))


def segments_touch_box(start: Floats, end: Floats, box: Floats) -> Mask:
    """Return the (k,) mask of segments that share a point with a box.

    A segment misses a box only if their bounding boxes are apart or all corners lie strictly on one side of the segment.

    Args:
        start: (k, 2) m.
        end: (k, 2) m.
        box: (4,) least x, least y, greatest x, greatest y.
    """
    overlapping = (np.minimum(start, end) <= box[2:]) & (np.maximum(start, end) >= box[:2])
    touching = overlapping[:, 0] & overlapping[:, 1]
    near = np.flatnonzero(touching)
    if len(near):
        corners = box[[[0, 1], [2, 1], [2, 3], [0, 3]]]
        sides = turns(start[near, None], end[near, None], corners)
        touching[near] = (sides.min(axis=1) <= 0) & (sides.max(axis=1) >= 0)
    return touching


def edges_near(lines: "Polylines", offsets: Ints, rows: Ints, boxes: Floats) -> tuple[Floats, Floats, Ints]:
    """Return the start and end of edges, among them all that touch the box of their row.

    Args:
        lines: Lines, or rings of polygons.
        offsets: (n + 1,) chunks of each row: `lines.chunk_offsets`, or those of polygons.
        rows: (k,) rows to search.
        boxes: (k, 4) box of each row, or (1, 4).

    Returns:
        (e, 2) starts, (e, 2) ends and (e,) positions in `rows`.
    """
    chunk, owner = spans(offsets, rows)
    left, low, right, high = np.broadcast_to(boxes, (len(rows), 4))[owner].T
    found = lines.chunk_bounds[chunk].T
    near = np.flatnonzero((found[0] <= right) & (found[2] >= left) & (found[1] <= high) & (found[3] >= low))
    return _edges_of(lines, chunk[near], owner[near])


def _edges_of(lines: "Polylines", chunk: Ints, owner: Ints) -> tuple[Floats, Floats, Ints]:
    first, last = lines.chunk_spans[chunk].T
    index, place = ranges(first, last - first)
    return lines.points[index], lines.points[index + 1], owner[place]


def lines_touching_box(lines: "Polylines", box: Floats, rows: slice) -> Ints:
    """Return which of the lines `rows` share a point with a box, counted from `rows.start`, ascending."""
    boxes = lines.bounds[rows]
    candidates = _overlapping(boxes, box)
    touched = _reaching_in(boxes[candidates], box)
    unsure = np.flatnonzero(~touched)
    start, end, owner = edges_near(lines, lines.chunk_offsets, candidates[unsure] + rows.start, box[None])
    touched[unsure[owner[segments_touch_box(start, end, box)]]] = True
    return candidates[touched]


def polygons_touching_box(polygons: "Polygons", box: Floats, rows: slice) -> Ints:
    """Return which of the polygons `rows` share a point with a box, counted from `rows.start`, ascending."""
    boxes = polygons.bounds[rows]
    candidates = _overlapping(boxes, box)
    touched = _reaching_in(boxes[candidates], box) & polygons.single[rows][candidates]
    unsure = np.flatnonzero(~touched)
    if len(unsure) == 0:
        return candidates
    start, end, owner = edges_near(polygons.rings, polygons.chunk_offsets, candidates[unsure] + rows.start, box[None])
    touched[unsure[owner[segments_touch_box(start, end, box)]]] = True
    around = np.flatnonzero(~touched)
    if len(around):
        touched[around] = _inside(np.tile(box[:2], (len(around), 1)), polygons, candidates[around] + rows.start)
    return candidates[touched]


def _reaching_in(boxes: Floats, box: Floats) -> Mask:
    """Return whether whatever is connected and has one of `boxes` as its bounds must touch `box`, which `boxes` overlap.

    Where the bounds lie between two opposite sides of the box, a curve from end to end of them cannot pass beside it.
    """
    within = (boxes[:, :2] >= box[:2]) & (boxes[:, 2:] <= box[2:])
    return within[:, 0] | within[:, 1]


def points_in_polygons(points: Floats, polygons: "Polygons", rows: slice) -> tuple[Ints, Ints]:
    """Return (point, polygon) pairs in which the polygon strictly contains the point, in ascending order.

    Polygons count from `rows.start`.
    """
    boxes = polygons.bounds[rows]
    point, row = _in_bounds(points, np.arange(len(points)), boxes, np.arange(len(boxes)))
    inside = _inside(points[point], polygons, row + rows.start)
    point, row = point[inside], row[inside]
    order = np.lexsort((row, point))
    return point[order], row[order]


def _in_bounds(points: Floats, chosen: Ints, boxes: Floats, rows: Ints) -> tuple[Ints, Ints]:
    """Return (point, box) pairs in which the box holds the point; scattered points are halved until little is compared."""
    if len(chosen) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    low, high = points[chosen].min(axis=0), points[chosen].max(axis=0)
    rows = rows[_overlapping(boxes[rows], np.concatenate([low, high]))]
    if len(chosen) * len(rows) > _PAIRS_AT_ONCE and len(chosen) > 1:
        order = chosen[np.argsort(points[chosen, int(np.argmax(high - low))], kind="stable")]
        halves = [_in_bounds(points, half, boxes, rows) for half in np.array_split(order, 2)]
        first, second = (np.concatenate(side) for side in zip(*halves, strict=True))
        return first, second
    x, y = points[chosen, 0, None], points[chosen, 1, None]
    near = boxes[rows].T
    point, row = np.nonzero((x >= near[0]) & (x <= near[2]) & (y >= near[1]) & (y <= near[3]))
    return chosen[point], rows[row]


def _inside(points: Floats, polygons: "Polygons", rows: Ints) -> Mask:
    """Return the (k,) mask of points strictly inside their polygon, by the even-odd rule over all rings."""
    ray = np.stack([points[:, 0], points[:, 1], np.full(len(points), np.inf), points[:, 1]], axis=1)
    start, end, owner = edges_near(polygons.rings, polygons.chunk_offsets, rows, ray)
    y = points[owner, 1]
    level = np.flatnonzero((np.minimum(start[:, 1], end[:, 1]) <= y) & (np.maximum(start[:, 1], end[:, 1]) >= y))
    start, end, owner = start[level], end[level], owner[level]
    at = points[owner]
    turn = turns(start, end, at)
    on_edge = (turn == 0) & (np.minimum(start[:, 0], end[:, 0]) <= at[:, 0]) & (np.maximum(start[:, 0], end[:, 0]) >= at[:, 0])
    # The edge crosses the ray to +x where the point lies left of an upward or right of a downward edge.
    spans_y = (start[:, 1] > at[:, 1]) != (end[:, 1] > at[:, 1])
    crossing = spans_y & ((turn > 0) == (end[:, 1] > start[:, 1]))
    odd: Mask = np.bincount(owner[crossing], minlength=len(rows)) % 2 == 1
    odd[owner[on_edge]] = False
    return odd


def distance_to_segments(point: Floats, start: Floats, end: Floats) -> Floats:
    """Return the (k,) distances from one point, or (k, 2) points, to segments, m."""
    delta = end - start
    length_sq = np.maximum((delta**2).sum(axis=-1), np.finfo(np.float64).tiny)
    share = np.clip(((point - start) * delta).sum(axis=-1) / length_sq, 0.0, 1.0)
    foot = start + share[..., None] * delta
    return np.asarray(np.hypot(*(point - foot).T))


def nearest_polygon(point: Floats, polygons: "Polygons", rows: slice) -> tuple[int, float]:
    """Return the polygon nearest to a point, counted from `rows.start`, and its distance (0 inside); (-1, inf) if none."""
    boxes = polygons.bounds[rows]
    if len(boxes) == 0:
        return -1, float("inf")
    candidates = np.flatnonzero(_gaps(point, boxes) <= _reaches(point, boxes).min())
    rings = polygons.rings
    chunk, owner = spans(polygons.chunk_offsets, candidates + rows.start)
    chunk_boxes = rings.chunk_bounds[chunk]
    near = np.flatnonzero(_gaps(point, chunk_boxes) <= _reaches(point, chunk_boxes).min())
    start, end, owner = _edges_of(rings, chunk[near], owner[near])
    distance = np.full(len(candidates), np.inf)
    np.minimum.at(distance, owner, distance_to_segments(point, start, end))
    distance[_inside(np.tile(point, (len(candidates), 1)), polygons, candidates + rows.start)] = 0.0
    best = int(np.argmin(distance))
    return int(candidates[best]), float(distance[best])


def _gaps(point: Floats, boxes: Floats) -> Floats:
    """Return the distance from a point to each box, 0 inside."""
    gap = np.maximum(np.maximum(boxes[:, :2] - point, point - boxes[:, 2:]), 0.0)
    return np.asarray(np.hypot(*gap.T))


def _reaches(point: Floats, boxes: Floats) -> Floats:
    """Return the distance from a point to the farthest corner of each box."""
    reach = np.maximum(np.abs(boxes[:, :2] - point), np.abs(boxes[:, 2:] - point))
    return np.asarray(np.hypot(*reach.T))


def _overlapping(boxes: Floats, box: Floats) -> Ints:
    left, low, right, high = boxes.T
    return np.flatnonzero((left <= box[2]) & (right >= box[0]) & (low <= box[3]) & (high >= box[1]))
