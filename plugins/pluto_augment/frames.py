"""A sample seen from another pose of the ego vehicle.

Spec: pluto-features section 13, the normalisation of `pluto_planner.features`, and what other builders give in the ego frame.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pluto_core.arrays import SampleSpec
from pluto_core.errors import PlutoError
from pluto_core.geometry import rotation, wrap
from pluto_core.samples import Array, Sample
from pluto_planner.features.normalise import ANGLES, POSES, POSITIONS, VECTORS, normalise, without_padding

Floats = npt.NDArray[np.float64]

COST_MAPS = ("cost_maps", "cost_mask")
_ROWS = {
    "truth/trajectory": "truth/valid",
    "ego_history/position": "ego_history/valid",
    "ego_history/heading": "ego_history/valid",
}
"""Arrays of other builders in the ego frame, and the mask of their rows."""
_KNOWN = {*POSITIONS, *VECTORS, *ANGLES, *POSES, *COST_MAPS, *_ROWS, "current_state", "agent/target"}


def refuse_unknown(name: str, spec: SampleSpec) -> None:
    """Prove that every array in the ego frame is one that can be turned.

    Raises:
        PlutoError: There is another one, which would silently stay where it is.
    """
    unknown = sorted(key for key, array in spec.items() if array.frame == "ego" and key not in _KNOWN)
    if unknown:
        message = (
            f"augmentation {name!r} moves the ego vehicle, and cannot move these arrays with it: {', '.join(unknown)}; "
            "leave out the builder that gives them, or the augmentation"
        )
        raise PlutoError(message)


def seen_from(sample: Mapping[str, Array], state: Floats, present: int, *, parity: bool = False) -> Sample:
    """Return the sample of an ego vehicle that is in another state at time zero.

    Its own row of the present step becomes the new pose; its past and future, and everything else, stay where they are, and
    all are seen from the new pose. `agent/target` follows. Cost maps are left as they are.

    Args:
        sample: Normalised; not changed. Arrays that do not change are shared.
        state: (7,) the new `current_state`, pose in the frame of the old one.
        present: Index of the present step.
        parity: Let `origin` and `angle` stand (T-10), and turn what is not there as well (X-5).
    """
    moved: Sample = dict(sample)
    moved["current_state"] = np.asarray(state, np.float64)
    for key in ("agent/position", "agent/heading"):
        moved[key] = sample[key].astype(np.float64)  # so that the new pose is zero exactly
    moved["agent/position"][0, present], moved["agent/heading"][0, present] = state[:2], state[2]
    moved = normalise(moved)
    if not parity:
        moved = without_padding(moved)
        moved |= _origin(sample, state)
    moved |= _other_builders(sample, state)
    return {key: array.astype(sample[key].dtype, copy=False) for key, array in moved.items()}


def _origin(sample: Mapping[str, Array], state: Floats) -> Sample:
    if "origin" not in sample or "angle" not in sample:
        return {}
    angle = float(sample["angle"])
    return {"origin": sample["origin"] + state[:2] @ rotation(-angle), "angle": np.asarray(angle + state[2])}


def _other_builders(sample: Mapping[str, Array], state: Floats) -> Sample:
    turn, angle, turned = rotation(float(state[2])), float(state[2]), {}
    for key, mask in _ROWS.items():
        if key not in sample:
            continue
        rows = sample[key].astype(np.float64)
        if rows.ndim > 1:
            rows[:, :2] = (rows[:, :2] - state[:2]) @ turn
        if rows.ndim == 1:
            rows = wrap(rows - angle)
        elif rows.shape[1] > 2:  # noqa: PLR2004 -- x, y, heading
            rows[:, 2] = wrap(rows[:, 2] - angle)
        rows[~sample[mask]] = 0.0
        turned[key] = rows
    return turned
