"""Routes of the recording vehicle as lists of roadblocks and roadblock connectors in driving order."""

import itertools

import numpy as np
import numpy.typing as npt

from pluto_nuplan.synth.curves import Array
from pluto_nuplan.synth.drive import Drive
from pluto_nuplan.synth.fids import Fids
from pluto_nuplan.synth.roads import Roads
from pluto_nuplan.synth.town import STRAIGHT

_BEYOND_M = 140.0
_ASTRAY_M = 260.0


def scene_routes(drive: Drive, scene_steps: list[int], fids: Fids) -> list[list[int]]:
    """The route of each scene that begins at a step: what the ego drives from there on, and some way beyond.

    In a drive off its route, one scene has a route that leaves the driven way at the next junction.
    """
    roads = drive.world.roads
    if drive.parked is not None:
        edges = extend(roads, [nearest_lane(roads, drive.parked)], _ASTRAY_M)
        return [fids.blocks_of(edges)] * len(scene_steps)
    driven = drive.ego_edges()
    off = _scene_before_junction(driven >= roads.lane_count, scene_steps) if drive.behaviour == "off_route" else None
    routes = []
    for number, step in enumerate(scene_steps):
        ahead = [int(edge) for edge, _ in itertools.groupby((*driven[step:].tolist(), *drive.onward))]
        if number == off:
            routes.append(fids.blocks_of(_astray(roads, ahead)))
        else:
            routes.append(fids.blocks_of(extend(roads, ahead, _BEYOND_M)))
    return routes


def extend(roads: Roads, edges: list[int], length_m: float) -> list[int]:
    """The edges followed by more, straight on where that is possible, until those added are `length_m` long."""
    out, added = list(edges), 0.0
    while added < length_m:
        options = roads.outgoing[out[-1]]
        out.append(min(options, key=lambda edge: (roads.turn[edge] != STRAIGHT, edge)))
        added += float(roads.length_m[out[-1]])
    return out


def nearest_lane(roads: Roads, pose: Array) -> int:
    """The lane that comes nearest to a pose."""
    gaps = np.hypot(*(roads.points_m - pose[:2]).T)
    gaps[int(roads.first[roads.lane_count]) :] = np.inf
    return int(np.searchsorted(roads.first, int(np.argmin(gaps)), side="right") - 1)


def _scene_before_junction(inside: npt.NDArray[np.bool_], scene_steps: list[int]) -> int:
    """The scene, first two and last two left out, after whose beginning the ego first enters a junction."""
    entries = np.flatnonzero(np.diff(inside.astype(np.int64)) > 0)
    waits = [min((entries[entries >= step] - step).tolist(), default=len(inside)) for step in scene_steps]
    middle = range(2, len(scene_steps) - 2)
    return min(middle, key=lambda number: waits[number])


def _astray(roads: Roads, ahead: list[int]) -> list[int]:
    """A way that follows the driven one to the end of its first lane that has another way on, and takes that."""
    for place, (lane, onward) in enumerate(itertools.pairwise(ahead)):
        others = [edge for edge in roads.outgoing[lane] if edge != onward and onward >= roads.lane_count]
        if lane < roads.lane_count and others:
            return extend(roads, [*ahead[: place + 1], others[0]], _ASTRAY_M)
    return extend(roads, ahead, _BEYOND_M)
