"""What the builders of this plugin give; costs no numpy."""

from pluto_core.arrays import ArraySpec, SampleSpec
from pluto_devkit.config import BuilderConfig, ImportedConfig

LAYOUT = "layout"
"""Last part of the key of the text that says where what lies."""
DTYPES = (
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
)
"""dtypes of arrays that features may hold; also the last parts of the keys."""
TYPE = "scenario_type"


def tree(prefix: str) -> dict[str, ArraySpec]:
    """Return the specs of nested data under one prefix: its layout, and its numbers by dtype where there are any."""
    layout = ArraySpec(
        dims=(f"{prefix}_layout",),
        dtype="uint8",
        unit="JSON text",
        summary="Where in the other arrays the parts of the features lie.",
    )
    numbers = {
        f"{prefix}/{dtype}": ArraySpec(
            dims=(f"{prefix}_{dtype}",),
            dtype=dtype,
            optional=True,
            summary=f"All numbers of the features that are {dtype}, one after the other.",
        )
        for dtype in DTYPES
    }
    return {f"{prefix}/{LAYOUT}": layout, **numbers}


def built(config: BuilderConfig) -> SampleSpec:
    """Return the specs of `[[features]]` and `[[targets]]` with `use = "devkit"`."""
    return tree(config.name)


def imported(config: ImportedConfig) -> SampleSpec:
    """Return the specs of `[[features]] use = "devkit_imported"`."""
    truth = {
        "truth/trajectory": ArraySpec(
            dims=(config.truth_steps, 3),
            dtype="float32",
            unit="m, m, rad",
            frame="ego",
            summary="x, y, heading of the rear axle after each interval.",
        ),
        "truth/valid": ArraySpec(
            dims=(config.truth_steps,), dtype="bool", summary="True: the devkit stores whole trajectories."
        ),
        "truth/speed": ArraySpec(dims=(), dtype="float32", unit="m/s", summary="Mean speed of the first interval."),
        "truth/acceleration": ArraySpec(
            dims=(), dtype="float32", unit="m/s^2", summary="Change of speed between the first two intervals, by time."
        ),
    }
    return tree(config.name) | (truth if config.truth_steps else {})
