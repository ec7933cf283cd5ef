"""Batch normalisation over the valid points of padded sets, without dynamic shapes."""

from typing import NamedTuple

import torch
from torch import Tensor, distributed, nn

if distributed.is_available():
    from torch.distributed.nn import functional as collective


class Moments(NamedTuple):
    """Mean (C,), biased variance (C,) and number () of the valid rows of a batch, over all ranks."""

    mean: Tensor
    variance: Tensor
    rows: Tensor


class MaskedBatchNorm(nn.Module):
    """`torch.nn.BatchNorm1d` over the valid rows of a padded batch.

    Equal to selecting the valid rows first, running statistics included, but with static shapes and no host sync.
    With fewer than two valid rows there is no variance: the running statistics are used and kept as they are. Under
    `torch.distributed` the statistics are those of all ranks.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, dim: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        """Make scale, shift and running statistics of `dim` channels."""
        super().__init__()
        self.eps = eps
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        self.register_buffer("running_mean", torch.zeros(dim))
        self.register_buffer("running_var", torch.ones(dim))
        self.register_buffer("num_batches_tracked", torch.tensor(0, dtype=torch.long))

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Normalise x (P, dim) by the rows where `valid` (P,); what invalid rows become is meaningless."""
        scale, shift = self.affine(moments(x, valid) if self.training else None)
        return torch.addcmul(shift.to(x.dtype), x, scale.to(x.dtype))

    def affine(self, batch: Moments | None) -> tuple[Tensor, Tensor]:
        """Return scale and shift (dim,) that normalise, to be folded into the linear layer before.

        Args:
            batch: Moments of what is normalised, which also move the running statistics; None: use the latter.
        """
        mean, variance = (self.running_mean, self.running_var) if batch is None else self._track(batch)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return scale, self.bias - mean * scale

    def _track(self, batch: Moments) -> tuple[Tensor, Tensor]:
        """Move the running statistics and return the mean and variance to use."""
        enough = batch.rows > 1
        with torch.no_grad():
            rate = (enough * self.momentum).to(self.running_mean.dtype)
            unbiased = batch.variance * (batch.rows / (batch.rows - 1).clamp(min=1))
            self.running_mean.lerp_(batch.mean.to(self.running_mean.dtype), rate)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), rate)
            self.num_batches_tracked.add_(enough)
            mean, variance = self.running_mean.clone(), self.running_var.clone()
        return torch.where(enough, batch.mean, mean), torch.where(enough, batch.variance, variance)


def widened(x: Tensor) -> Tensor:
    """Return x in float32 or wider, in which sums over a batch are exact enough."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def over_ranks(total: Tensor) -> Tensor:
    """Return the sum over all ranks of a sum over this rank's rows; differentiable."""
    if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
        return collective.all_reduce(total)  # type: ignore[no-any-return, no-untyped-call]
    return total


def moments(x: Tensor, valid: Tensor) -> Moments:
    """Return the moments of the rows of x (P, C) where `valid` (P,)."""
    x = torch.where(valid[:, None], widened(x), 0.0)
    count = over_ranks(valid.sum().to(x.dtype))
    mean = over_ranks(x.sum(dim=0)) / count.clamp(min=1)
    deviation = torch.where(valid[:, None], x - mean, 0.0)
    return Moments(mean, over_ranks(deviation.square().sum(dim=0)) / count.clamp(min=1), count)


def image_moments(weight: Tensor, x: Tensor, common: Tensor) -> Moments:
    """Return the moments of `weight @ x + common` over the valid points of sets, without computing it for each point.

    By the law of total variance: what varies within a set comes from the covariance of x, the rest from the sets'
    means. Sums are in float32 or wider, whatever autocast says.

    Args:
        weight: (D, C + 1).
        x: (Q, n, C + 1); the last channel is 1 at valid points, and all are 0 at invalid ones.
        common: (Q, D) or (D,), what all points of a set share.
    """
    weight, x, common = widened(weight), widened(x), widened(common)
    with torch.autocast(x.device.type, enabled=False):
        total = x.sum(dim=1)
        size = total[:, -1:]
        count = over_ranks(size.sum())
        mean_x = total / size.clamp(min=1)
        flat = x.flatten(0, 1)
        # The variance is a symmetric function of the products, so both factors have one gradient: computed once, counted twice.
        products = flat.T @ flat.detach()
        within = over_ranks(2.0 * products - products.detach() - total.T @ mean_x) / count.clamp(min=1)
        set_mean = mean_x @ weight.T + common
        mean = over_ranks((size * set_mean).sum(dim=0)) / count.clamp(min=1)
        between = over_ranks((size * (set_mean - mean).square()).sum(dim=0)) / count.clamp(min=1)
        variance = ((weight @ within) * weight).sum(dim=1) + between
    return Moments(mean, variance.clamp(min=0.0), count)
