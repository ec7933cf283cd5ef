"""The features `ego_history`: where the ego vehicle came from, and nothing about anybody else."""

import numpy as np

from pluto_basics import schema
from pluto_basics.config import EgoHistoryConfig
from pluto_core.arrays import SampleSpec
from pluto_core.component import Context
from pluto_core.geometry import rotation, wrap
from pluto_core.samples import Array, Sample
from pluto_core.scene import Scene, Window


def make(config: EgoHistoryConfig, _context: Context) -> "EgoHistory":
    """Return the feature builder of an experiment."""
    return EgoHistory(config)


class EgoHistory:
    """Builds past poses of the rear axle, seen from the rear axle at time zero, with velocities and accelerations.

    A log that begins too late gives the same length; rows that were not recorded are zeros and said to be so.
    """

    version = "1"

    def __init__(self, config: EgoHistoryConfig) -> None:
        """Take length and interval from `config`."""
        self.window = Window(history_s=config.history_s, future_s=0.0, interval_s=config.interval_s)
        self.spec: SampleSpec = schema.ego_history(config)

    def build(self, scene: Scene) -> Sample:
        """Return the arrays of `schema.ego_history`."""
        ego, now = scene.ego, scene.present
        past = slice(0, now + 1)
        valid = ego.valid[past]
        position = (ego.position[past] - ego.position[now]) @ rotation(float(ego.heading[now]))
        columns = {
            "position": (position, valid),
            "heading": (wrap(ego.heading[past] - ego.heading[now]), valid),
            "velocity": (ego.velocity[past], valid),
            "acceleration": (ego.acceleration[past], valid & ego.acceleration_valid[past]),
        }
        sample: Sample = {f"ego_history/{name}": _known(values, known) for name, (values, known) in columns.items()}
        sample["ego_history/valid"] = valid.copy()
        return sample


def _known(values: Array, known: Array) -> Array:
    """Return rows as float32, zero where they are not known."""
    rows = values.astype(np.float32)
    rows[~known] = 0.0
    return rows
