"""Vector geometry of lines and polygons in CSR form, in numpy alone.

Lines are `points` (V, 2) cut by `offsets` (n + 1,). All lengths are metres, all headings radians in (-pi, pi].
"""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pluto_core.errors import PlutoError

if TYPE_CHECKING:
    from pluto_core.maps import Polygons, Polylines

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def wrap(angle: Floats) -> Floats:
    """Return angles wrapped to [-pi, pi)."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def rotation(angle: float) -> Floats:
    """Return the (2, 2) matrix that turns row vectors of the global frame into a frame of heading `angle`: `w @ rotation(a)`."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def spans(offsets: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Return the indices of all members of some rows of a CSR table, and for each the position of its row in `rows`."""
    starts, counts = offsets[rows], offsets[rows + 1] - offsets[rows]
    owner = np.repeat(np.arange(len(rows)), counts)
    first = np.cumsum(counts) - counts
    return np.arange(len(owner)) - first[owner] + starts[owner], owner


def arc_lengths(points: Floats, offsets: Ints) -> Floats:
    """Return the (V,) chord length from the start of its line to every vertex."""
    if len(points) == 0:
        return np.zeros(0)
    steps = np.zeros(len(points))
    steps[1:] = np.hypot(*(points[1:] - points[:-1]).T)
    total = np.cumsum(steps)
    filled = np.diff(offsets) > 0
    starts = np.repeat(total[offsets[:-1][filled]], np.diff(offsets)[filled])
    return total - starts


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
    """Return the (n, 4) boxes of lines: least x, least y, greatest x, greatest y; NaN-free, inverted where a line is empty."""
    boxes = np.empty((len(offsets) - 1, 4))
    boxes[:, :2], boxes[:, 2:] = np.inf, -np.inf
    filled = np.flatnonzero(np.diff(offsets) > 0)
    if len(filled):
        boxes[filled, :2] = np.minimum.reduceat(points, offsets[filled])
        boxes[filled, 2:] = np.maximum.reduceat(points, offsets[filled])
    return boxes


def resample(points: Floats, offsets: Ints, count: int) -> Floats:
    """Return (n, count, 2) points equally spaced in arc length along every line, both ends included.

    Raises:
        PlutoError: A line has fewer than two different vertices.
    """
    lines = len(offsets) - 1
    if lines == 0:
        return np.zeros((0, count, 2))
    arc = arc_lengths(points, offsets)
    filled = np.diff(offsets) > 1
    lengths = np.where(filled, arc[np.maximum(offsets[1:] - 1, 0)], 0.0)
    if not (lengths > 0).all():
        message = f"line {int(np.argmin(lengths))} has no length and cannot be resampled"
        raise PlutoError(message)
    # One long axis on which line i occupies [i, i + 1]: all lines are interpolated in a single call.
    share = arc / np.repeat(lengths, np.diff(offsets))
    axis = 2.0 * np.repeat(np.arange(lines), np.diff(offsets)) + share
    wanted = (2.0 * np.arange(lines)[:, None] + np.linspace(0.0, 1.0, count)).ravel()
    sampled = np.stack([np.interp(wanted, axis, points[:, i]) for i in range(2)], axis=-1)
    return sampled.reshape(lines, count, 2)


def segments_touch_box(start: Floats, end: Floats, box: Floats) -> Mask:
    """Return the (k,) mask of segments that share a point with a box (Liang and Barsky 1984).

    Args:
        start: (k, 2) m.
        end: (k, 2) m.
        box: (4,) least x, least y, greatest x, greatest y.
    """
    delta = end - start
    with np.errstate(divide="ignore", invalid="ignore"):
        near, far = (box[:2] - start) / delta, (box[2:] - start) / delta
    flat = delta == 0
    inside = (start >= box[:2]) & (start <= box[2:])
    enter = np.where(flat, np.where(inside, -np.inf, np.inf), np.minimum(near, far)).max(axis=1)
    leave = np.where(flat, np.where(inside, np.inf, -np.inf), np.maximum(near, far)).min(axis=1)
    touching: Mask = np.maximum(enter, 0.0) <= np.minimum(leave, 1.0)
    return touching


def _edges(points: Floats, offsets: Ints, rows: Ints) -> tuple[Floats, Floats, Ints]:
    """Return start and end of all edges of some lines, and for each the position of its line in `rows`."""
    index, owner = spans(offsets, rows)
    inner = index + 1 < offsets[rows + 1][owner]
    return points[index[inner]], points[index[inner] + 1], owner[inner]


