"""Which samples are refused, and why."""

from collections.abc import Mapping

import numpy as np

from pluto_core.errors import Reason, SampleError
from pluto_core.samples import Array
from pluto_core.scene import Scene
from pluto_planner.config import PlutoFeaturesConfig

FARTHEST_M = 10_000.0
FASTEST_MPS = 150.0


def require_valid(sample: Mapping[str, Array], scene: Scene, config: PlutoFeaturesConfig) -> None:
    """Prove that a normalised sample can be learned from.

    Raises:
        SampleError: `NO_ROUTE` or `NO_REFERENCE_LINE`: no reference line has a segment. `BROKEN_MAP`: there is no map
            polygon around the ego vehicle. `OUT_OF_RANGE`: something is absurdly far away or fast.
    """
    if config.build_reference_line and config.require_reference_line:
        _require_reference_line(sample, scene)
    if config.require_reference_line and len(sample["map/point_position"]) == 0:
        raise SampleError(Reason.BROKEN_MAP, f"map {scene.map.name!r} shows nothing within {config.radius} m")
    valid = sample["agent/valid_mask"]
    limits = {"agent/position": FARTHEST_M, "agent/velocity": FASTEST_MPS}
    for key, most in limits.items():
        largest = float(np.abs(sample[key][valid]).max(initial=0.0))
        if not largest <= most:
            raise SampleError(Reason.OUT_OF_RANGE, f"{key} reaches {largest:.0f}, more than {most:.0f}")


def _require_reference_line(sample: Mapping[str, Array], scene: Scene) -> None:
    if sample["reference_line/valid_mask"].any():
        return
    if len(scene.route) == 0:
        raise SampleError(Reason.NO_ROUTE, "the scene has no route, and so no reference line")
    raise SampleError(Reason.NO_REFERENCE_LINE, "no lane of the route begins a reference line at the ego vehicle")
