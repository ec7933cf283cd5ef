"""Which samples are refused, and why."""

from collections.abc import Mapping

import numpy as np

from pluto_core.errors import Reason, SampleError
from pluto_core.samples import Array
from pluto_core.scene import Scene
from pluto_planner.config import PlutoFeaturesConfig

FARTHEST_M = 10_000.0
FASTEST_MPS = 150.0
LARGEST_M = 200.0
AGENT_LIMITS = {"agent/position": FARTHEST_M, "agent/velocity": FASTEST_MPS, "agent/shape": LARGEST_M}
"""Greatest absolute value where an agent is seen."""
LIMITS = {
    "static_objects/position": FARTHEST_M,
    "static_objects/shape": LARGEST_M,
    "map/point_position": FARTHEST_M,
    "map/polygon_speed_limit": FASTEST_MPS,
}
"""Greatest absolute value anywhere."""
GREATEST_CODES = {
    "agent/category": 3,
    "static_objects/category": 3,
    "map/point_side": 2,
    "map/polygon_type": 2,
    "map/polygon_tl_status": 3,
}
"""Greatest code of arrays that hold codes from 0 on."""


def require_reference_line(sample: Mapping[str, Array], scene: Scene, config: PlutoFeaturesConfig) -> None:
    """Prove that some reference line has a segment, where that is asked for.

    Raises:
        SampleError: `NO_ROUTE` or `NO_REFERENCE_LINE`.
    """
    if _has_reference_line(sample, config):
        return
    if len(scene.route) == 0:
        raise SampleError(Reason.NO_ROUTE, "the scene has no route, and so no reference line")
    raise SampleError(Reason.NO_REFERENCE_LINE, "no lane of the route begins a reference line at the ego vehicle")


def require_valid(sample: Mapping[str, Array], config: PlutoFeaturesConfig) -> None:
    """Prove that a normalised sample can be learned from.

    Raises:
        SampleError: `PRESENT_MISSING`: the ego vehicle is not there at time zero. `NO_REFERENCE_LINE`: no reference line has
            a segment. `BROKEN_MAP`: there is no map polygon around the ego vehicle. `OUT_OF_RANGE`: something is absurdly
            far away, large or fast.
    """
    valid = sample["agent/valid_mask"]
    if not valid[0, config.history_steps]:
        raise SampleError(Reason.PRESENT_MISSING, "the ego vehicle has no pose at time zero")
    if not _has_reference_line(sample, config):
        raise SampleError(Reason.NO_REFERENCE_LINE, "no reference line has a segment")
    if config.require_reference_line and len(sample["map/point_position"]) == 0:
        raise SampleError(Reason.BROKEN_MAP, f"the map shows nothing within {config.radius} m")
    for key, most in AGENT_LIMITS.items():
        if not _largest(sample[key]) <= most:  # cells that are not valid are 0, or in parity far away
            _require_within(key, sample[key][valid], most)
    for key, most in LIMITS.items():
        _require_within(key, sample[key], most)


def require_codes(sample: Mapping[str, Array]) -> None:
    """Prove that categories, types and lights of a sample that was made elsewhere are codes that there are.

    Raises:
        SampleError: With `OUT_OF_RANGE`.
    """
    for key, most in GREATEST_CODES.items():
        codes = sample[key]
        if codes.size and not 0 <= codes.min() <= codes.max() <= most:
            raise SampleError(Reason.OUT_OF_RANGE, f"{key} holds {codes.min()} to {codes.max()}, codes are 0 to {most}")


def _has_reference_line(sample: Mapping[str, Array], config: PlutoFeaturesConfig) -> bool:
    if not (config.build_reference_line and config.require_reference_line):
        return True
    return bool(sample["reference_line/valid_mask"].any())


def _require_within(key: str, values: Array, most: float) -> None:
    largest = _largest(values)
    if not largest <= most:
        raise SampleError(Reason.OUT_OF_RANGE, f"{key} reaches {largest:.0f}, more than {most:.0f}")


def _largest(values: Array) -> float:
    """Return the greatest absolute value; NaN where there is one."""
    return float(np.maximum(values.max(initial=0.0), -values.min(initial=0.0)))