def lines_touching_box(lines: "Polylines", box: Floats) -> Ints:
    """Return the indices of lines that share a point with a box, ascending."""
    candidates = _overlapping(lines.bounds, box)
    start, end, owner = _edges(lines.points, lines.offsets, candidates)
    touched = np.zeros(len(candidates), np.bool_)
    touched[owner[segments_touch_box(start, end, box)]] = True
    return candidates[touched]


def polygons_touching_box(polygons: "Polygons", box: Floats, rows: slice) -> Ints:
    """Return which of the polygons `rows` share a point with a box, counted from `rows.start`, ascending."""
    boxes = polygons.bounds[rows]
    candidates = _overlapping(boxes, box)
    inside = (boxes[candidates, :2] >= box[:2]).all(axis=1) & (boxes[candidates, 2:] <= box[2:]).all(axis=1)
    unsure = np.flatnonzero(~inside)
    if len(unsure) == 0:
        return candidates
    start, end, owner = polygon_edges(polygons, candidates[unsure] + rows.start)
    touched = np.zeros(len(unsure), np.bool_)
    touched[owner[segments_touch_box(start, end, box)]] = True
    around = np.flatnonzero(~touched)
    corner = np.broadcast_to(box[:2], (len(around), 2))
    touched[around] = _inside(corner, polygons, candidates[unsure[around]] + rows.start)
    inside[unsure] = touched
    return candidates[inside]


def polygon_edges(polygons: "Polygons", rows: Ints) -> tuple[Floats, Floats, Ints]:
    """Return start and end of all edges of some polygons, holes included, and for each the position of its polygon in `rows`."""
    ring, owner = spans(polygons.ring_offsets, rows)
    start, end, ring_owner = _edges(polygons.rings.points, polygons.rings.offsets, ring)
    return start, end, owner[ring_owner]


def points_in_polygons(points: Floats, polygons: "Polygons", rows: slice) -> tuple[Ints, Ints]:
    """Return (point, polygon) pairs in which the polygon strictly contains the point; polygons count from `rows.start`."""
    boxes = polygons.bounds[rows]
    x, y = points[:, 0, None], points[:, 1, None]
    possible = (x >= boxes[:, 0]) & (x <= boxes[:, 2]) & (y >= boxes[:, 1]) & (y <= boxes[:, 3])
    point, row = np.nonzero(possible)
    inside = _inside(points[point], polygons, row + rows.start)
    return point[inside], row[inside]


def _inside(points: Floats, polygons: "Polygons", rows: Ints) -> Mask:
    """Return the (k,) mask of points strictly inside their polygon, by the even-odd rule over all rings."""
    start, end, owner = polygon_edges(polygons, rows)
    x, y = points[owner, 0], points[owner, 1]
    delta = end - start
    cross = delta[:, 0] * (y - start[:, 1]) - delta[:, 1] * (x - start[:, 0])
    on_edge = (cross == 0) & (np.minimum(start, end) <= points[owner]).all(axis=1)
    on_edge &= (np.maximum(start, end) >= points[owner]).all(axis=1)
    spans_y = (start[:, 1] > y) != (end[:, 1] > y)
    # The edge crosses the ray to +x where the point lies left of an upward or right of a downward edge.
    crossing = spans_y & ((cross > 0) == (delta[:, 1] > 0))
    odd = np.bincount(owner[crossing], minlength=len(rows)) % 2 == 1
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
    gap = np.maximum(np.maximum(boxes[:, :2] - point, point - boxes[:, 2:]), 0.0)
    reach = np.hypot(*np.maximum(np.abs(boxes[:, :2] - point), np.abs(boxes[:, 2:] - point)).T)
    candidates = np.flatnonzero(np.hypot(*gap.T) <= reach.min())
    start, end, owner = polygon_edges(polygons, candidates + rows.start)
    distance = np.full(len(candidates), np.inf)
    np.minimum.at(distance, owner, distance_to_segments(point, start, end))
    distance[_inside(np.broadcast_to(point, (len(candidates), 2)), polygons, candidates + rows.start)] = 0.0
    best = int(np.argmin(distance))
    return int(candidates[best]), float(distance[best])


def _overlapping(boxes: Floats, box: Floats) -> Ints:
    apart = (boxes[:, 0] > box[2]) | (boxes[:, 1] > box[3]) | (boxes[:, 2] < box[0]) | (boxes[:, 3] < box[1])
    return np.flatnonzero(~apart)
