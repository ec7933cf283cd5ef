"""Route correction: the examples that were run on the reference, and searches on larger graphs."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from pluto_core.maps import MapView
from pluto_planner.features import ego, roadblock_search, route
from pluto_planner.features.map_geometry import MapGeometry


def _chain(world: SimpleNamespace, count: int = 7, *, crossing: bool = False) -> MapView:
    """Return blocks 100, 101, ... of 20 m in a row, odd ones connectors; `crossing`: block 105 lies over 101."""
    lanes = []
    for index in range(count):
        y = 1.0 if crossing and index == 5 else 0.0
        x = 20.0 if crossing and index == 5 else 20.0 * index
        to = (index + 1,) if index + 1 < count else ()
        lane = world.RoadLane(id=index, line=world.straight(x, x + 20, y), block=100 + index, to=to, connector=index % 2 == 1)
        lanes.append(lane)
    return world.make_map(lanes)


def _corrected(world: SimpleNamespace, view: MapView, ids: list[int], x: float, *, parity: bool) -> list[int]:
    scene = world.make_scene(view, ids, ego=world.driving(x=x))
    ground = MapGeometry.of(view)
    way = route.corrected(ground, scene.route, ego.present(scene), parity=parity)
    return [int(view.blocks.ids[row]) - 100 for row in way.blocks]


@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize(
    ("x", "given", "expected"),
    [
        (10.0, [2, 3, 4], [0, 1, 2, 3, 4]),
        (10.0, [0, 4], [0, 1, 2, 3, 4]),
        (10.0, [4, 5, 6], [0, 1, 2, 3, 4, 5, 6]),
        (130.0, [0, 1, 2], [0, 1, 2]),
        (10.0, [0, 77, 1, 1, 2], [0, 1, 2]),
        (10.0, [], []),
    ],
)
def test_the_references_examples(
    world: SimpleNamespace, x: float, given: list[int], expected: list[int], *, parity: bool
) -> None:
    """Routes are led back to the ego vehicle, gaps closed, unknown and repeated ids dropped."""
    ids = [100 + one for one in given]
    assert _corrected(world, _chain(world), ids, x, parity=parity) == expected


def test_loops_are_cut(world: SimpleNamespace) -> None:
    """A connector that overlaps an earlier one by more than 1 m^2 ends the route."""
    given = [100 + one for one in range(7)]
    assert _corrected(world, _chain(world, crossing=True), given, 10.0, parity=False) == [0, 1, 2, 3, 4]


def test_route_begins_ahead(world: SimpleNamespace) -> None:
    """Where the route cannot be reached backwards within 15 blocks, it is reached forwards (fix 1b)."""
    view = _chain(world, 25)
    found = _corrected(world, view, [122, 123, 124], 10.0, parity=False)
    assert found == list(range(25))


def _grid(world: SimpleNamespace, size: int) -> MapView:
    """Return blocks that each lead on to two others, as streets of Manhattan do."""
    number = {(i, j): 1000 + i * size + j for i in range(size) for j in range(size)}
    lanes = []
    for (i, j), identity in number.items():
        to = tuple(number[n] for n in ((i + 1, j), (i, j + 1)) if n in number)
        lanes.append(world.RoadLane(id=identity, line=world.straight(30.0 * i, 30.0 * i + 20, 30.0 * j), block=identity, to=to))
    return world.make_map(lanes)


def test_search_is_not_exponential(world: SimpleNamespace) -> None:
    """An unreachable target on a grid of 20 x 20 blocks is given up at once (D-10)."""
    ground = MapGeometry.of(_grid(world, 20))
    began = time.perf_counter()
    for search in (roadblock_search.shortest, roadblock_search.reference_path):
        assert search(ground, 0, frozenset([-5]), 30, forward=True) == []
    assert time.perf_counter() - began < 5.0


def _naive(children: dict[int, list[int]], start: int, targets: frozenset[int], max_depth: int) -> list[int]:
    """Return the path of the search as the spec words it: no visited set, parents by (block, depth), the last writer wins."""
    parent: dict[tuple[int, int], tuple[int, int] | None] = {(start, 1): None}
    queue = [(start, 1)]
    while queue:
        block, depth = queue.pop(0)
        if depth > max_depth:
            return []
        if block in targets:
            path, here = [], (block, depth)
            while here is not None:
                path.append(here[0])
                here = parent[here]
            return path[::-1]
        for child in children[block]:
            parent[child, depth + 1] = (block, depth)
            queue.append((child, depth + 1))
    return []


def test_reference_search_is_the_naive_one() -> None:
    """On random graphs the search in two orders finds the very path that the one without a visited set does."""
    rng = np.random.default_rng(5)
    for _ in range(400):
        size = int(rng.integers(4, 9))
        children = {row: rng.permutation(size)[: rng.integers(0, 4)].tolist() for row in range(size)}
        ground = SimpleNamespace(block_neighbours=lambda row, forward, graph=children: graph[row])
        targets = frozenset([int(rng.integers(0, size))])
        found = roadblock_search.reference_path(ground, 0, targets, 6, forward=True)
        assert found == _naive(children, 0, targets, 6)
        assert len(roadblock_search.shortest(ground, 0, targets, 6, forward=True)) == len(found)
