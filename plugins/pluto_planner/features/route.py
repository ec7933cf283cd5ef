"""The route as the reference corrects it: joined to where the ego vehicle is, gaps closed, loops cut off.

Spec: pluto-features section 8.3 (the reference's `route_roadblock_correction`). Blocks are rows of `MapView.blocks`.
"""

from collections.abc import Collection
from itertools import pairwise

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.maps import BLOCK_LAYERS, MapView
from pluto_planner.features import roadblock_search
from pluto_planner.features.ego import Present
from pluto_planner.features.map_geometry import MapGeometry
from pluto_planner.features.paths import nearest_vertex, turn_between

Ints = npt.NDArray[np.int64]

START_REACH_M = 2.5
ALIGNED_RAD = np.pi / 4
ALIGNED_M = 3.0
BACKWARD_DEPTH = 15
FORWARD_DEPTH = 30
ENTRY_BLOCKS = 3
"""How many blocks at the route's start count as reaching it."""
LOOP_OVERLAP_M2 = 1.0


@attrs.frozen(kw_only=True, eq=False)
class Route:
    """The blocks to drive along, and their lanes."""

    blocks: tuple[int, ...]
    """Rows of blocks in driving order, each once."""
    lanes: tuple[int, ...]
    """Rows of their lanes, block by block."""
    place: dict[int, int] = attrs.field(init=False)
    """Position of each block in the route."""
    lane_set: frozenset[int] = attrs.field(init=False)

    @place.default
    def _places(self) -> dict[int, int]:
        return {block: index for index, block in enumerate(self.blocks)}

    @lane_set.default
    def _lane_set(self) -> frozenset[int]:
        return frozenset(self.lanes)


def corrected(ground: MapGeometry, ids: Ints, now: Present, *, parity: bool) -> Route:
    """Return the corrected route; ids that the map does not know are left out (D-9)."""
    blocks = list(dict.fromkeys(known_blocks(ground.view, ids)))
    if blocks:
        start, candidates = _starting_block(ground, blocks, now)
        if start >= 0 and start not in blocks:
            blocks = _joined(ground, blocks, start, candidates, parity=parity)
        blocks = _without_gaps(ground, blocks, parity=parity)
        blocks = _without_loops(ground, blocks)
        blocks = list(dict.fromkeys(blocks))
    lanes = dict.fromkeys(lane for block in blocks for lane in ground.interior(block))
    return Route(blocks=tuple(blocks), lanes=tuple(lanes))


def known_blocks(view: MapView, ids: Ints) -> list[int]:
    """Return the rows of the ids that the map knows: as a roadblock, else as a roadblock connector."""
    found = (next((row for layer in BLOCK_LAYERS if (row := view.row(layer, int(one))) >= 0), -1) for one in ids)
    return [row for row in found if row >= 0]


def _starting_block(ground: MapGeometry, route: list[int], now: Present) -> tuple[int, list[int]]:
    """Return the block the ego vehicle is on (-1: none), and the blocks that would do for joining the route."""
    view = ground.view
    candidates = [int(row) for layer in BLOCK_LAYERS for row in view.near(layer, now.position, START_REACH_M)]
    if not candidates:
        candidates = [row for layer in BLOCK_LAYERS if (row := view.nearest(layer, now.position)[0]) >= 0]
    on_route: list[tuple[float, int]] = []
    off_route: list[tuple[float, int]] = []
    nearest: list[tuple[float, int]] = []
    for block in candidates:
        measured = [nearest_vertex(view, lane, now.position) for lane in ground.interior(block)]
        nearest.append((min((distance for distance, _ in measured), default=np.inf), block))
        aligned = [d for d, heading in measured if turn_between(heading, now.heading) < ALIGNED_RAD and d < ALIGNED_M]
        (on_route if block in route else off_route).extend((distance, block) for distance in aligned)
    chosen = on_route or off_route or nearest
    if not chosen:
        return -1, []
    return min(chosen, key=lambda pair: pair[0])[1], [block for _, block in chosen]


def _joined(ground: MapGeometry, route: list[int], start: int, candidates: Collection[int], *, parity: bool) -> list[int]:
    """Return the route led back to the ego vehicle, or led on from it to the route's first blocks."""
    search = roadblock_search.search(parity=parity)
    back = search(ground, route[0], frozenset(candidates), BACKWARD_DEPTH, forward=False)
    if back:
        return back[:-1] + route
    ahead = search(ground, start, frozenset(route[:ENTRY_BLOCKS]), FORWARD_DEPTH, forward=True)
    if ahead:
        return ahead + route[route.index(ahead[-1]) + 1 :]
    return route


def _without_gaps(ground: MapGeometry, route: list[int], *, parity: bool) -> list[int]:
    """Return the route with the blocks between neighbours that do not touch."""
    search = roadblock_search.search(parity=parity)
    filled = route[:1]
    for before, after in pairwise(route):
        if before not in ground.block_neighbours(after, forward=False):
            filled += search(ground, before, frozenset((after,)), FORWARD_DEPTH, forward=True)[1:-1]
        filled.append(after)
    return filled


def _without_loops(ground: MapGeometry, route: list[int]) -> list[int]:
    """Return the route up to the first connector that overlaps an earlier one."""
    connectors: list[int] = []
    for index, block in enumerate(route):
        if block < ground.view.blocks.block_count:
            continue
        if any(ground.block_overlap_m2(block, earlier) > LOOP_OVERLAP_M2 for earlier in connectors):
            return route[:index]
        connectors.append(block)
    return route
