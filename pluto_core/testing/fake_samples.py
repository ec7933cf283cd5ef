"""Small real builders of features and targets, and an augmentation; see `fakes`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pluto_core.arrays import SampleSpec
from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_core.geometry import rotation, wrap
from pluto_core.samples import Array, Sample
from pluto_core.scene import Scene, Window
from pluto_core.sketch import Box, Line, Role, Sketch
from pluto_core.testing import schema
from pluto_core.testing.config import FakeAgentsConfig, FakeTruthConfig, NothingConfig


def make_agents(config: FakeAgentsConfig, _context: Context) -> "FakeAgents":
    """Return the features `fake`."""
    return FakeAgents(config)


def make_truth(config: FakeTruthConfig, _context: Context) -> "FakeTruth":
    """Return the targets `fake`."""
    return FakeTruth(config)


def make_mirror(_config: NothingConfig, _context: Context) -> "Mirror":
    """Return the augmentation `fake`."""
    return Mirror()


class FakeAgents:
    """Builds positions of others, seen from the ego vehicle."""

    version = "1"

    def __init__(self, config: FakeAgentsConfig) -> None:
        """Take the length of the history."""
        self.window = Window(history_s=config.history_s, interval_s=schema.INTERVAL_S)
        self.spec: SampleSpec = schema.agents(config)

    def build(self, scene: Scene) -> Sample:
        """Return the arrays of `schema.agents`."""
        ego, now, valid = scene.ego, scene.present, scene.tracks.valid
        position = (scene.tracks.position - ego.position[now]) @ rotation(float(ego.heading[now]))
        return {
            "agent/position": np.where(valid[..., None], position, 0.0).astype(np.float32),
            "agent/valid": valid.copy(),
            "speed": np.asarray(ego.velocity[now, 0], np.float32),
        }

    def sketch(self, sample: Mapping[str, Array]) -> Sketch:
        """Return a box for each agent at time zero."""
        places = sample["agent/position"][:, -1].astype(np.float64)
        boxes = [Box(center=place, heading_rad=0.0, length_m=4.0, width_m=2.0, role=Role.VEHICLE) for place in places]
        return Sketch(boxes=tuple(boxes))


class FakeTruth:
    """Builds future poses of the ego vehicle, as trainers and evaluation read them."""

    version = "1"

    def __init__(self, config: FakeTruthConfig) -> None:
        """Take the horizon."""
        self.window = Window(future_s=config.horizon_s, interval_s=schema.INTERVAL_S)
        self.spec: SampleSpec = schema.truth(config)

    def build(self, scene: Scene) -> Sample:
        """Return the arrays of `schema.truth`."""
        ego, now = scene.ego, scene.present
        valid = ego.valid[now + 1 :]
        position = (ego.position[now + 1 :] - ego.position[now]) @ rotation(float(ego.heading[now]))
        poses = np.column_stack([position, wrap(ego.heading[now + 1 :] - ego.heading[now])])
        return {
            "truth/trajectory": np.where(valid[:, None], poses, 0.0).astype(np.float32),
            "truth/valid": valid.copy(),
            "truth/speed": np.asarray(ego.velocity[now, 0], np.float32),
            "truth/acceleration": np.asarray(ego.acceleration[now, 0], np.float32),
        }

    def sketch(self, sample: Mapping[str, Array]) -> Sketch:
        """Return the driven way."""
        known = sample["truth/trajectory"][sample["truth/valid"], :2].astype(np.float64)
        return Sketch(lines=(Line(points=known, role=Role.FUTURE),))


class Mirror:
    """Moves everybody a little, and gives a variant with left and right exchanged."""

    def output_spec(self, spec: SampleSpec) -> Mapping[str, SampleSpec]:
        """Return the roles `anchor` and `mirrored`, both like the input.

        Raises:
            PlutoError: There are no positions.
        """
        if "agent/position" not in spec:
            message = "the augmentation 'fake' needs the array agent/position"
            raise PlutoError(message)
        return {"anchor": spec, "mirrored": spec}

    def augment(
        self, sample: Mapping[str, npt.NDArray[Any]], rng: np.random.Generator, epoch: int
    ) -> Mapping[str, Sample | None]:
        """Return both roles."""
        del epoch
        moved = dict(sample) | {"agent/position": sample["agent/position"] + rng.normal(size=2).astype(np.float32)}
        mirrored = moved | {"agent/position": moved["agent/position"] * np.array([1, -1], np.float32)}
        return {"anchor": moved, "mirrored": mirrored}
