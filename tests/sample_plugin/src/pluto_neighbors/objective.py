"""The objective `neighbors`: the best mode learns where to go, and that it was the best."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn.functional import cross_entropy

from pluto_core import Context
from pluto_neighbors.config import ObjectiveConfig

Batch = Mapping[str, Any]


def make(config: ObjectiveConfig, _context: Context) -> "BestMode":
    """Return the objective."""
    return BestMode(config.mode_weight)


class BestMode:
    """Judges the mode that is nearest to the truth."""

    def __init__(self, mode_weight: float) -> None:
        """Keep the weight."""
        self._mode_weight = mode_weight

    def __call__(self, outputs: Mapping[str, Tensor], batch: Batch, *, training: bool) -> dict[str, Tensor]:
        """Return `loss`, the best mode's mean `distance`, and `choice`, the cross-entropy of modes."""
        del training
        truth, valid = batch["truth"]["trajectory"], batch["truth"]["valid"].float()
        gap = (outputs["trajectory"].float() - truth[:, None]).abs().sum(dim=-1)
        distance = (gap * valid[:, None]).sum(dim=-1) / valid.sum(dim=-1, keepdim=True).clamp(min=1)
        nearest, best = distance.min(dim=1)
        choice = cross_entropy(outputs["logits"].float(), best)
        reach = nearest.mean()
        return {"loss": reach + self._mode_weight * choice, "distance": reach, "choice": choice}
