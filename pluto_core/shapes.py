"""Many lines or polygons in a few arrays (CSR), with what is asked of them again and again computed once."""

from collections.abc import Sequence
from functools import cached_property

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core import geometry

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


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
        return cls(geometry.offsets_of(np.bincount(rows, minlength=count)), np.asarray(values, np.int64)[order])

    @classmethod
    def from_rows(cls, rows: Sequence[Ints]) -> "Ragged":
        """Return the rows, in their order."""
        values = np.concatenate([np.zeros(0, np.int64), *rows]).astype(np.int64)
        return cls(geometry.offsets_of([len(row) for row in rows]), values)


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

    @cached_property
    def chunk_offsets(self) -> Ints:
        """Return the (n + 1,) offsets of the chunks of each line: runs of edges that share a box."""
        return geometry.chunk_offsets(self.offsets)

    @cached_property
    def chunk_spans(self) -> Ints:
        """Return (m, 2) the vertex at which each chunk begins and the one at which it ends."""
        return geometry.chunk_spans(self.offsets, self.chunk_offsets)

    @cached_property
    def chunk_bounds(self) -> Floats:
        """Return the (m, 4) boxes of the chunks."""
        return geometry.chunk_bounds(self.points, self.chunk_spans)

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

    def project(self, index: int, points: Floats) -> tuple[Floats, Floats]:
        """Return where along one line the nearest spots to some points lie, and how far they are.

        Args:
            index: Line; it must have a vertex.
            points: (k, 2) m.

        Returns:
            (k,) arc length from the start of the line, m, the first of equally near spots, and (k,) distances, m.
        """
        span = slice(self.offsets[index], self.offsets[index + 1])
        return geometry.project(points, self.points[span], self.arc_m[span])

    def along(self, index: int, arc_m: Floats) -> Floats:
        """Return the (k, 3) poses at arc lengths of one line: x, y, heading (nuPlan v1.1, `get_nearest_pose_from_position`).

        The heading is that from the spot to the one half a metre on; at the end, from half a metre before to the spot.

        Args:
            index: Line; it must have a vertex.
            arc_m: (k,) arc lengths, m; beyond the ends they count as the ends.
        """
        span = slice(self.offsets[index], self.offsets[index + 1])
        return geometry.poses_along(self.points[span], self.arc_m[span], arc_m)

    def curvature(self, index: int, arc_m: Floats) -> Floats:
        """Return the (k,) curvatures at arc lengths of one line, 1/m, positive to the left (nuPlan v1.1).

        That of the circle through the spot and those two metres before and behind it (Menger); near an end the three spots
        move inwards, on a line shorter than four metres they are its ends and its middle. 0 where they are in line.

        Args:
            index: Line; it must have a length.
            arc_m: (k,) arc lengths, m.
        """
        span = slice(self.offsets[index], self.offsets[index + 1])
        return geometry.curvatures_along(self.points[span], self.arc_m[span], arc_m)

    def take(self, rows: Ints) -> "Polylines":
        """Return the given lines, in that order."""
        members, _ = geometry.spans(self.offsets, rows)
        return Polylines(geometry.offsets_of(np.diff(self.offsets)[rows]), self.points[members])

    @classmethod
    def from_lines(cls, lines: Sequence[Floats]) -> "Polylines":
        """Return the lines, in their order."""
        points = [np.zeros((0, 2)), *(np.asarray(line, np.float64).reshape(-1, 2) for line in lines)]
        return cls(geometry.offsets_of([len(line) for line in points[1:]]), np.concatenate(points))

    @classmethod
    def empty(cls, count: int) -> "Polylines":
        """Return `count` lines without vertices."""
        return cls(np.zeros(count + 1, np.int64), np.zeros((0, 2)))

    @classmethod
    def joined(cls, parts: Sequence["Polylines"]) -> "Polylines":
        """Return the lines of all parts, one part after the other."""
        counts = np.concatenate([np.diff(part.offsets) for part in parts])
        return cls(geometry.offsets_of(counts), np.concatenate([part.points for part in parts]))


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

    @cached_property
    def chunk_offsets(self) -> Ints:
        """Return the (n + 1,) offsets of the chunks of the rings of each polygon."""
        return self.rings.chunk_offsets[self.ring_offsets]

    @cached_property
    def single(self) -> Mask:
        """Return (n,) whether the polygon is one part."""
        solid = np.concatenate([[0], np.cumsum(~self.holes)])
        one: Mask = np.diff(solid[self.ring_offsets]) == 1
        return one

    def take(self, rows: Ints) -> "Polygons":
        """Return the given polygons, in that order."""
        rings, _ = geometry.spans(self.ring_offsets, rows)
        return Polygons(geometry.offsets_of(np.diff(self.ring_offsets)[rows]), self.rings.take(rings), self.holes[rings])

    @classmethod
    def from_rings(cls, rings: Sequence[Floats]) -> "Polygons":
        """Return one simple polygon a ring; rings are closed where they are open."""
        closed = [ring if np.array_equal(ring[0], ring[-1]) else np.concatenate([ring, ring[:1]]) for ring in rings]
        return cls(np.arange(len(rings) + 1, dtype=np.int64), Polylines.from_lines(closed), np.zeros(len(rings), np.bool_))

    @classmethod
    def joined(cls, parts: Sequence["Polygons"]) -> "Polygons":
        """Return the polygons of all parts, one part after the other."""
        counts = np.concatenate([np.diff(part.ring_offsets) for part in parts])
        rings = Polylines.joined([part.rings for part in parts])
        return cls(geometry.offsets_of(counts), rings, np.concatenate([part.holes for part in parts]))
