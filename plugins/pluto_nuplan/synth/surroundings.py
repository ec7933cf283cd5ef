"""What lies beside and across the lanes: crosswalks, stop lines, walkways, parking strips, car parks, work zones."""

import math

import attrs
import numpy as np
import shapely

from pluto_nuplan.synth.curves import Array, headings, offset, resample, ring, unit
from pluto_nuplan.synth.layout import TOWN_TURN_RAD, Arm, Street
from pluto_nuplan.synth.town import Town, street_headings

WALK, LINK, CROSSING = range(3)

_CROSSWALK_INSIDE_M = 3.75
_CROSSWALK_HALF_M = 1.75
_CROSSWALK_BEYOND_M = 0.7
_STOP_M = (-0.5, 1.5)
_WALKWAY_OFFSET_M = 1.75
_WALKWAY_HALF_M = 1.25
_WALKWAY_SPACING_M = 2.0
_STRIP_SPACING_M = 1.0
_STRIP_END_M = 6.0
_SLOT_M = 6.4
_PARK_SHARE = 0.45
_PARK_HALF_M = (16.0, 13.0)
_DRIVEWAY_HALF_M = 3.0
_SLOTS_ACROSS = 10
_SLOT_WIDTH_M = 2.8
_ROW_M = 9.2


@attrs.frozen(eq=False)
class Footway:
    """A way for people on foot between two corners (2 * arm + side, side 0 left, 1 right, seen from the junction)."""

    corners: tuple[int, int]
    line_m: Array
    kind: int
    arm: int


@attrs.frozen(eq=False)
class CarPark:
    """A car park: outline, the way to its street, and its slots as rows of x, y, heading."""

    outline_m: Array
    driveway_m: Array
    slots: Array


@attrs.frozen(eq=False)
class Strip:
    """A parking strip beside a street: outline, and places as rows of x, y, heading, along the direction of traffic."""

    outline_m: Array
    places: Array
    street: int


@attrs.frozen(eq=False)
class Surroundings:
    """Outlines (closed rings) by arm, junction or street, and the network of ways for people on foot."""

    crosswalks_m: tuple[Array, ...]
    stops_m: tuple[Array, ...]
    intersections_m: tuple[Array, ...]
    road_segments_m: tuple[Array, ...]
    walkways_m: tuple[Array, ...]
    footways: tuple[Footway, ...]
    strips: tuple[Strip, ...]
    car_parks: tuple[CarPark, ...]


def surround(town: Town, rng: np.random.Generator) -> Surroundings:
    """Make what surrounds a town's lanes."""
    footways = [way for street in town.streets for way in _street_footways(town, street)]
    footways += [way for junction in town.junctions for way in _corner_footways(town, junction.arms)]
    return Surroundings(
        crosswalks_m=tuple(_across(arm, _CROSSWALK_INSIDE_M) for arm in town.arms),
        stops_m=tuple(_stop(arm) for arm in town.arms),
        intersections_m=tuple(_intersection(town, junction.arms) for junction in town.junctions),
        road_segments_m=tuple(_road_segment(street) for street in town.streets),
        walkways_m=tuple(_widened(way.line_m) for way in footways if way.kind != CROSSING),
        footways=tuple(footways),
        strips=tuple(strip for street in town.streets if street.strip_m for strip in _strips(street)),
        car_parks=tuple(_car_parks(town, rng)),
    )


def _frame(arm: Arm) -> tuple[Array, Array]:
    """Unit vectors out of the junction and to the left of that."""
    return unit(arm.heading_rad), unit(arm.heading_rad + math.pi / 2)


def _rectangle(centre: Array, along: Array, across: Array, half: tuple[float, float]) -> Array:
    u, v = half[0] * along, half[1] * across
    return ring(np.stack((centre - u - v, centre + u - v, centre + u + v, centre - u + v)))


def _across(arm: Arm, inside_m: float) -> Array:
    out, left = _frame(arm)
    half = (_CROSSWALK_HALF_M, arm.half_width_m + _CROSSWALK_BEYOND_M)
    return _rectangle(arm.point_m - inside_m * out, out, left, half)


def _stop(arm: Arm) -> Array:
    """Where traffic into the junction stops: over the ends of the incoming lanes."""
    out, left = _frame(arm)
    middle = (_STOP_M[0] + _STOP_M[1]) / 2
    centre = arm.point_m - middle * out + arm.half_width_m / 2 * left
    return _rectangle(centre, out, left, ((_STOP_M[1] - _STOP_M[0]) / 2, arm.half_width_m / 2))


def _intersection(town: Town, arms: tuple[int, ...]) -> Array:
    corners = []
    for index in arms:
        arm = town.arms[index]
        _, left = _frame(arm)
        corners += [arm.point_m - arm.half_width_m * left, arm.point_m + arm.half_width_m * left]
    outline: Array = shapely.get_coordinates(shapely.convex_hull(shapely.multipoints(np.stack(corners))))
    return outline


