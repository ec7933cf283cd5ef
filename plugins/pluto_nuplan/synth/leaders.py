"""Who is ahead of whom: the gap to the next vehicle on the way of every vehicle."""

import attrs
import numpy as np
import numpy.typing as npt

from pluto_nuplan.synth.curves import Array
from pluto_nuplan.synth.drivers import Fleet
from pluto_nuplan.synth.roads import Ints, Roads

NOBODY = -1
FREE_M = 1e4


@attrs.frozen(eq=False)
class Rows:
    """Vehicles as obstacles: a vehicle has a row on its own edge and one on each other edge that it takes room on.

    Attributes:
        owner: Index of the vehicle.
        edge, along_m: The edge and where on it the reference point is.
        follows: Whether the vehicle must also keep its distance there.
        own: Whether this is the vehicle's own edge.
    """

    owner: Ints
    edge: Ints
    along_m: Array
    follows: npt.NDArray[np.bool_]
    own: npt.NDArray[np.bool_]


@attrs.frozen(eq=False)
class Ahead:
    """The nearest vehicle ahead of each vehicle: gap between bumpers, its speed, and its index in the same lane."""

    gap_m: Array
    speed_mps: Array
    same_lane: Ints


def make_rows(roads: Roads, fleet: Fleet, edge: Ints, along_m: Array, ghosts: tuple[Ints, Ints, Array]) -> Rows:
    """Rows of all vehicles, of those who change lanes (`ghosts`: owner, old lane, place) and of parting connectors."""
    count = len(edge)
    parting: list[tuple[int, int, float]] = []
    for index in np.flatnonzero(edge >= roads.lane_count):
        rear = along_m[index] - fleet.rear_m[index]
        parting.extend((int(index), other, float(along_m[index])) for other, part in roads.siblings[edge[index]] if rear < part)
    owners, edges, places = zip(*parting, strict=True) if parting else ((), (), ())
    changing = len(ghosts[0])
    return Rows(
        owner=np.concatenate((np.arange(count), ghosts[0], np.array(owners, np.int64))),
        edge=np.concatenate((edge, ghosts[1], np.array(edges, np.int64))),
        along_m=np.concatenate((along_m, ghosts[2], np.array(places, np.float64))),
        follows=np.arange(count + changing + len(parting)) < count + changing,
        own=np.arange(count + changing + len(parting)) < count,
    )


def find_ahead(roads: Roads, fleet: Fleet, rows: Rows, path: tuple[Ints, Ints], speed_mps: Array) -> Ahead:
    """The nearest vehicle ahead of each, on its own edge or the two edges of its `path` after that."""
    order = np.lexsort((rows.along_m, rows.edge))
    edge, along, owner = rows.edge[order], rows.along_m[order], rows.owner[order]
    rear = along - fleet.rear_m[owner]
    front = along + fleet.front_m[owner]
    gap = np.full(len(order), FREE_M)
    leader = np.full(len(order), NOBODY)
    same = np.flatnonzero(edge[1:] == edge[:-1])
    gap[same] = rear[same + 1] - front[same]
    leader[same] = owner[same + 1]
    same_lane = np.full(len(speed_mps), NOBODY)
    inside = same[rows.own[order][same]]
    same_lane[owner[inside]] = leader[inside]

    distance = roads.length_m[edge] - front
    for step in path:
        open_end = np.flatnonzero((leader == NOBODY) & rows.own[order])
        following = step[owner[open_end]]
        first = np.minimum(np.searchsorted(edge, following), len(edge) - 1)
        found = edge[first] == following
        place = open_end[found]
        gap[place] = distance[place] + rear[first[found]]
        leader[place] = owner[first[found]]
        distance[open_end] += roads.length_m[following]
    return _nearest(rows, order, gap, leader, speed_mps, same_lane)


def _nearest(rows: Rows, order: Ints, gap: Array, leader: Ints, speed_mps: Array, same_lane: Ints) -> Ahead:
    """Of a vehicle's rows the one with the least gap."""
    owner = rows.owner[order]
    least = np.full(len(speed_mps), FREE_M)
    ahead_speed = np.zeros(len(speed_mps))
    real = np.flatnonzero(rows.follows[order] & (leader != NOBODY))
    real = real[np.argsort(-gap[real], kind="stable")]
    least[owner[real]] = gap[real]
    ahead_speed[owner[real]] = speed_mps[leader[real]]
    return Ahead(gap_m=least, speed_mps=ahead_speed, same_lane=same_lane)
