"""Which parameters are decayed (weights that multiply, and no others), and which learn at a rate of their own."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TypedDict

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from pluto_core.errors import PlutoError


class ParameterGroup(TypedDict):
    """One group as torch optimisers take it."""

    params: list[nn.Parameter]
    weight_decay: float


def parameter_groups(module: nn.Module, weight_decay: float) -> list[ParameterGroup]:
    """Return a decayed and a not decayed group, each in order of names (training spec section 8).

    Decayed are weights of two or more axes, except embeddings: those of linear layers, convolutions and attention.
    Biases, norms, embeddings and free parameters are not; neither is a weight shared with one of those.

    Args:
        module: Any module; parameters that need no gradient are grouped as well.
        weight_decay: Of the first group.
    """
    named = dict(module.named_parameters())
    plain = _not_decayed(module)
    decayed = [name for name in sorted(named) if named[name] not in plain]
    rest = [name for name in sorted(named) if named[name] in plain]
    if len(decayed) + len(rest) != len(named) or set(decayed) & set(rest):
        message = "every parameter must be in exactly one group"
        raise AssertionError(message)
    return [
        {"params": [named[name] for name in decayed], "weight_decay": weight_decay},
        {"params": [named[name] for name in rest], "weight_decay": 0.0},
    ]


def by_factor(module: nn.Module, factors: Mapping[str, float]) -> dict[nn.Parameter, float]:
    """Return what the learning rate of each parameter is multiplied with; 1 where no pattern fits its name.

    Args:
        module: Any module.
        factors: By pattern of shells (`*`, `?`, `[...]`); of several that fit, the first one counts.

    Raises:
        PlutoError: A pattern fits no parameter.
    """
    named = dict(module.named_parameters())
    for pattern in factors:
        if not any(fnmatchcase(name, pattern) for name in named):
            message = (
                f"optimizer.lr_factors: {pattern!r} fits no parameter of the model; its first are {', '.join(list(named)[:5])}"
            )
            raise PlutoError(message)
    return {
        parameter: next((factor for pattern, factor in factors.items() if fnmatchcase(name, pattern)), 1.0)
        for name, parameter in named.items()
    }


def _not_decayed(module: nn.Module) -> set[nn.Parameter]:
    """Return the parameters that any of their owners does not want decayed."""
    return {
        parameter
        for owner in module.modules()
        for leaf, parameter in owner.named_parameters(recurse=False)
        if not _is_decayed(owner, leaf, parameter)
    }


def _is_decayed(owner: nn.Module, leaf: str, parameter: nn.Parameter) -> bool:
    """Return whether a module's own parameter is decayed, by its name, its axes and its owner."""
    if "bias" in leaf or "weight" not in leaf:
        return False
    if isinstance(owner, nn.Embedding | nn.EmbeddingBag | nn.LayerNorm | nn.GroupNorm | _NormBase):
        return False
    return parameter.ndim > 1