def _road_segment(street: Street) -> Array:
    half = street.lanes * 3.5
    heading = street_headings(street)
    sides = [resample(offset(street.line_m, heading, side * half), 0.5) for side in (1.0, -1.0)]
    return ring(sides[0], sides[1][::-1])


def _corner(arm: Arm, side: int) -> Array:
    out, left = _frame(arm)
    lateral = arm.half_width_m + arm.strip_m + _WALKWAY_OFFSET_M
    corner: Array = arm.point_m - _CROSSWALK_INSIDE_M * out + (lateral if side == 0 else -lateral) * left
    return corner


def _street_footways(town: Town, street: Street) -> list[Footway]:
    start, end = (town.arms[index] for index in street.arms)
    heading = street_headings(street)
    lateral = street.lanes * 3.5 + street.strip_m + _WALKWAY_OFFSET_M
    ways = []
    for side, sign in ((0, 1.0), (1, -1.0)):
        line = resample(offset(street.line_m, heading, sign * lateral), _WALKWAY_SPACING_M)
        line = np.concatenate((_corner(start, side)[None], line, _corner(end, 1 - side)[None]))
        ways.append(Footway((2 * start.index + side, 2 * end.index + 1 - side), line, WALK, -1))
    return ways


def _corner_footways(town: Town, arms: tuple[int, ...]) -> list[Footway]:
    ways = []
    for here, following in zip(arms, (*arms[1:], arms[0]), strict=True):
        arm, other = town.arms[here], town.arms[following]
        line = np.stack((_corner(arm, 0), _corner(other, 1)))
        ways.append(Footway((2 * here, 2 * following + 1), line, LINK, -1))
        crossing = np.stack((_corner(arm, 0), _corner(arm, 1)))
        ways.append(Footway((2 * here, 2 * here + 1), crossing, CROSSING, here))
    return ways


def _widened(line: Array) -> Array:
    heading = headings(line)
    left, right = (offset(line, heading, side * _WALKWAY_HALF_M) for side in (1.0, -1.0))
    return ring(left, right[::-1])


def _strips(street: Street) -> list[Strip]:
    line, heading = street.line_m, street_headings(street)
    strips = []
    half = street.lanes * 3.5
    for _ in range(2):
        sides = [resample(offset(line, heading, -half - across), _STRIP_SPACING_M) for across in (0.0, street.strip_m)]
        middle = offset(line, heading, -half - street.strip_m / 2)
        step = round(_SLOT_M / 0.25)
        first = round(_STRIP_END_M / 0.25)
        chosen = slice(first, len(line) - first, step)
        places = np.column_stack((middle[chosen], heading[chosen]))
        strips.append(Strip(ring(sides[0], sides[1][::-1]), places, street.index))
        line, heading = line[::-1], heading[::-1] + math.pi
    return strips


def _car_parks(town: Town, rng: np.random.Generator) -> list[CarPark]:
    along, up = unit(TOWN_TURN_RAD), unit(TOWN_TURN_RAD + math.pi / 2)
    vertices = np.concatenate([street.line_m[::4] for street in town.streets])
    edges = np.concatenate([np.full(len(street.line_m[::4]), street.lanes * 3.5) for street in town.streets])
    chosen = rng.random(len(town.blocks_m)) < _PARK_SHARE
    chosen[len(chosen) // 2] = True
    parks = []
    for centre in town.blocks_m[chosen]:
        relative = vertices - centre
        below = np.flatnonzero((np.abs(relative @ along) < 1.0) & (relative @ up < 0))
        if not len(below):
            continue
        nearest = below[np.argmax(relative[below] @ up)]
        depth = -(relative[nearest] @ up) - edges[nearest]
        outline = _rectangle(centre, along, up, _PARK_HALF_M)
        half = (depth - _PARK_HALF_M[1]) / 2
        driveway = _rectangle(centre - (_PARK_HALF_M[1] + half) * up, along, up, (_DRIVEWAY_HALF_M, half))
        parks.append(CarPark(outline, driveway, _slots(centre, along, up)))
    return parks


def _slots(centre: Array, along: Array, up: Array) -> Array:
    rows = []
    for side in (-1.0, 1.0):
        for column in range(_SLOTS_ACROSS):
            lateral = (column - (_SLOTS_ACROSS - 1) / 2) * _SLOT_WIDTH_M
            if side < 0 and abs(lateral) < _DRIVEWAY_HALF_M + _SLOT_WIDTH_M / 2:
                continue
            heading = TOWN_TURN_RAD - side * math.pi / 2
            rows.append([*(centre + lateral * along + side * _ROW_M * up), heading])
    return np.array(rows)
