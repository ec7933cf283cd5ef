"""Negatives: scenes in which the expert's answer would be wrong (training spec 6.2)."""

from collections.abc import Callable, Mapping

import numpy as np

from pluto_augment import agents
from pluto_augment.config import ContrastiveConfig, Generator
from pluto_augment.insertion import with_leader
from pluto_core.samples import Array, Sample

GREEN, UNKNOWN = 0, 3
"""Codes of traffic lights."""

Change = Callable[[Mapping[str, Array], np.random.Generator, ContrastiveConfig], Sample | None]


def available(sample: Mapping[str, Array], config: ContrastiveConfig) -> list[Generator]:
    """Return the generators that have something to change in a sample."""
    wanted = config.negatives
    found: list[Generator] = []
    if "traffic_light_inversion" in wanted or "interacting_agent_dropout" in wanted:
        waits = bool(sample["causal/is_waiting_for_red_light_without_lead"])
        if waits and "traffic_light_inversion" in wanted and (config.parity or sample["causal/ego_care_red_light_mask"].any()):
            found.append("traffic_light_inversion")
        if not waits and "interacting_agent_dropout" in wanted and _interacting(sample, config).any():
            found.append("interacting_agent_dropout")
    if "leading_agent_insertion" in wanted and len(sample["causal/free_path_points"]) and len(sample["agent/category"]) > 1:
        found.append("leading_agent_insertion")
    return found


def negative(sample: Mapping[str, Array], rng: np.random.Generator, config: ContrastiveConfig) -> Sample | None:
    """Return the sample after one of the generators that apply, each as likely; None where none does."""
    applies = available(sample, config)
    for index in rng.permutation(len(applies)).tolist():
        varied = CHANGES[applies[index]](sample, rng, config)
        if varied is not None:
            return varied
    return None


def without_red_lights(sample: Mapping[str, Array], rng: np.random.Generator, _config: ContrastiveConfig) -> Sample:
    """Return the sample with the red lights that the ego vehicle obeys turned green or unknown, each by itself."""
    cared = sample["causal/ego_care_red_light_mask"]
    status = sample["map/polygon_tl_status"].copy()
    status[cared] = rng.choice([GREEN, UNKNOWN], size=int(cared.sum()))
    return {**sample, "map/polygon_tl_status": status}


def without_interacting(sample: Mapping[str, Array], _rng: np.random.Generator, config: ContrastiveConfig) -> Sample:
    """Return the sample without the agents that lead the ego vehicle or that it lets pass."""
    return agents.kept(sample, ~_interacting(sample, config))


CHANGES: Mapping[Generator, Change] = {
    "traffic_light_inversion": without_red_lights,
    "interacting_agent_dropout": without_interacting,
    "leading_agent_insertion": with_leader,
}


def _interacting(sample: Mapping[str, Array], config: ContrastiveConfig) -> agents.Mask:
    return agents.interacting(sample, config.max_interaction_horizon)
