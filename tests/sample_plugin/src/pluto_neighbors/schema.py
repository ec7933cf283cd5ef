"""What passes between builder and model. Costs nothing to import, so that `pluto check` can compare both."""

from pluto_core import Requirement
from pluto_core.arrays import ArraySpec, SampleSpec
from pluto_neighbors.config import NeighborsConfig, PlannerConfig


def steps(span_s: float, interval_s: float) -> int:
    """Return the number of steps in a span of time."""
    return round(span_s / interval_s)


def provides(config: NeighborsConfig) -> SampleSpec:
    """Return the arrays that the builder gives; `neighbor` has another size in every sample, and is padded in a batch."""
    past = steps(config.history_s, config.interval_s) + 1
    return {
        "neighbor/position": ArraySpec(
            dims=("neighbor", past, 2),
            dtype="float32",
            unit="m",
            frame="ego",
            summary="Box centres, nearest agent first; 0 where not valid.",
        ),
        "neighbor/velocity": ArraySpec(
            dims=("neighbor", past, 2),
            dtype="float32",
            unit="m/s",
            frame="ego",
            summary="Velocities over ground; 0 where not valid.",
        ),
        "neighbor/valid": ArraySpec(
            dims=("neighbor", past),
            dtype="bool",
            summary="Whether the agent was seen at the step.",
        ),
        "ego/velocity": ArraySpec(
            dims=(past, 2),
            dtype="float32",
            unit="m/s",
            frame="ego",
            summary="Velocity of the rear axle, in the ego frame of the same step; 0 where unknown.",
        ),
    }


def requires(config: PlannerConfig) -> Requirement:
    """Return the arrays that the model reads, and the builders that experiments take where they name none."""
    past = steps(config.history_s, config.interval_s) + 1
    features = {"use": "neighbors", "history_s": config.history_s, "interval_s": config.interval_s}
    truth = {"use": "ego_trajectory", "horizon_s": config.horizon_s, "interval_s": config.interval_s}
    return Requirement(
        keys=("neighbor/position", "neighbor/velocity", "neighbor/valid", "ego/velocity"),
        features=(features,),
        targets=(truth,),
        dims={
            "neighbor/position:1": past,
            "truth/trajectory:0": steps(config.horizon_s, config.interval_s),
        },
    )
