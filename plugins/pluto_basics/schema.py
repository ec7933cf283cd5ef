"""What the basic builders give; costs no numpy."""

from pluto_basics.config import EgoTrajectoryConfig
from pluto_core.arrays import ArraySpec, SampleSpec


def ego_trajectory(config: EgoTrajectoryConfig) -> SampleSpec:
    """Return the specs of the target `ego_trajectory`."""
    return {
        "truth/trajectory": ArraySpec(
            dims=(config.steps, 3),
            dtype="float32",
            unit="m, m, rad",
            frame="ego",
            summary="x, y, heading of the rear axle after each interval; 0 where not valid.",
        ),
        "truth/valid": ArraySpec(dims=(config.steps,), dtype="bool", summary="Whether the pose was recorded."),
        "truth/speed": ArraySpec(dims=(), dtype="float32", unit="m/s", summary="Longitudinal speed at time zero."),
        "truth/acceleration": ArraySpec(
            dims=(), dtype="float32", unit="m/s^2", summary="Longitudinal acceleration at time zero; 0 where unknown."
        ),
    }
