"""Agents: the ego vehicle in row 0, then the nearest vehicles, pedestrians and cyclists."""

import numpy as np
import numpy.typing as npt

from pluto_core.samples import Sample
from pluto_core.scene import Scene
from pluto_planner.features import ego
from pluto_planner.features.ego import Present

Ints = npt.NDArray[np.int64]


def nearest_tracks(scene: Scene, now: Present, limit: int) -> Ints:
    """Return the tracks seen at time zero, nearest to the ego vehicle's centre first, at most `limit`.

    Equal distances stand by category, then in the source's order.
    """
    tracks = scene.tracks
    seen = np.flatnonzero(tracks.valid[:, now.step])
    seen = seen[np.argsort(tracks.category[seen], kind="stable")]
    distance = np.hypot(*(tracks.position[seen, now.step] - now.center).T)
    return seen[np.argsort(distance, kind="stable")[:limit]]


def build(scene: Scene, rows: Ints) -> Sample:
    """Return the `agent/` arrays of the ego vehicle and of some tracks, in the global frame."""
    tracks, own = scene.tracks, ego.trajectory(scene)
    others = {
        "position": tracks.position,
        "heading": tracks.heading,
        "velocity": tracks.velocity,
        "shape": tracks.size,
        "valid_mask": tracks.valid,
    }
    sample = {f"agent/{name}": np.concatenate([own[name][None], array[rows]]) for name, array in others.items()}
    sample["agent/category"] = np.concatenate([[0], tracks.category[rows] + 1]).astype(np.int8)
    return sample
