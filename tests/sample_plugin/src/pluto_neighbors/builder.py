"""The features `neighbors`."""

from collections.abc import Mapping

import numpy as np

from pluto_core import Context
from pluto_core.geometry import rotation
from pluto_core.samples import Array, Sample
from pluto_core.scene import Scene, Window
from pluto_core.sketch import Box, Line, Role, Sketch
from pluto_neighbors import schema
from pluto_neighbors.config import NeighborsConfig


def make(config: NeighborsConfig, _context: Context) -> "NeighborsBuilder":
    """Return the builder of an experiment."""
    return NeighborsBuilder(config)


class NeighborsBuilder:
    """Builds the last seconds of the nearest agents, seen from the ego vehicle."""

    version = "1"
    """Raise it when the output changes: caches of another version are refused."""

    def __init__(self, config: NeighborsConfig) -> None:
        """Say which span of time is needed, and what comes out."""
        self._count = config.count
        self.window = Window(history_s=config.history_s, interval_s=config.interval_s)
        self.spec = schema.provides(config)

    def build(self, scene: Scene) -> Sample:
        """Return the arrays of `schema.provides`."""
        now, ego, tracks = scene.present, scene.ego, scene.tracks
        to_ego = rotation(float(ego.heading[now]))
        position = (tracks.position - ego.position[now]) @ to_ego
        velocity = tracks.velocity @ to_ego

        seen = np.flatnonzero(tracks.valid[:, now])
        distance = np.hypot(*position[seen, now].T)
        nearest = seen[np.argsort(distance, kind="stable")[: self._count]]

        valid = tracks.valid[nearest]
        return {
            "neighbor/position": np.where(valid[..., None], position[nearest], 0).astype(np.float32),
            "neighbor/velocity": np.where(valid[..., None], velocity[nearest], 0).astype(np.float32),
            "neighbor/valid": valid,
            "ego/velocity": np.where(ego.valid[:, None], ego.velocity, 0).astype(np.float32),
        }

    def sketch(self, sample: Mapping[str, Array]) -> Sketch:
        """Return what to draw of a sample: the ego vehicle, and a dot with its trace for each neighbor."""
        position = sample["neighbor/position"].astype(np.float64)
        traces = [way[seen] for way, seen in zip(position, sample["neighbor/valid"], strict=True)]
        lines = tuple(Line(points=trace, role=Role.HISTORY) for trace in traces)
        dots = tuple(_box(trace[-1], Role.VEHICLE, 2.0) for trace in traces)
        return Sketch(lines=lines, boxes=(_box(np.array([1.5, 0.0]), Role.EGO, 5.0), *dots))


def _box(center: Array, role: Role, length_m: float) -> Box:
    return Box(center=center, heading_rad=0.0, length_m=length_m, width_m=2.0, role=role)
