"""The target `ego_trajectory`: where the recorded driver went (nuPlan v1.1, EgoTrajectoryTargetBuilder)."""

from collections.abc import Mapping

import numpy as np

from pluto_basics import schema
from pluto_basics.config import EgoTrajectoryConfig
from pluto_core.arrays import SampleSpec
from pluto_core.component import Context
from pluto_core.geometry import rotation, wrap
from pluto_core.samples import Array, Sample
from pluto_core.scene import Scene, Window
from pluto_core.sketch import Line, Role, Sketch


def make(config: EgoTrajectoryConfig, _context: Context) -> "EgoTrajectory":
    """Return the target builder of an experiment."""
    return EgoTrajectory(config)


class EgoTrajectory:
    """Builds future poses of the rear axle, seen from the rear axle at time zero.

    Where nuPlan v1.1 refuses a scenario that ends too early, this one gives a fixed length and says which poses are known.
    """

    version = "1"

    def __init__(self, config: EgoTrajectoryConfig) -> None:
        """Take horizon and interval from `config`."""
        self.window = Window(history_s=0.0, future_s=config.horizon_s, interval_s=config.interval_s)
        self.spec: SampleSpec = schema.ego_trajectory(config)

    def build(self, scene: Scene) -> Sample:
        """Return the arrays of `schema.ego_trajectory`."""
        ego, now = scene.ego, scene.present
        later = slice(now + 1, None)
        valid = ego.valid[later]
        position = (ego.position[later] - ego.position[now]) @ rotation(float(ego.heading[now]))
        heading = wrap(ego.heading[later] - ego.heading[now])
        trajectory = np.column_stack([position, heading])
        trajectory[~valid] = 0.0
        acceleration = ego.acceleration[now, 0] if ego.acceleration_valid[now] else 0.0
        return {
            "truth/trajectory": trajectory.astype(np.float32),
            "truth/valid": valid.copy(),
            "truth/speed": np.asarray(ego.velocity[now, 0], np.float32),
            "truth/acceleration": np.asarray(acceleration, np.float32),
        }

    def sketch(self, sample: Mapping[str, Array]) -> Sketch:
        """Return the driven way from the origin over the known poses."""
        known = sample["truth/trajectory"][sample["truth/valid"], :2].astype(np.float64)
        return Sketch(lines=(Line(points=np.vstack([np.zeros((1, 2)), known]), role=Role.FUTURE),))
