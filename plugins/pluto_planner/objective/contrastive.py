"""Contrastive loss: a scene lies nearer to its positive copy than to its negative one (PLUTO, section III-C)."""

from torch import Tensor
from torch.nn import functional

from pluto_planner.objective.reduction import masked_mean

TEMPERATURE = 0.1


def contrastive(hidden: Tensor, whole: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Return the mean over triplets of -log(exp(a.p / t) / (exp(a.p / t) + exp(a.n / t))).

    Zero, with a gradient of zero, where no triplet counts (T-6).

    Args:
        hidden: (3 n, D): anchors, positives, negatives.
        whole: Triplets that count (n,).
        temperature: t.
    """
    anchor, positive, negative = functional.normalize(hidden, dim=-1, eps=1e-12).chunk(3)
    margin = (anchor * (negative - positive)).sum(dim=-1) / temperature
    return masked_mean(functional.softplus(margin), whole)
