"""What the small model needs of samples; imports nothing heavy."""

from pluto_core.component import Requirement
from pluto_lightning.testing.config import FakeModelConfig

INTERVAL_S = 0.1


def fake(config: FakeModelConfig) -> Requirement:
    """Return the arrays that the model reads, and the small builders that give them."""
    return Requirement(
        keys=("agent/position", "agent/valid", "speed"),
        features=({"use": "fake", "history_s": config.history_s},),
        targets=({"use": "fake", "horizon_s": config.horizon_s},),
        dims={"truth/trajectory:0": round(config.horizon_s / INTERVAL_S)},
    )
