"""What the basic builders give; costs no numpy."""

from pluto_basics.config import EgoHistoryConfig, EgoTrajectoryConfig
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


def ego_history(config: EgoHistoryConfig) -> SampleSpec:
    """Return the specs of the features `ego_history`; the last row of each is the present."""

    def rows(*dims: int, unit: str, frame: str, summary: str) -> ArraySpec:
        return ArraySpec(dims=(config.steps, *dims), dtype="float32", unit=unit, frame=frame, summary=summary)

    return {
        "ego_history/position": rows(2, unit="m", frame="ego", summary="x, y of the rear axle; 0 where not valid."),
        "ego_history/heading": rows(unit="rad", frame="ego", summary="Heading; 0 at the present and where not valid."),
        "ego_history/velocity": rows(
            2, unit="m/s", frame="body", summary="Along and across the heading of the same step; 0 where not valid."
        ),
        "ego_history/acceleration": rows(
            2, unit="m/s^2", frame="body", summary="Along and across the heading of the same step; 0 where unknown."
        ),
        "ego_history/valid": ArraySpec(dims=(config.steps,), dtype="bool", summary="Whether pose and velocity were recorded."),
    }
