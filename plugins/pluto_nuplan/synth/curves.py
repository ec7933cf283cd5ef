"""Plane curves as polylines: Bezier curves, arcs, offsets and resampling.

A polyline is a float64 array of shape (N, 2) in metres; headings are in radians, counter-clockwise from east.
"""

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SPACING_M = 0.25
_DENSE = 129
_CIRCLE_HANDLE = 4.0 / 3.0
_NEARLY_STRAIGHT_RAD = 0.35


def unit(heading_rad: float) -> Array:
    """The unit vector of a heading, shape (2,)."""
    return np.array([math.cos(heading_rad), math.sin(heading_rad)])


def wrap(angle_rad: float) -> float:
    """An angle brought into [-pi, pi)."""
    return (angle_rad + math.pi) % (2 * math.pi) - math.pi


def lengths(line: Array) -> Array:
    """Arc length of every vertex from the first one, shape (N,)."""
    steps = np.hypot(*np.diff(line, axis=0).T)
    return np.concatenate(([0.0], np.cumsum(steps)))


def headings(line: Array) -> Array:
    """Tangent heading at every vertex, unwrapped, second order at the ends, shape (N,)."""
    slope = np.gradient(line, axis=0, edge_order=2 if len(line) > 2 else 1)  # noqa: PLR2004  (three points needed)
    return np.unwrap(np.arctan2(slope[:, 1], slope[:, 0]))


def resample(line: Array, spacing_m: float = SPACING_M) -> Array:
    """The same curve with vertices at equal arc lengths of about `spacing_m`; both ends are kept exactly."""
    along = lengths(line)
    count = max(2, round(along[-1] / spacing_m) + 1)
    targets = np.linspace(0.0, along[-1], count)
    return np.stack((np.interp(targets, along, line[:, 0]), np.interp(targets, along, line[:, 1])), axis=1)


def offset(line: Array, heading_rad: Array, distance_m: float) -> Array:
    """The line moved to its left by `distance_m` (to its right where negative), vertex by vertex."""
    moved: Array = line + distance_m * np.stack((-np.sin(heading_rad), np.cos(heading_rad)), axis=1)
    return moved


def bezier(start: Array, start_rad: float, end: Array, end_rad: float) -> Array:
    """A smooth curve between two poses: near a circular arc for turns, near a line where both head the same way.

    Cubic Bezier curve; the handles are 4/3 tan(turn/4) of the radius, which makes the arc of a circle where one fits.
    """
    turn = wrap(end_rad - start_rad)
    chord = end - start
    if abs(turn) < _NEARLY_STRAIGHT_RAD:
        handles = np.full(2, np.hypot(*chord) / 3)
    else:
        reach = np.linalg.solve(np.stack((unit(start_rad), unit(end_rad)), axis=1), chord)
        handles = reach * _CIRCLE_HANDLE * math.tan(abs(turn) / 4) / math.tan(abs(turn) / 2)
    t = np.linspace(0.0, 1.0, _DENSE)[:, None]
    first, second = start + handles[0] * unit(start_rad), end - handles[1] * unit(end_rad)
    curve: Array = (1 - t) ** 3 * start + 3 * (1 - t) ** 2 * t * first + 3 * (1 - t) * t**2 * second + t**3 * end
    return curve


def bump(start: Array, start_rad: float, end: Array, end_rad: float, height_m: float) -> Array:
    """A curve between two poses that swings out to its left by about `height_m` in the middle."""
    base = resample(bezier(start, start_rad, end, end_rad), SPACING_M)
    along = lengths(base)
    swing = height_m * np.sin(np.pi * along / along[-1]) ** 2
    heading = headings(base)
    curve: Array = base + swing[:, None] * np.stack((-np.sin(heading), np.cos(heading)), axis=1)
    return curve


def rounded_corner(start: Array, corner: Array, end: Array, radius_m: float) -> Array:
    """Two straights joined at `corner` by the arc of a circle that is tangent to both."""
    into, out = corner - start, end - corner
    into, out = into / np.hypot(*into), out / np.hypot(*out)
    turn = math.atan2(into[0] * out[1] - into[1] * out[0], into @ out)
    cut = radius_m * math.tan(abs(turn) / 2)
    angles = np.linspace(0.0, turn, max(9, round(abs(turn) * radius_m / SPACING_M)))
    side = math.copysign(1.0, turn)
    centre = corner - cut * into + side * radius_m * np.array([-into[1], into[0]])
    heading = math.atan2(into[1], into[0]) + angles - side * math.pi / 2
    arc = centre + radius_m * np.stack((np.cos(heading), np.sin(heading)), axis=1)
    return np.concatenate((_straight(start, arc[0])[:-1], arc, _straight(arc[-1], end)[1:]))


def _straight(start: Array, end: Array) -> Array:
    count = max(2, round(float(np.hypot(*(end - start))) / SPACING_M))
    return start + np.linspace(0.0, 1.0, count + 1)[:, None] * (end - start)


def ring(*lines: Array) -> Array:
    """A closed outline that runs along the given lines one after the other, shape (N, 2), first vertex repeated."""
    outline = np.concatenate(lines)
    return np.concatenate((outline, outline[:1]))
