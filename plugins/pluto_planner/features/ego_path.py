"""The lanes that the ego vehicle will follow along its route, and the path through them.

Spec: pluto-features section 8.4.
"""

import heapq

import attrs
import numpy as np
import numpy.typing as npt
import shapely

from pluto_planner.features.drivable import Drivable
from pluto_planner.features.ego import Present
from pluto_planner.features.map_geometry import MapGeometry
from pluto_planner.features.paths import Path, Piece, lane_poses, nearest_vertex, turn_between
from pluto_planner.features.route import Route

Ints = npt.NDArray[np.int64]

WINDOW_BLOCKS = 15
AHEAD_M = 50.0


def ahead(ground: MapGeometry, route: Route, drivable: Drivable, now: Present, *, parity: bool) -> tuple[Piece | None, float]:
    """Return the next 50 m along the route and the ego vehicle's progress; no piece where the route has no lanes (D-12)."""
    start = starting_lane(ground, route, drivable, now)
    if start < 0:
        return None, 0.0
    path = Path.along(lane_poses(ground.view, lane_plan(ground, route, start)), keep_last=not parity)
    if path.empty:
        return None, 0.0
    progress = float(path.project(now.center[None])[0][0])
    return path.cut(progress, progress + AHEAD_M), progress


def starting_lane(ground: MapGeometry, route: Route, drivable: Drivable, now: Present) -> int:
    """Return the route's lane that the ego vehicle is on, or the nearest one; -1 where the route has no lanes."""
    if not route.lanes:
        return -1
    candidates = np.array([row for row in drivable.lanes.tolist() if row in route.lane_set], np.int64)
    under = candidates[ground.lanes.touching(np.array([shapely.Point(now.position)]), candidates)[0]].tolist()
    if under:
        return min(
            (int(row) for row in under),
            key=lambda row: turn_between(nearest_vertex(ground.view, row, now.position)[1], now.heading),
        )
    rows = np.array(route.lanes, np.int64)
    containing = shapely.contains_xy(ground.lanes[rows], *now.center)
    if containing.any():
        return int(rows[np.argmax(containing)])
    return int(rows[np.argmin(shapely.distance(ground.lanes[rows], now.footprint))])


@attrs.define
class _Reached:
    """A lane that the search has seen."""

    order: int
    """How many lanes were seen before it."""
    distance_m: float
    depth: int
    parent: int
    closed: bool = False


def lane_plan(ground: MapGeometry, route: Route, start: int) -> list[int]:
    """Return the lanes of the shortest way from `start` to the end of the next 15 blocks of the route.

    Dijkstra over the route's lanes; an edge costs the length of the lane it enters. Where the end cannot be reached, the
    way that leads through the most lanes, and of these the shortest.
    """
    view = ground.view
    first = route.place.get(int(view.lanes.block[start]), 0)
    target = route.blocks[min(first + WINDOW_BLOCKS, len(route.blocks)) - 1]
    seen = {start: _Reached(order=0, distance_m=0.0, depth=0, parent=-1)}
    expanded: list[int] = []
    queue = [(0.0, 0, start)]
    while queue:
        distance, _, lane = heapq.heappop(queue)
        here = seen[lane]
        if here.closed or distance > here.distance_m:
            continue
        if view.lanes.block[lane] == target:
            return _walk_back(seen, lane)
        here.closed = True
        expanded.append(lane)
        for following in ground.lane_successors(lane):
            if following in route.lane_set:
                _relax(ground, seen, queue, lane, following)
    deepest = max(seen[lane].depth for lane in expanded)
    return _walk_back(seen, min((n for n in expanded if seen[n].depth == deepest), key=lambda n: seen[n].distance_m))


def _relax(
    ground: MapGeometry, seen: dict[int, _Reached], queue: list[tuple[float, int, int]], lane: int, following: int
) -> None:
    distance = seen[lane].distance_m + float(ground.view.lanes.baselines.lengths_m[following])
    known = seen.get(following)
    if known is not None and (known.closed or distance >= known.distance_m):
        return
    order = len(seen) if known is None else known.order
    seen[following] = _Reached(order=order, distance_m=distance, depth=seen[lane].depth + 1, parent=lane)
    heapq.heappush(queue, (distance, order, following))


def _walk_back(seen: dict[int, _Reached], lane: int) -> list[int]:
    path = [lane]
    while (parent := seen[path[-1]].parent) >= 0:
        path.append(parent)
    return path[::-1]
