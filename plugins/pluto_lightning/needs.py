"""What the models of this plugin need of samples; imports nothing heavy."""

from pluto_core.component import Requirement
from pluto_lightning.config import ConstantVelocityConfig, EgoMlpConfig

HISTORY = tuple(f"ego_history/{name}" for name in ("position", "heading", "velocity", "acceleration", "valid"))
TRUTH = ("truth/trajectory", "truth/valid", "truth/speed", "truth/acceleration")


def constant_velocity(config: ConstantVelocityConfig) -> Requirement:
    """Return that only the present speed and the recorded future are needed."""
    target = {"use": "ego_trajectory", "horizon_s": config.horizon_s, "interval_s": config.interval_s}
    return Requirement(keys=TRUTH, targets=(target,))


def ego_mlp(config: EgoMlpConfig) -> Requirement:
    """Return that the ego's past and the recorded future are needed, and of which lengths."""
    history = {"use": "ego_history", "history_s": config.history_s, "interval_s": config.interval_s}
    target = {"use": "ego_trajectory", "horizon_s": config.horizon_s, "interval_s": config.interval_s}
    dims = {"ego_history/position:0": config.history_steps, "truth/trajectory:0": config.future_steps}
    return Requirement(keys=(*HISTORY, *TRUTH), features=(history,), targets=(target,), dims=dims)
