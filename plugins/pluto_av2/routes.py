"""The route of a recording: the blocks that the car drives through, and what lies straight ahead of them."""

import itertools

import numpy as np
import numpy.typing as npt

from pluto_core.geometry import wrap
from pluto_core.maps import LANE_LAYERS, MapView

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_MAX_TURN_RAD = np.pi / 3
_COST_NEXT = 0.1
_COST_BESIDE = 0.5
_COST_JUMP = 5.0


def driven_route(view: MapView, position: Floats, heading: Floats, lookahead_m: float) -> Ints:
    """Return the ids of the blocks that a car drives through, in driving order.

    Lanes overlap inside junctions, so the whole drive decides: the sequence of lanes is the cheapest one, where staying on a
    lane is free, going on to a successor or beside costs little, and anything else costs much (Viterbi 1967).

    Args:
        view: The map.
        position: (F, 2) of the car, m.
        heading: (F,) rad.
        lookahead_m: How far the route goes on behind the last position, along the straightest successors.
    """
    lanes = _lane_sequence(view, position, heading)
    blocks = list(dict.fromkeys(int(view.lanes.block[lane]) for lane in lanes))
    if lanes:
        blocks += [block for block in _ahead(view, lanes[-1], position[-1], lookahead_m) if block not in blocks]
    return view.blocks.ids[np.asarray(blocks, np.int64)] if blocks else np.zeros(0, np.int64)


def _candidates(view: MapView, position: Floats, heading: Floats) -> list[tuple[Ints, Floats]]:
    """Return for each frame the lanes below the car that lead its way, and how far each is from its heading."""
    found: list[list[tuple[int, float]]] = [[] for _ in position]
    headings = view.lanes.baselines.headings
    for layer in LANE_LAYERS:
        for frame, lane in zip(*view.containing(layer, position), strict=True):
            span = slice(view.lanes.baselines.offsets[lane], view.lanes.baselines.offsets[lane + 1])
            nearest = np.argmin(((view.lanes.baselines.points[span] - position[frame]) ** 2).sum(axis=1))
            turn = abs(float(wrap(np.asarray(headings[span][nearest] - heading[frame]))))
            if turn < _MAX_TURN_RAD:
                found[frame].append((int(lane), turn))
    return [
        (np.asarray([lane for lane, _ in row], np.int64), np.asarray([turn for _, turn in row], np.float64)) for row in found
    ]


def _lane_sequence(view: MapView, position: Floats, heading: Floats) -> list[int]:
    frames = [frame for frame in _candidates(view, position, heading) if len(frame[0])]
    if not frames:
        return []
    cost = frames[0][1]
    parents: list[Ints] = []
    for (before, _), (after, turn) in itertools.pairwise(frames):
        step = np.asarray([[_step_cost(view, int(a), int(b)) for a in before] for b in after])
        total = cost[None] + step
        parents.append(total.argmin(axis=1))
        cost = total.min(axis=1) + turn
    best = int(cost.argmin())
    sequence = [int(frames[-1][0][best])]
    for parent, (before, _) in zip(reversed(parents), reversed(frames[:-1]), strict=True):
        best = int(parent[best])
        sequence.append(int(before[best]))
    return sequence[::-1]


def _step_cost(view: MapView, before: int, after: int) -> float:
    if before == after:
        return 0.0
    if after in view.lanes.successors.row(before):
        return _COST_NEXT
    return _COST_BESIDE if view.lanes.block[before] == view.lanes.block[after] else _COST_JUMP


def _ahead(view: MapView, lane: int, position: Floats, lookahead_m: float) -> list[int]:
    """Return the blocks behind a lane, along the straightest successors, until `lookahead_m` is covered."""
    line = view.lanes.baselines.line(lane)
    nearest = int(np.argmin(((line - position) ** 2).sum(axis=1)))
    arc = view.lanes.baselines.arc_m[view.lanes.baselines.offsets[lane] + nearest]
    covered, blocks, seen = float(view.lanes.baselines.lengths_m[lane] - arc), [], {lane}
    while covered < lookahead_m:
        following = [int(other) for other in view.lanes.successors.row(lane) if int(other) not in seen]
        if not following:
            break
        lane = min(following, key=lambda other: _bend(view, other))
        seen.add(lane)
        blocks.append(int(view.lanes.block[lane]))
        covered += float(view.lanes.baselines.lengths_m[lane])
    return blocks


def _bend(view: MapView, lane: int) -> float:
    first, last = view.lanes.baselines.offsets[lane], view.lanes.baselines.offsets[lane + 1] - 1
    headings = view.lanes.baselines.headings
    return abs(float(wrap(np.asarray(headings[last] - headings[first]))))
