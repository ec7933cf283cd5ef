"""Breadth-first search over roadblocks."""

from collections.abc import Callable

from pluto_planner.features.map_geometry import MapGeometry

Search = Callable[..., list[int]]


def search(*, parity: bool) -> Search:
    """Return `shortest`, or the search that finds the reference's path where several are equally short."""
    return reference_path if parity else shortest


def shortest(ground: MapGeometry, start: int, targets: frozenset[int], max_depth: int, *, forward: bool) -> list[int]:
    """Return the blocks from `start` to the nearest target in driving order, both included; empty where there is none.

    Args:
        ground: The map.
        start: Row of the block to begin with.
        targets: Rows to look for.
        max_depth: Most blocks on the path.
        forward: Search along the driving direction, else against it (the path then leads from the target to `start`).
    """
    parent = {start: start}
    level = [start]
    for _ in range(max_depth):
        following: list[int] = []
        for block in level:
            if block in targets:
                return _walk_back(parent, start, block, forward=forward)
            for child in ground.block_neighbours(block, forward=forward):
                if child not in parent:
                    parent[child] = block
                    following.append(child)
        level = following
    return []


def reference_path(ground: MapGeometry, start: int, targets: frozenset[int], max_depth: int, *, forward: bool) -> list[int]:
    """Return the path that the reference's search without a visited set ends with (D-10); arguments as for `shortest`.

    Its levels hold duplicates: the goal test meets a block by its first occurrence on a level, while its parent is the
    one whose last occurrence on the level before comes latest. So every level is kept in both orders.
    """
    parent: dict[int, int] = {start: start}
    by_first, by_last = [start], [start]
    for _ in range(max_depth):
        for block in by_first:
            if block in targets:
                return _walk_back(parent, start, block, forward=forward)
        reached: dict[int, None] = {}
        for block in by_first:
            reached |= dict.fromkeys(c for c in ground.block_neighbours(block, forward=forward) if c not in parent)
        latest: dict[int, int] = {}
        for block in by_last:
            for child in ground.block_neighbours(block, forward=forward):
                if child in reached:
                    latest.pop(child, None)
                    latest[child] = block
        parent |= latest
        by_first, by_last = list(reached), list(latest)
    return []


def _walk_back(parent: dict[int, int], start: int, goal: int, *, forward: bool) -> list[int]:
    path = [goal]
    while path[-1] != start:
        path.append(parent[path[-1]])
    return path[::-1] if forward else path
