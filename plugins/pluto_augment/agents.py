"""Rows of agents: left out, added. Arrays that do not change are the sample's own."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pluto_core.samples import Array, Sample

Mask = npt.NDArray[np.bool_]

CAUSAL = ("causal/leading_agent_mask", "causal/leading_distance", "causal/interaction_label")
"""Arrays outside `agent/` that have a row for each agent."""


def keys(sample: Mapping[str, Array]) -> list[str]:
    """Return the arrays whose first axis counts agents."""
    return [key for key in sample if key.startswith("agent/") or key in CAUSAL]


def kept(sample: Mapping[str, Array], rows: Mask) -> Sample:
    """Return the sample with the agents of a mask (A,) alone."""
    fewer: Sample = dict(sample)
    for key in keys(sample):
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
