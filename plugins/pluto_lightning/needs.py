"""What the models of this plugin need of samples; imports nothing heavy."""

from pluto_core.component import Requirement
from pluto_lightning.config import ConstantVelocityConfig

TRUTH = ("truth/trajectory", "truth/valid", "truth/speed", "truth/acceleration")


def constant_velocity(config: ConstantVelocityConfig) -> Requirement:
    """Return that only the present speed and the recorded future are needed."""
    target = {"use": "ego_trajectory", "horizon_s": config.horizon_s, "interval_s": config.interval_s}
    return Requirement(keys=TRUTH, targets=(target,))
