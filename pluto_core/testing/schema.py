"""What the small real parts give and need; imports no numpy."""

from pluto_core.arrays import ArraySpec, SampleSpec
from pluto_core.component import Requirement
from pluto_core.testing.config import FakeAgentsConfig, NothingConfig

INTERVAL_S = 0.1


def agents(config: FakeAgentsConfig) -> SampleSpec:
    """Return the arrays of the features `fake`."""
    steps = round(config.history_s / INTERVAL_S) + 1
    return {
        "agent/position": ArraySpec(
            dims=("agent", steps, 2), dtype="float32", unit="m", frame="ego", summary="Box centres; 0 where not valid."
        ),
        "agent/valid": ArraySpec(dims=("agent", steps), dtype="bool", summary="Whether the agent was seen."),
        "speed": ArraySpec(dims=(), dtype="float32", unit="m/s", summary="Longitudinal speed of the ego vehicle at time zero."),
    }


def mirror(config: NothingConfig) -> Requirement:
    """Return what the augmentation `fake` reads."""
    del config
    return Requirement(keys=("agent/position",))
