"""How the learning rate follows the number of samples in a step."""

import math
from typing import Any

import attrs
from torch.optim import Optimizer


@attrs.frozen(kw_only=True)
class Scaling:
    """A rule for one training, and what it comes to."""

    rule: str
    """`none`, `equal_variance` or `linear`."""
    samples: int
    """Samples of a step, over all devices and accumulated batches."""
    meant_for: int
    """Samples of a step that the optimizer's settings are meant for."""

    @property
    def factor(self) -> float:
        """Return what the learning rate is multiplied with.

        `equal_variance`: the square root of the ratio, which keeps the variance of a step (Krizhevsky, arXiv 1404.5997);
        `linear`: the ratio (Goyal et al., arXiv 1706.02677).
        """
        ratio = self.samples / self.meant_for
        return {"none": 1.0, "equal_variance": math.sqrt(ratio), "linear": ratio}[self.rule]

    def apply(self, optimizer: Optimizer) -> None:
        """Scale an optimizer before a schedule is made of it: rates by the factor, betas to its power (nuPlan v1.1)."""
        for group in optimizer.param_groups:
            group["lr"] *= self.factor
            if "betas" in group:
                group["betas"] = tuple(beta**self.factor for beta in group["betas"])

    def numbers(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return rule, factor and what the optimizer has of it, as plain values."""
        group = optimizer.param_groups[0]
        told = {"rule": self.rule, "samples_per_step": self.samples, "meant_for": self.meant_for, "factor": self.factor}
        told["lr"] = float(group["lr"])
        return {**told, "betas": [float(beta) for beta in group["betas"]]} if "betas" in group else told

    def text(self) -> str:
        """Return the rule in one line."""
        return (
            f"learning rate times {self.factor:.4g} ({self.rule}): "
            f"{self.samples} samples a step, settings are for {self.meant_for}"
        )
