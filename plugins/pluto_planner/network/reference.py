"""Networks from state dicts with the reference's names, such as official checkpoints."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from pluto_core.errors import PlutoError
from pluto_planner.network.planner import PlutoNetwork

PREFIX = "model."
"""Lightning checkpoints put this before every name."""
SHOWN = 5


def from_reference_state_dict(state_dict: Mapping[str, Tensor], parity: bool = True) -> PlutoNetwork:  # noqa: FBT001, FBT002 -- the agreed signature
    """Return the network that the names and shapes of a state dict describe, with its weights, in evaluation mode.

    Flags, widths and depths are read from names and shapes. Heads leave no trace there: 4, as published, as are 21
    history steps.

    Args:
        state_dict: Tensors by name, with or without the prefix `model.`.
        parity: Compute what the reference computes, defects included.

    Raises:
        PlutoError: If names or shapes are not those of such a network.
    """
    state = strip_prefix(state_dict)
    network = PlutoNetwork(**settings_of(state), parity=parity)
    if problem := misfit(network.state_dict(), state):
        message = f"state dict does not fit the PLUTO network that it describes: {problem}"
        raise PlutoError(message)
    dtype = state["norm.weight"].dtype
    network.to(dtype).load_state_dict(dict(state))
    return network.eval()


def strip_prefix(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the entries without the prefix of Lightning checkpoints; other entries are dropped if it is there."""
    if not any(name.startswith(PREFIX) for name in state_dict):
        return dict(state_dict)
    return {name.removeprefix(PREFIX): value for name, value in state_dict.items() if name.startswith(PREFIX)}


def settings_of(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return widths and depths, from shapes and numbered names, and which optional parts there are, from names."""
    return {
        "dim": _shape(state, "norm.weight")[0],
        "num_modes": _shape(state, "planning_decoder.m_pos")[1],
        "future_steps": _shape(state, "planning_decoder.loc_head.mlp.3.weight")[0] // 2,
        "encoder_depth": _numbered(state, "encoder_blocks"),
        "decoder_depth": _numbered(state, "planning_decoder.decoder_blocks"),
        "state_channel": _state_channels(state),
        "use_hidden_proj": "hidden_proj.0.weight" in state,
        "cat_x": "planning_decoder.cat_x_proj.weight" in state,
        "ref_free_traj": "ref_free_decoder.mlp.0.weight" in state,
        "use_ego_history": not any(name.startswith("agent_encoder.ego_state_emb.") for name in state),
        "state_attn_encoder": "agent_encoder.ego_state_emb.0.weight" not in state,
    }


def _state_channels(state: Mapping[str, Tensor]) -> int:
    """Return how many numbers of the ego state are read."""
    by_mlp = state.get("agent_encoder.ego_state_emb.0.weight")
    if by_mlp is not None:
        return by_mlp.shape[1]
    return _numbered(state, "agent_encoder.ego_state_emb.linears") or 6


def _shape(state: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    """Return the shape of an entry that every network has."""
    if name not in state:
        message = f"state dict: {name} is missing, so this is no PLUTO network (found {_some(state)})"
        raise PlutoError(message)
    return tuple(state[name].shape)


def _numbered(state: Mapping[str, Tensor], prefix: str) -> int:
    """Return how many modules are listed under a name: one more than the largest number."""
    pattern = re.compile(re.escape(prefix) + r"\.(\d+)\.")
    return max((int(match[1]) + 1 for name in state if (match := pattern.match(name))), default=0)


def misfit(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Return everything in which entries differ from those of a network; nothing where they fit."""
    problems = []
    if missing := sorted(expected.keys() - found.keys()):
        problems.append(f"missing {_some(missing)}")
    if unexpected := sorted(found.keys() - expected.keys()):
        problems.append(f"unexpected {_some(unexpected)}")
    shapes = [
        f"{name} is {tuple(found[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in expected.keys() & found.keys()
        if found[name].shape != expected[name].shape
    ]
    if shapes:
        problems.append(f"of another shape: {_some(sorted(shapes))}")
    return "; ".join(problems)


def _some(names: Iterable[str]) -> str:
    """Return the first names and how many more there are."""
    names = list(names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or "nothing") + more
