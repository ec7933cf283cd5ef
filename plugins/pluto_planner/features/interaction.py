"""Interaction labels: who passes first where an agent and the ego vehicle come closest.

Spec: pluto-features section 10. A label is the ego vehicle's step less the agent's, 0 where they do not meet.
"""

import numpy as np
import numpy.typing as npt
import shapely

from pluto_core.scene import Ego, Scene
from pluto_planner.features import boxes

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

CLOSE_M = 4.0
NOISE_M = 1.0
"""How far the reference's rounding may shift a distance."""


def labels(scene: Scene, rows: Ints, *, parity: bool) -> Floats:
    """Return the (1 + len(rows),) label of every agent, the ego vehicle first.

    The reference measures on global coordinates with a product of matrices, whose rounding picks among near ties (D-15),
    and centres the ego vehicle's box on its centre of gravity (D-14); both only in parity.
    """
    label = np.zeros(1 + len(rows))
    future = slice(scene.present + 1, None)
    tracks, ego = scene.tracks, scene.ego
    position, valid = tracks.position[rows, future], tracks.valid[rows, future]
    near = _comes_near(position, valid, ego.position[future][ego.valid[future]])
    rows, position, valid = rows[near], position[near], valid[near]
    if len(rows) == 0:
        return label
    distance_sq = _rounded_sq(position, ego.position[future]) if parity else _exact_sq(position, ego.position[future])
    distance_sq[~valid] = np.inf
    distance_sq[:, :, ~ego.valid[future]] = np.inf
    flat = distance_sq.reshape(len(rows), -1)
    least = np.argmin(flat, axis=1)
    agent_step, ego_step = np.divmod(least, distance_sq.shape[2])
    close = np.flatnonzero(flat[np.arange(len(rows)), least] < CLOSE_M**2)
    met = close[_overlap(scene, rows[close], agent_step[close], ego_step[close], parity=parity)]
    label[1 + near[met]] = ego_step[met] - agent_step[met]
    return label


def _comes_near(position: Floats, valid: Mask, driven: Floats) -> Ints:
    """Return the agents whose box of positions comes within reach of the ego vehicle's."""
    if len(driven) == 0 or len(position) == 0:
        return np.zeros(0, np.int64)
    low = np.where(valid[..., None], position, np.inf).min(axis=1) - CLOSE_M - NOISE_M
    high = np.where(valid[..., None], position, -np.inf).max(axis=1) + CLOSE_M + NOISE_M
    return np.flatnonzero(((low <= driven.max(axis=0)) & (high >= driven.min(axis=0))).all(axis=1))


def _exact_sq(position: Floats, driven: Floats) -> Floats:
    """Return (n, agent step, ego step) squared distances, m^2."""
    x, y = (position[:, :, None, axis] - driven[:, axis] for axis in range(2))
    x *= x
    y *= y
    return np.asarray(np.add(x, y, out=x))


def _rounded_sq(position: Floats, driven: Floats) -> Floats:
    """Return what the reference's product of matrices gives for the squared distances."""
    right = np.stack([*driven.T, np.ones(len(driven)), (driven**2).sum(axis=1)])
    products = []
    for agent in position:
        left = np.stack([-2 * agent[:, 0], -2 * agent[:, 1], (agent**2).sum(axis=1), np.ones(len(agent))], axis=1)
        products.append(np.maximum(left @ right, 0.0))
    return np.array(products)


def _overlap(scene: Scene, rows: Ints, agent_step: Ints, ego_step: Ints, *, parity: bool) -> Mask:
    """Return which agents' boxes touch the ego vehicle's, each at its own step of the future."""
    tracks, ego, first = scene.tracks, scene.ego, scene.present + 1
    theirs = boxes.polygons(*(array[rows, first + agent_step] for array in (tracks.position, tracks.heading, tracks.size)))
    heading = ego.heading[first + ego_step]
    forward = np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    center = ego.position[first + ego_step] + _offset_m(ego, parity=parity) * forward
    size = np.broadcast_to([ego.vehicle.width_m, ego.vehicle.length_m], center.shape)
    return np.asarray(shapely.intersects(theirs, boxes.polygons(center, heading, size)), np.bool_)


def _offset_m(ego: Ego, *, parity: bool) -> float:
    return ego.vehicle.cog_from_rear_axle_m if parity else ego.vehicle.center_from_rear_axle_m
