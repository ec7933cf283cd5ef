"""The road network packed into arrays: what a traffic step looks up for many vehicles at once.

Edges are the town's lanes followed by its connectors. Positions along an edge are arc lengths in metres.
"""

import attrs
import numpy as np
import numpy.typing as npt

from pluto_nuplan.synth.curves import Array, headings, lengths
from pluto_nuplan.synth.town import Town

Ints = npt.NDArray[np.int64]

LATERAL_ACCELERATION_MPS2 = 1.9
SLOWING_MPS2 = 1.6
_CLEARANCE_M = 3.0
_SAMPLES = 28
_CURVATURE_REACH = 4


@attrs.frozen(eq=False)
class Roads:
    """Geometry and graph of all edges.

    Attributes:
        lane_count: Edges below this number are lanes, the others connectors.
        points_m: Vertices of all edges one after the other, shape (V, 2).
        heading_rad: Heading at each vertex, unwrapped within an edge, shape (V,).
        curvature: Curvature at each vertex in 1/m, positive to the left, shape (V,).
        speed_mps: Speed that curvature, limit and the slowing before them allow at each vertex, shape (V,).
        first, count: Where each edge's vertices lie in those.
        spacing_m, length_m: Distance of an edge's vertices and its length.
        limit_mps: Speed limit of each edge.
        outgoing: For each lane the connectors that leave it; for each connector its one lane.
        turn: Turn of each connector (0 left, 1 straight, 2 right); -1 for lanes.
        conflicts: For each edge the connectors that it must not be driven along with.
        siblings: For each connector the others that leave the same lane, with the distance at which they part.
        beside: For each lane the neighbours (left, right) in its group, -1 for none.
    """

    lane_count: int
    points_m: Array
    heading_rad: Array
    curvature: Array
    speed_mps: Array
    first: Ints
    count: Ints
    spacing_m: Array
    length_m: Array
    limit_mps: Array
    outgoing: tuple[tuple[int, ...], ...]
    turn: Ints
    conflicts: tuple[frozenset[int], ...]
    siblings: tuple[tuple[tuple[int, float], ...], ...]
    beside: Ints

    def pose(self, edge: Ints, along_m: Array) -> tuple[Array, Array, Array]:
        """Positions x, y and headings at arc lengths along edges, any shape; cubic between vertices."""
        spacing, first = self.spacing_m[edge], self.first[edge]
        cell = np.clip((along_m / spacing).astype(np.int64), 0, self.count[edge] - 2)
        t = along_m / spacing - cell
        at = first + cell
        start, end = self.points_m[at], self.points_m[at + 1]
        start_rad, end_rad = self.heading_rad[at], self.heading_rad[at + 1]
        square, cube = t * t, t * t * t
        blend = 3 * square - 2 * cube
        leave, arrive = (cube - 2 * square + t) * spacing, (cube - square) * spacing
        x = start[..., 0] + blend * (end - start)[..., 0] + leave * np.cos(start_rad) + arrive * np.cos(end_rad)
        y = start[..., 1] + blend * (end - start)[..., 1] + leave * np.sin(start_rad) + arrive * np.sin(end_rad)
        return x, y, start_rad + t * (end_rad - start_rad)

    def allowed_speed(self, edge: Ints, along_m: Array) -> Array:
        """Speed in m/s that the road allows at arc lengths along edges."""
        allowed: Array = self.speed_mps[self._vertex(edge, along_m)]
        return allowed

    def curvature_at(self, edge: Ints, along_m: Array) -> Array:
        """Curvature in 1/m at arc lengths along edges, positive to the left."""
        curvature: Array = self.curvature[self._vertex(edge, along_m)]
        return curvature

    def _vertex(self, edge: Ints, along_m: Array) -> Ints:
        cell = np.clip((along_m / self.spacing_m[edge]).astype(np.int64), 0, self.count[edge] - 1)
        vertex: Ints = self.first[edge] + cell
        return vertex

    def project(self, edge: int, point_m: Array) -> float:
        """Arc length of the vertex of an edge that is nearest to a point."""
        first, count = int(self.first[edge]), int(self.count[edge])
        gaps = self.points_m[first : first + count] - point_m
        return float(np.argmin((gaps**2).sum(axis=1)) * self.spacing_m[edge])


