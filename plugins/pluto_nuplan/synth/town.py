"""A synthetic town: lanes, connectors and everything around them as geometry in the map frame (UTM metres).

Traffic keeps to the right. Every street carries one lane group (roadblock) in each direction, every junction one block
(roadblock connector) from each arm to each other arm. Lines of lanes run in driving direction.
"""

import math

import attrs
import numpy as np

from pluto_nuplan.synth.curves import SPACING_M, Array, bezier, headings, offset, resample, wrap
from pluto_nuplan.synth.layout import LANE_WIDTH_M, Arm, Junction, Plan, Street, plan_town

BOUNDARY_SPACING_M = 0.5
LEFT, STRAIGHT, RIGHT = range(3)

_TURN_OF_ARMS = {1: RIGHT, 2: STRAIGHT, 3: LEFT}


@attrs.frozen(eq=False)
class Lane:
    """A lane from one junction to the next; `left` and `right` index the town's boundaries."""

    index: int
    group: int
    order: int
    line_m: Array
    left: int
    right: int
    limit_mps: float
    arms: tuple[int, int]


@attrs.frozen(eq=False)
class LaneGroup:
    """The lanes of a street in one direction, leftmost first, between their outer boundaries."""

    index: int
    street: int
    lanes: tuple[int, ...]
    left: int
    right: int
    arms: tuple[int, int]


@attrs.frozen(eq=False)
class Connector:
    """A way through a junction from the end of lane `start` to the beginning of lane `end`."""

    index: int
    junction: int
    block: int
    start: int
    end: int
    turn: int
    line_m: Array
    left: int
    right: int
    limit_mps: float
    arms: tuple[int, int]


@attrs.frozen(eq=False)
class Block:
    """All connectors from one lane group to another."""

    index: int
    junction: int
    groups: tuple[int, int]
    connectors: tuple[int, ...]
    left: int
    right: int


@attrs.frozen(eq=False)
class Town:
    """The road network; each tuple is indexed by its members' `index`; `blocks_m` (B, 2) are middles of city blocks."""

    junctions: tuple[Junction, ...]
    arms: tuple[Arm, ...]
    streets: tuple[Street, ...]
    groups: tuple[LaneGroup, ...]
    lanes: tuple[Lane, ...]
    blocks: tuple[Block, ...]
    connectors: tuple[Connector, ...]
    boundaries_m: tuple[Array, ...]
    blocks_m: Array


def build_town(grid: tuple[int, int], rng: np.random.Generator, origin_m: tuple[float, float]) -> Town:
    """Make a town of `grid` crossroads (columns, rows) inside a ring road, centred on `origin_m`."""
    plan = plan_town(grid, rng, origin_m)
    boundaries: list[Array] = []
    groups, lanes = _lay_lanes(plan, boundaries)
    blocks, connectors = _lay_connectors(plan, groups, lanes, boundaries)
    return Town(
        junctions=plan.junctions,
        arms=plan.arms,
        streets=plan.streets,
        groups=tuple(groups),
        lanes=tuple(lanes),
        blocks=tuple(blocks),
        connectors=tuple(connectors),
        boundaries_m=tuple(boundaries),
        blocks_m=plan.blocks_m,
    )


def street_headings(street: Street) -> Array:
    """Tangent headings of a street's middle line, exact at both ends, shape (N,)."""
    heading = headings(street.line_m)
    for end in (0, -1):
        heading[end] += wrap(street.heading_rad[end] - heading[end])
    return heading


def _lay_lanes(plan: Plan, boundaries: list[Array]) -> tuple[list[LaneGroup], list[Lane]]:
    groups: list[LaneGroup] = []
    lanes: list[Lane] = []
    for street in plan.streets:
        line, heading = street.line_m, street_headings(street)
        for arms in (street.arms, street.arms[::-1]):
            first = len(boundaries)
            boundaries.extend(
                resample(offset(line, heading, -order * LANE_WIDTH_M), BOUNDARY_SPACING_M) for order in range(street.lanes + 1)
            )
            own = range(len(lanes), len(lanes) + street.lanes)
            for order, index in enumerate(own):
                middle = resample(offset(line, heading, -(order + 0.5) * LANE_WIDTH_M), SPACING_M)
                left = first + order
                lanes.append(Lane(index, len(groups), order, middle, left, left + 1, street.limit_mps, arms))
            groups.append(LaneGroup(len(groups), street.index, tuple(own), first, first + street.lanes, arms))
            line, heading = line[::-1], heading[::-1] + math.pi
    return groups, lanes


def _lay_connectors(
    plan: Plan, groups: list[LaneGroup], lanes: list[Lane], boundaries: list[Array]
) -> tuple[list[Block], list[Connector]]:
    into = {group.arms[1]: group for group in groups}
    out_of = {group.arms[0]: group for group in groups}
    blocks: list[Block] = []
    connectors: list[Connector] = []
    for junction in plan.junctions:
        for start_arm in junction.arms:
            for end_arm in junction.arms:
                if start_arm == end_arm:
                    continue
                turn = _TURN_OF_ARMS[(plan.arms[end_arm].direction - plan.arms[start_arm].direction) % 4]
                source, target = into[start_arm], out_of[end_arm]
                own = []
                for start, end in _pairs(source, target, turn):
                    own.append(len(connectors))
                    connectors.append(
                        _connect(plan, lanes[start], lanes[end], turn, (len(connectors), len(blocks)), boundaries)
                    )
                left, right = connectors[own[0]].left, connectors[own[-1]].right
                blocks.append(Block(len(blocks), junction.index, (source.index, target.index), tuple(own), left, right))
    return blocks, connectors


def _pairs(source: LaneGroup, target: LaneGroup, turn: int) -> list[tuple[int, int]]:
    """Lanes joined by a movement, leftmost first: turns use the lane nearest to them, straights every lane."""
    if turn == LEFT:
        return [(source.lanes[0], target.lanes[0])]
    if turn == RIGHT:
        return [(source.lanes[-1], target.lanes[-1])]
    return list(zip(source.lanes, target.lanes, strict=True))


def _connect(plan: Plan, start: Lane, end: Lane, turn: int, place: tuple[int, int], boundaries: list[Array]) -> Connector:
    arms = start.arms[1], end.arms[0]
    start_rad = plan.arms[arms[0]].heading_rad + math.pi
    end_rad = plan.arms[arms[1]].heading_rad
    line = resample(bezier(start.line_m[-1], start_rad, end.line_m[0], end_rad), SPACING_M)
    heading = headings(line)
    heading[0] += wrap(start_rad - heading[0])
    heading[-1] += wrap(end_rad - heading[-1])
    left = len(boundaries)
    boundaries.extend(resample(offset(line, heading, side * LANE_WIDTH_M / 2), BOUNDARY_SPACING_M) for side in (1.0, -1.0))
    return Connector(
        index=place[0],
        junction=plan.arms[arms[0]].junction,
        block=place[1],
        start=start.index,
        end=end.index,
        turn=turn,
        line_m=line,
        left=left,
        right=left + 1,
        limit_mps=min(start.limit_mps, end.limit_mps),
        arms=arms,
    )
