"""Rows of agents: left out, added. Arrays that do not change are the sample's own."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pluto_core.arrays import SampleSpec
from pluto_core.errors import PlutoError
from pluto_core.samples import Array, Sample

Mask = npt.NDArray[np.bool_]

CAUSAL = ("causal/leading_agent_mask", "causal/leading_distance", "causal/interaction_label")
"""Arrays outside `agent/` that have a row for each agent."""


def keys(sample: Mapping[str, object], group: str = "agent") -> list[str]:
    """Return the arrays whose first axis counts agents."""
    return [key for key in sample if key.startswith(f"{group}/") or (key in CAUSAL and group == "agent")]


def refuse_others(name: str, spec: SampleSpec, group: str = "agent") -> None:
    """Prove that no other array counts agents: rows left out or added would be missed there.

    Raises:
        PlutoError: There is another one.
    """
    own = keys(spec, group)
    dims = {spec[key].dims[0] for key in own if spec[key].dims and isinstance(spec[key].dims[0], str)}
    others = sorted(key for key, array in spec.items() if key not in own and dims & set(array.free_dims))
    if others:
        message = (
            f"augmentation {name!r} changes how many agents there are, and cannot change these arrays: {', '.join(others)}; "
            "leave out the builder that gives them, or the augmentation"
        )
        raise PlutoError(message)


def kept(sample: Mapping[str, Array], rows: Mask, group: str = "agent") -> Sample:
    """Return the sample with the agents of a mask (A,) alone."""
    fewer: Sample = dict(sample)
    for key in keys(sample, group):
        fewer[key] = sample[key][rows]
    return fewer


def joined(sample: Mapping[str, Array], row: Mapping[str, Array]) -> Sample:
    """Return the sample with one more agent, behind the others; `row` holds its arrays without the agents' axis."""
    more: Sample = dict(sample)
    for key in keys(sample):
        array = sample[key]
        more[key] = np.concatenate([array, np.asarray(row[key], array.dtype)[None]])
    return more


def interacting(sample: Mapping[str, Array], horizon_steps: float) -> Mask:
    """Return the mask (A,) of agents that lead the ego vehicle, or that it meets after them within a horizon."""
    label = sample["causal/interaction_label"]
    return np.asarray(sample["causal/leading_agent_mask"] | ((label > 0) & (label < horizon_steps)))