def pack_roads(town: Town) -> Roads:
    """Pack a town's lanes and connectors for the traffic simulation."""
    lines = [lane.line_m for lane in town.lanes] + [connector.line_m for connector in town.connectors]
    limits = np.array([lane.limit_mps for lane in town.lanes] + [connector.limit_mps for connector in town.connectors])
    count = np.array([len(line) for line in lines])
    length = np.array([float(lengths(line)[-1]) for line in lines])
    spacing = length / (count - 1)
    heading = [headings(line) for line in lines]
    curvature = [np.gradient(each, step) for each, step in zip(heading, spacing, strict=True)]
    speeds = [_speed_profile(*row) for row in zip(heading, spacing, limits, strict=True)]
    lane_count = len(town.lanes)
    return Roads(
        lane_count=lane_count,
        points_m=np.concatenate(lines),
        heading_rad=np.concatenate(heading),
        curvature=np.concatenate(curvature),
        speed_mps=np.concatenate(speeds),
        first=np.concatenate(([0], np.cumsum(count)[:-1])),
        count=count,
        spacing_m=spacing,
        length_m=length,
        limit_mps=limits,
        outgoing=_outgoing(town),
        turn=np.array([-1] * lane_count + [connector.turn for connector in town.connectors]),
        conflicts=_conflicts(town),
        siblings=_siblings(town),
        beside=_beside(town),
    )


def _speed_profile(heading: Array, spacing_m: float, limit_mps: float) -> Array:
    """Allowed speed at each vertex: limit, lateral acceleration, and slowing down in time for what follows."""
    reach = min(_CURVATURE_REACH, len(heading) - 1)
    curvature = np.abs(heading[reach:] - heading[:-reach]) / (reach * spacing_m)
    curvature = np.interp(np.arange(len(heading)), np.arange(len(curvature)) + reach / 2, curvature)
    speed = np.minimum(limit_mps, np.sqrt(LATERAL_ACCELERATION_MPS2 / np.maximum(curvature, 1e-4)))
    # v(s)^2 <= v(s')^2 + 2 b (s' - s) for every later s': a running minimum from the end.
    along = np.arange(len(speed)) * spacing_m
    budget = speed**2 + 2 * SLOWING_MPS2 * along
    profile: Array = np.sqrt(np.minimum.accumulate(budget[::-1])[::-1] - 2 * SLOWING_MPS2 * along)
    return profile


def _outgoing(town: Town) -> tuple[tuple[int, ...], ...]:
    leaving: list[list[int]] = [[] for _ in town.lanes]
    for connector in town.connectors:
        leaving[connector.start].append(len(town.lanes) + connector.index)
    return (*(tuple(edges) for edges in leaving), *((connector.end,) for connector in town.connectors))


def _beside(town: Town) -> Ints:
    beside = np.full((len(town.lanes) + len(town.connectors), 2), -1)
    for group in town.groups:
        for left, right in zip(group.lanes, group.lanes[1:], strict=False):
            beside[left, 1], beside[right, 0] = right, left
    return beside


def _by_junction(town: Town) -> list[list[int]]:
    members: list[list[int]] = [[] for _ in town.junctions]
    for connector in town.connectors:
        members[connector.junction].append(connector.index)
    return members


def _distances(town: Town, members: list[int]) -> Array:
    """Least distance of each sample of each connector to each other connector, shape (C, C, samples)."""
    rows = []
    for index in members:
        line = town.connectors[index].line_m
        rows.append(line[np.linspace(0, len(line) - 1, _SAMPLES).astype(int)])
    samples = np.stack(rows)
    gaps = samples[:, None, :, None] - samples[None, :, None, :]
    nearest: Array = np.sqrt((gaps**2).sum(axis=-1)).min(axis=-1)
    return nearest


def _conflicts(town: Town) -> tuple[frozenset[int], ...]:
    base = len(town.lanes)
    found: list[frozenset[int]] = [frozenset()] * (base + len(town.connectors))
    for members in _by_junction(town):
        close = _distances(town, members).min(axis=-1) < _CLEARANCE_M
        starts = np.array([town.connectors[index].start for index in members])
        close &= starts[:, None] != starts[None, :]
        for row, index in enumerate(members):
            found[base + index] = frozenset(base + members[column] for column in np.flatnonzero(close[row]))
    return tuple(found)


def _siblings(town: Town) -> tuple[tuple[tuple[int, float], ...], ...]:
    base = len(town.lanes)
    found: list[tuple[tuple[int, float], ...]] = [()] * (base + len(town.connectors))
    for members in _by_junction(town):
        gaps = _distances(town, members)
        for row, index in enumerate(members):
            connector = town.connectors[index]
            step = lengths(connector.line_m)[-1] / (_SAMPLES - 1)
            found[base + index] = tuple(
                (base + other, float((np.flatnonzero(gaps[row, column] < _CLEARANCE_M)[-1] + 1) * step))
                for column, other in enumerate(members)
                if other != index and town.connectors[other].start == connector.start
            )
    return tuple(found)
