"""What models of nuplan-devkit need of samples; imports nothing heavy."""

from collections.abc import Mapping
from typing import Any

from pluto_core.component import Requirement
from pluto_devkit.config import FeatureConfig, ModelConfig
from pluto_devkit.schema import LAYOUT

TRUTH = ("truth/trajectory", "truth/valid", "truth/speed", "truth/acceleration")


def model(config: ModelConfig) -> Requirement:
    """Return that the model's own builders are wanted, and the recorded future."""
    shared: dict[str, Any] = {"use": "devkit", "model": config.model, "arguments": config.arguments}
    shared |= {"map_version": config.map_version}
    shared |= {"map_root": config.map_root} if config.map_root is not None else {}
    features: Mapping[str, Any] = shared | {"history_s": config.history_s, "future_s": 0.0}
    targets: Mapping[str, Any] = shared | {"history_s": 0.0, "future_s": config.horizon_s}
    truth = {"use": "ego_trajectory", "horizon_s": config.horizon_s, "interval_s": config.interval_s}
    prefix = FeatureConfig().name
    return Requirement(keys=(f"{prefix}/{LAYOUT}", f"{prefix}/float32", *TRUTH), features=(features,), targets=(targets, truth))
