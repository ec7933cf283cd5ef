"""People on foot and things that stand about: pedestrians on walkways and crosswalks, parked cars, cones, barriers."""

import attrs
import numpy as np

from pluto_nuplan.synth.curves import Array, lengths, unit
from pluto_nuplan.synth.roads import Ints
from pluto_nuplan.synth.signals import Signals
from pluto_nuplan.synth.surroundings import CROSSING, LINK, WALK, Surroundings

_SPEED_MPS = (0.9, 1.6)
_ASIDE_M = (0.05, 0.65)
_WALK_SPARE_S = 1.5
_HALF_SPARE_M = 0.8
_CHOICE = {WALK: 0.35, LINK: 0.35, CROSSING: 0.3}

_KERB_SHARE = 0.3
_SLOT_SHARE = 0.6
_ZONE_SHARE = 0.16
_ZONE_M = 24.0
_CONE_STEP_M = 3.5
_BIN_STEP_M = 45.0
_BIN_ASIDE_M = 1.5


@attrs.frozen(eq=False)
class Things:
    """Objects that do not move: category name, pose (x, y, heading) and size (width, length, height) in m, one a row."""

    category: tuple[str, ...]
    pose: Array
    size_m: Array


class Pedestrians:
    """People who walk along the footways of a town and cross its streets while they may."""

    def __init__(
        self,
        surroundings: Surroundings,
        signals: Signals,
        near_m: tuple[Array, float],
        spacing_m: float,
        rng: np.random.Generator,
    ) -> None:
        """Put people on the walkways.

        Args:
            surroundings: The network of footways.
            signals: Tell when people may cross.
            near_m: Centre (2,) and half side of the square in which they are put.
            spacing_m: Mean distance of people along a walkway.
            rng: Draws people and their ways.
        """
        self._ways = surroundings.footways
        self._signals = signals
        self._rng = rng
        self._along = [lengths(way.line_m) for way in self._ways]
        self._at_corner: dict[int, list[int]] = {}
        for index, way in enumerate(self._ways):
            for corner in way.corners:
                self._at_corner.setdefault(corner, []).append(index)
        self._way = self._draw_ways(near_m, spacing_m)
        count = len(self._way)
        self._forward = rng.random(count) < 0.5  # noqa: PLR2004  (either way alike)
        self._done_m = np.array([rng.uniform(0.0, self._along[way][-1]) for way in self._way])
        self._waits_for = np.full(count, -1)
        self.speed_mps = rng.uniform(*_SPEED_MPS, count)
        self.aside_m = -rng.uniform(*_ASIDE_M, count)
        self.size_m = np.column_stack(
            (rng.uniform(0.55, 0.8, count), rng.uniform(0.55, 0.8, count), rng.uniform(1.5, 1.9, count))
        )

    def _draw_ways(self, near_m: tuple[Array, float], spacing_m: float) -> Ints:
        centre, half = near_m
        drawn: list[int] = []
        for index, way in enumerate(self._ways):
            middle = way.line_m.mean(axis=0)
            if way.kind == WALK and np.abs(middle - centre).max() < half:
                drawn += [index] * int(self._rng.poisson(self._along[index][-1] / spacing_m))
        return np.array(drawn, np.int64)

    def walked_halves(self) -> set[int]:
        """Halves of crosswalks that somebody walks on or will: 2 * arm + 0 over lanes into the junction, 1 out of it.

        The lanes into a junction are on the left, seen from there, which is where the line of a crossing begins.
        """
        halves: set[int] = set()
        for index, way in enumerate(self._way):
            if self._ways[way].kind != CROSSING:
                continue
            arm = self._ways[way].arm
            last = 2 * arm + int(self._forward[index])
            halves.add(last)
            if self._done_m[index] < self._along[way][-1] / 2 + _HALF_SPARE_M:
                halves.add(4 * arm + 1 - last)
        return halves

    def step(self, step_s: float, time_s: float, arms_in_use: set[int]) -> Array:
        """Walk on by one step and return positions (N, 2) before it; nobody steps onto the crosswalk of `arms_in_use`."""
        before = self.positions()
        going = self._waits_for < 0
        self._done_m += np.where(going, self.speed_mps * step_s, 0.0)
        for index in range(len(self._way)):
            if self._waits_for[index] >= 0:
                self._try_to_cross(index, time_s, arms_in_use)
            elif self._done_m[index] >= self._along[self._way[index]][-1]:
                self._arrive(index)
        return before

    def positions(self) -> Array:
        """Where everybody is, shape (N, 2), m."""
        out = np.empty((len(self._way), 2))
        for index, way in enumerate(self._way):
            along, line = self._along[way], self._ways[way].line_m
            place = self._done_m[index] if self._forward[index] else along[-1] - self._done_m[index]
            cell = min(int(np.searchsorted(along, place, side="right")) - 1, len(line) - 2)
            cell = max(cell, 0)
            step = line[cell + 1] - line[cell]
            share = (place - along[cell]) / (along[cell + 1] - along[cell])
            across = np.array([-step[1], step[0]]) / (along[cell + 1] - along[cell]) * (1 if self._forward[index] else -1)
            out[index] = line[cell] + share * step + self.aside_m[index] * across
        return out

    def _arrive(self, index: int) -> None:
        """Choose the next way at a corner."""
        here = int(self._way[index])
        corner = self._ways[here].corners[1 if self._forward[index] else 0]
        options = [way for way in self._at_corner[corner] if way != here]
        weights = np.array([_CHOICE[self._ways[way].kind] for way in options])
        chosen = options[int(self._rng.choice(len(options), p=weights / weights.sum()))]
        if self._ways[chosen].kind == CROSSING:
            self._done_m[index] = self._along[here][-1]
            self._waits_for[index] = chosen
        else:
            self._enter(index, chosen, corner)

    def _enter(self, index: int, way: int, corner: int) -> None:
        forward = self._ways[way].corners[0] == corner
        self._way[index], self._forward[index], self._done_m[index] = way, forward, 0.0

    def _try_to_cross(self, index: int, time_s: float, arms_in_use: set[int]) -> None:
        way = int(self._waits_for[index])
        arm = self._ways[way].arm
        needed = self._along[way][-1] / self.speed_mps[index] + _WALK_SPARE_S
        if arm in arms_in_use or self._signals.seconds_of_walk(arm, time_s) < needed:
            return
        here = self._way[index]
        self._enter(index, way, self._ways[here].corners[1 if self._forward[index] else 0])
        self._waits_for[index] = -1


