"""What the small real parts give and need; imports no numpy."""

from pluto_core.arrays import ArraySpec, SampleSpec
from pluto_core.component import Requirement
from pluto_core.testing.config import FakeAgentsConfig, FakeTruthConfig, NothingConfig

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


def truth(config: FakeTruthConfig) -> SampleSpec:
    """Return the arrays of the targets `fake`, under the names that trainers and evaluation read."""
    steps = round(config.horizon_s / INTERVAL_S)
    return {
        "truth/trajectory": ArraySpec(
            dims=(steps, 3), dtype="float32", unit="m, m, rad", frame="ego", summary="Poses; 0 where not valid."
        ),
        "truth/valid": ArraySpec(dims=(steps,), dtype="bool", summary="Whether the pose was recorded."),
        "truth/speed": ArraySpec(dims=(), dtype="float32", unit="m/s", summary="Longitudinal speed at time zero."),
        "truth/acceleration": ArraySpec(
            dims=(), dtype="float32", unit="m/s^2", summary="Longitudinal acceleration at time zero."
        ),
    }


def mirror(config: NothingConfig) -> Requirement:
    """Return what the augmentation `fake` reads."""
    del config
    return Requirement(keys=("agent/position",), features=({"use": "fake"},))
