"""The plan of a synthetic town: where its junctions lie and which streets join them.

The plan is a grid of N x M crossroads inside a closed ring road. Where a street of the grid meets the ring there is a
T junction; the four corners of the ring are arcs. Positions, widths and bends are drawn from a random generator.
"""

import math

import attrs
import numpy as np

from pluto_nuplan.synth.curves import Array, bezier, bump, resample, rounded_corner, unit

LANE_WIDTH_M = 3.5
SETBACK_M = 8.0
TOWN_TURN_RAD = 0.21
EAST, NORTH, WEST, SOUTH = range(4)

_BLOCK_M = (122.0, 156.0)
_RING_BLOCK_M = (104.0, 118.0)
_JITTER_M = 5.0
_TWIST_RAD = 0.07
_WIDE_SHARE = 0.4
_BEND_SHARE = 0.25
_BEND_M = (10.0, 14.0)
_CORNER_RADIUS_M = 30.0
_PARKING_STRIP_M = 2.6
_PARKING_SHARE = 0.6
_LIMITS_MPS = {"narrow": 11.18, "wide": 13.41, "ring": 15.65}


@attrs.frozen(eq=False)
class Arm:
    """One street's end at a junction: `point_m` is on the street's middle line where its lanes end."""

    index: int
    junction: int
    direction: int
    point_m: Array
    heading_rad: float
    lanes: int
    strip_m: float

    @property
    def half_width_m(self) -> float:
        """Half the carriageway, parking strip left out."""
        return self.lanes * LANE_WIDTH_M


@attrs.frozen(eq=False)
class Street:
    """A street between two arms; `line_m` (N, 2) runs along its middle from the first arm to the second."""

    index: int
    arms: tuple[int, int]
    line_m: Array
    heading_rad: tuple[float, float]
    lanes: int
    limit_mps: float
    strip_m: float


@attrs.frozen(eq=False)
class Junction:
    """A signalised junction and its arms in counter-clockwise order."""

    index: int
    centre_m: Array
    arms: tuple[int, ...]


@attrs.frozen(eq=False)
class Plan:
    """Junctions, arms and streets, indexed by their own `index`; `blocks_m` (B, 2) are the middles of the city blocks."""

    junctions: tuple[Junction, ...]
    arms: tuple[Arm, ...]
    streets: tuple[Street, ...]
    blocks_m: Array


@attrs.frozen(eq=False)
class _Grid:
    """Node positions (columns, rows, 2), twist of each node and the lanes, strips of each grid line."""

    nodes_m: Array
    twist_rad: Array
    column_lanes: list[int]
    row_lanes: list[int]
    strips_m: Array

    @property
    def shape(self) -> tuple[int, int]:
        return self.nodes_m.shape[0], self.nodes_m.shape[1]

    def exists(self, i: int, j: int) -> bool:
        return 0 <= i < self.shape[0] and 0 <= j < self.shape[1]

    def on_ring(self, i: int, j: int) -> bool:
        return i in {0, self.shape[0] - 1} or j in {0, self.shape[1] - 1}

    def is_corner(self, i: int, j: int) -> bool:
        return i in {0, self.shape[0] - 1} and j in {0, self.shape[1] - 1}

    def lanes(self, i: int, j: int, direction: int) -> int:
        return self.row_lanes[j] if direction in {EAST, WEST} else self.column_lanes[i]

    def strip_m(self, i: int, j: int, direction: int) -> float:
        return float(self.strips_m[0, j] if direction in {EAST, WEST} else self.strips_m[1, i])


def plan_town(grid: tuple[int, int], rng: np.random.Generator, origin_m: tuple[float, float]) -> Plan:
    """Draw the plan of a town with `grid` crossroads (columns, rows), centred on `origin_m` in the map frame."""
    drawn = _draw_grid(grid, rng, origin_m)
    junctions, arms, by_place = _place_junctions(drawn)
    streets = _place_streets(drawn, arms, by_place, rng)
    nodes = drawn.nodes_m
    blocks = (nodes[:-1, :-1] + nodes[1:, :-1] + nodes[:-1, 1:] + nodes[1:, 1:]) / 4
    return Plan(tuple(junctions), tuple(arms), tuple(streets), blocks.reshape(-1, 2))