def place_things(surroundings: Surroundings, near_m: tuple[Array, float], density: float, rng: np.random.Generator) -> Things:
    """Park cars in car parks and at kerbs, set up work zones, and put things on walkways, in the square `near_m`."""
    rows: list[tuple[str, Array, tuple[float, float, float]]] = []
    for park in surroundings.car_parks:
        taken = park.slots[rng.random(len(park.slots)) < min(_SLOT_SHARE * density, 0.95)]
        rows += [("vehicle", slot + rng.normal(0.0, (0.08, 0.08, 0.02)), _car_size(rng)) for slot in taken]
    for strip in surroundings.strips:
        places = strip.places
        if rng.random() < _ZONE_SHARE * min(density, 2.0) and len(places) > 6:  # noqa: PLR2004  (a zone takes five)
            rows += _work_zone(places[1], rng)
            places = places[1 + round(_ZONE_M / 6.0) + 1 :]
        taken = places[rng.random(len(places)) < min(_KERB_SHARE * density, 0.9)]
        rows += [("vehicle", place + rng.normal(0.0, (0.05, 0.05, 0.01)), _car_size(rng)) for place in taken]
    rows += _bins(surroundings, density, rng)
    centre, half = near_m
    rows = [row for row in rows if np.abs(row[1][:2] - centre).max() < half]
    return Things(
        category=tuple(row[0] for row in rows),
        pose=np.array([row[1] for row in rows]).reshape(-1, 3),
        size_m=np.array([row[2] for row in rows]).reshape(-1, 3),
    )


def _car_size(rng: np.random.Generator) -> tuple[float, float, float]:
    return float(rng.uniform(1.75, 2.0)), float(rng.uniform(4.1, 5.0)), float(rng.uniform(1.4, 1.9))


def _work_zone(start: Array, rng: np.random.Generator) -> list[tuple[str, Array, tuple[float, float, float]]]:
    """Cones along a parking strip, a barrier at either end and a sign before it."""
    along, left = unit(start[2]), unit(start[2] + np.pi / 2)
    rows: list[tuple[str, Array, tuple[float, float, float]]] = []
    for step in np.arange(0.0, _ZONE_M + 0.1, _CONE_STEP_M):
        place = start[:2] + step * along + (0.85 + rng.normal(0.0, 0.05)) * left
        rows.append(("traffic_cone", np.array([*place, start[2]]), (0.35, 0.35, 0.7)))
    for step in (1.2, _ZONE_M - 1.2):
        place = start[:2] + step * along - 0.1 * left
        rows.append(("barrier", np.array([*place, start[2] + np.pi / 2]), (0.45, 1.6, 1.0)))
    sign = start[:2] - 2.5 * along
    rows.append(("czone_sign", np.array([*sign, start[2]]), (0.7, 0.25, 1.6)))
    return rows


def _bins(
    surroundings: Surroundings, density: float, rng: np.random.Generator
) -> list[tuple[str, Array, tuple[float, float, float]]]:
    rows: list[tuple[str, Array, tuple[float, float, float]]] = []
    for way in surroundings.footways:
        if way.kind != WALK:
            continue
        for index in np.flatnonzero(rng.random(len(way.line_m) - 2) < 2.0 * density / _BIN_STEP_M) + 1:
            step = way.line_m[index + 1] - way.line_m[index - 1]
            heading = float(np.arctan2(step[1], step[0]))
            outward = _BIN_ASIDE_M if way.corners[0] % 2 == 0 else -_BIN_ASIDE_M
            place = way.line_m[index] + outward * unit(heading + np.pi / 2)
            size = (float(rng.uniform(0.4, 0.8)), float(rng.uniform(0.4, 0.9)), float(rng.uniform(0.8, 1.4)))
            rows.append(("generic_object", np.array([*place, heading]), size))
    return rows
