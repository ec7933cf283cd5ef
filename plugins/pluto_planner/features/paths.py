"""Paths along lanes: concatenated centre lines, projection on them, and pieces cut out of them."""

from functools import cached_property

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core import geometry
from pluto_core.geometry import wrap
from pluto_core.maps import MapView

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

REPEATED_M = 1e-8
"""Vertices nearer than this to the next are one point."""


@attrs.frozen(kw_only=True, eq=False)
class Path:
    """A line of poses, and the piece of it on which progress is counted."""

    poses: Floats
    """(V, 3) x, y, heading; repeated vertices included."""
    arc_m: Floats
    """(V,) chord length from the start."""
    counted: Ints
    """Vertices between which progress interpolates: without repeated ones."""

    @classmethod
    def along(cls, poses: Floats, *, keep_last: bool = True) -> "Path":
        """Return the path through (V, 3) poses; the reference's leaves out the last vertex (D-11)."""
        arc = arc_lengths(poses)
        different = np.abs(np.diff(arc)) > REPEATED_M
        counted = np.flatnonzero(np.append(different, keep_last and len(poses) > 0))
        return cls(poses=poses, arc_m=arc, counted=counted)

    @property
    def ends_m(self) -> tuple[float, float]:
        """Return the arc lengths at which progress begins and ends."""
        return float(self.arc_m[self.counted[0]]), float(self.arc_m[self.counted[-1]])

    @cached_property
    def _columns(self) -> tuple[Floats, tuple[Floats, Floats, Floats]]:
        """Return arc length, and x, y and unwrapped heading of the vertices between which progress interpolates."""
        x, y, heading = self.poses.T[:, self.counted]
        # Unwrapped as a whole: at headings of pi the last bit decides about the sign in the reference.
        jumps = bool((np.abs(np.diff(heading)) > np.pi).any())
        return self.arc_m[self.counted], (x, y, np.unwrap(heading) if jumps else heading)

    @property
    def empty(self) -> bool:
        """Return whether the path has fewer than two points to interpolate between."""
        return len(self.counted) < 2  # noqa: PLR2004 -- two ends

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """Return the (k,) arc length and distance of (k, 2) points, m; of several nearest places the first."""
        return project(self.poses[:, :2], self.arc_m, points)

    def at(self, progress_m: Floats) -> Floats:
        """Return the (k, 3) poses at some arc lengths, headings wrapped to [-pi, pi)."""
        arc, columns = self._columns
        found = np.stack([np.interp(progress_m, arc, column) for column in columns], axis=-1)
        found[:, 2] = wrap(found[:, 2])
        return found

    def cut(self, begin_m: float, end_m: float) -> "Piece":
        """Return the poses between two arc lengths, both ends interpolated; two vertices at either end of the path."""
        arc, poses = self._columns[0], self.poses
        begin, end = float(np.clip(begin_m, arc[0], arc[-1])), float(min(end_m, arc[-1]))
        first, last = np.searchsorted(arc, begin, side="right"), np.searchsorted(arc, end, side="left")
        if first == len(arc) or last == 0:
            span = slice(-2, None) if first == len(arc) else slice(2)
            return Piece(poses=poses[self.counted[span]], arc_m=arc[span], length_m=end - begin)
        ends = self.at(np.array([begin, end]))
        return Piece(
            poses=np.concatenate([ends[:1], poses[self.counted[first:last]], ends[1:]]),
            arc_m=np.concatenate([[begin], arc[first:last], [end]]),
            length_m=end - begin,
        )


@attrs.frozen(kw_only=True, eq=False)
class Piece:
    """A piece cut out of a path."""

    poses: Floats
    """(k, 3) x, y, heading."""
    arc_m: Floats
    """(k,) arc length on the path it was cut from."""
    length_m: float


def arc_lengths(line: Floats) -> Floats:
    """Return the (V,) arc length of every vertex of a line whose first two columns are x and y."""
    arc = np.zeros(len(line))
    np.cumsum(np.hypot(line[1:, 0] - line[:-1, 0], line[1:, 1] - line[:-1, 1]), out=arc[1:])
    return arc


def project(line: Floats, arc_m: Floats, points: Floats) -> tuple[Floats, Floats]:
    """Return the (k,) arc length and distance of points on a line; of several nearest places the first.

    Args:
        line: (V, 2) vertices, m, at least one.
        arc_m: (V,) arc length of every vertex.
        points: (k, 2) m.
    """
    if len(line) == 1:
        return np.zeros(len(points)), np.hypot(*(points - line[0]).T)
    dx, dy = np.diff(line[:, 0]), np.diff(line[:, 1])
    x, y = points[:, 0, None] - line[:-1, 0], points[:, 1, None] - line[:-1, 1]
    length_sq = np.maximum(dx * dx + dy * dy, np.finfo(np.float64).tiny)
    share = np.clip((x * dx + y * dy) / length_sq, 0.0, 1.0)
    distance_sq = (x - share * dx) ** 2 + (y - share * dy) ** 2
    nearest = np.argmin(distance_sq, axis=1)
    each = np.arange(len(points))
    arc = arc_m[nearest] + share[each, nearest] * np.diff(arc_m)[nearest]
    return arc, np.sqrt(distance_sq[each, nearest])


def lane_poses(view: MapView, rows: list[int]) -> Floats:
    """Return the (V, 3) centre-line vertices of lanes one after another; a joint appears twice.

    The heading is towards the next vertex of the same lane; the last vertex of each lane repeats the one before.
    """
    lines = [view.lanes.baselines.line(row) for row in rows]
    if not lines:
        return np.zeros((0, 3))
    points = np.concatenate(lines)
    offsets = np.concatenate([[0], np.cumsum([len(line) for line in lines])])
    return np.column_stack([points, geometry.vertex_headings(points, offsets)])


def nearest_vertex(view: MapView, row: int, point: Floats, *, stride: int = 1) -> tuple[float, float]:
    """Return distance and heading of the centre-line vertex nearest to a point, among every `stride`-th."""
    line = view.lanes.baselines.line(row)
    distance_sq = (line[::stride, 0] - point[0]) ** 2 + (line[::stride, 1] - point[1]) ** 2
    nearest = int(np.argmin(distance_sq))
    index = min(nearest * stride, len(line) - 2)
    step = line[index + 1] - line[index]
    return float(np.sqrt(distance_sq[nearest])), float(np.arctan2(step[1], step[0]))


def turn_between(first_rad: float, second_rad: float) -> float:
    """Return the absolute angle between two headings, 0 to pi."""
    return float(abs(wrap(np.asarray(first_rad - second_rad))))