def _draw_grid(grid: tuple[int, int], rng: np.random.Generator, origin_m: tuple[float, float]) -> _Grid:
    positions = []
    for count in grid:
        blocks = rng.uniform(*_BLOCK_M, count - 1)
        edges = rng.uniform(*_RING_BLOCK_M, 2)
        along = np.cumsum(np.concatenate(([0.0], edges[:1], blocks, edges[1:])))
        positions.append(along - along[-1] / 2)
    nodes = np.stack(np.meshgrid(*positions, indexing="ij"), axis=-1)
    nodes[1:-1, 1:-1] += rng.uniform(-_JITTER_M, _JITTER_M, (*grid, 2))
    nodes[1:-1, [0, -1], 0] += rng.uniform(-_JITTER_M, _JITTER_M, (grid[0], 2))
    nodes[[0, -1], 1:-1, 1] += rng.uniform(-_JITTER_M, _JITTER_M, (2, grid[1]))
    twist = np.zeros(nodes.shape[:2])
    twist[1:-1, 1:-1] = rng.uniform(-_TWIST_RAD, _TWIST_RAD, grid)
    turn = np.array([unit(TOWN_TURN_RAD), unit(TOWN_TURN_RAD + math.pi / 2)])
    wide = [(rng.random(count) < _WIDE_SHARE).astype(int) + 1 for count in grid]
    wide[0][0], wide[1][0] = 2, 1
    strips = np.where(rng.random((2, max(grid) + 2)) < _PARKING_SHARE, _PARKING_STRIP_M, 0.0)
    strips[0, 1] = _PARKING_STRIP_M
    strips[0, [0, grid[1] + 1]] = strips[1, [0, grid[0] + 1]] = 0.0
    lanes = [[2, *map(int, inner), 2] for inner in wide]
    return _Grid(nodes @ turn + np.array(origin_m), twist + TOWN_TURN_RAD, lanes[0], lanes[1], strips)


def _place_junctions(grid: _Grid) -> tuple[list[Junction], list[Arm], dict[tuple[int, int, int], int]]:
    junctions: list[Junction] = []
    arms: list[Arm] = []
    by_place: dict[tuple[int, int, int], int] = {}
    for i, j in np.ndindex(grid.shape):
        if grid.is_corner(i, j):
            continue
        own = []
        for direction in range(4):
            step = ((1, 0), (0, 1), (-1, 0), (0, -1))[direction]
            if not grid.exists(i + step[0], j + step[1]):
                continue
            heading = float(grid.twist_rad[i, j]) + direction * math.pi / 2
            reach = LANE_WIDTH_M * grid.lanes(i, j, (direction + 1) % 4) + SETBACK_M
            point = grid.nodes_m[i, j] + reach * unit(heading)
            lanes, strip = grid.lanes(i, j, direction), grid.strip_m(i, j, direction)
            by_place[i, j, direction] = len(arms)
            own.append(len(arms))
            arms.append(Arm(len(arms), len(junctions), direction, point, heading, lanes, strip))
        junctions.append(Junction(len(junctions), grid.nodes_m[i, j], tuple(own)))
    return junctions, arms, by_place


def _place_streets(
    grid: _Grid, arms: list[Arm], by_place: dict[tuple[int, int, int], int], rng: np.random.Generator
) -> list[Street]:
    streets: list[Street] = []
    inner = 0
    for (i, j, direction), start in by_place.items():
        end, corner = _far_end(grid, by_place, i, j, direction)
        if end is None or (corner is not None and end < start):
            continue
        ring = corner is not None or _along_ring(grid, i, j, direction)
        bent = not ring and not grid.on_ring(i, j) and (inner == 0 or rng.random() < _BEND_SHARE)
        inner += not ring and not grid.on_ring(i, j)
        line = _street_line(arms[start], arms[end], corner, rng.uniform(*_BEND_M) * rng.choice((-1, 1)) * bent)
        kind = "ring" if ring else ("wide" if arms[start].lanes > 1 else "narrow")
        heading = (arms[start].heading_rad, arms[end].heading_rad + math.pi)
        streets.append(
            Street(len(streets), (start, end), line, heading, arms[start].lanes, _LIMITS_MPS[kind], arms[start].strip_m)
        )
    return streets


def _along_ring(grid: _Grid, i: int, j: int, direction: int) -> bool:
    if direction in {EAST, WEST}:
        return j in {0, grid.shape[1] - 1}
    return i in {0, grid.shape[0] - 1}


def _far_end(
    grid: _Grid, by_place: dict[tuple[int, int, int], int], i: int, j: int, direction: int
) -> tuple[int | None, Array | None]:
    """The arm at the other end of a street (None where the street is drawn from there), and the ring corner between."""
    step = ((1, 0), (0, 1), (-1, 0), (0, -1))[direction]
    place = i + step[0], j + step[1]
    if not grid.is_corner(*place):
        if direction in {WEST, SOUTH}:
            return None, None
        return by_place[(*place, (direction + 2) % 4)], None
    last = grid.shape[0] - 1, grid.shape[1] - 1
    if direction in {EAST, WEST}:
        aside = (place[0], 1, SOUTH) if place[1] == 0 else (place[0], last[1] - 1, NORTH)
    else:
        aside = (1, place[1], WEST) if place[0] == 0 else (last[0] - 1, place[1], EAST)
    return by_place[aside], grid.nodes_m[place]


def _street_line(start: Arm, end: Arm, corner: Array | None, bend_m: float) -> Array:
    if corner is not None:
        return resample(rounded_corner(start.point_m, corner, end.point_m, _CORNER_RADIUS_M))
    onward = end.heading_rad + math.pi
    if bend_m:
        return resample(bump(start.point_m, start.heading_rad, end.point_m, onward, bend_m))
    return resample(bezier(start.point_m, start.heading_rad, end.point_m, onward))
