"""Batch normalisation over the valid points of padded sets, without dynamic shapes."""

import torch
from torch import Tensor, distributed, nn


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

    def after(self, linear: nn.Linear, x: Tensor, valid: Tensor) -> Tensor:
        """Return the normalised output of `linear` on x (P, C), folded into one linear map.

        Mean and variance of an affine image follow from the covariance of its input, which is cheap where the input
        is narrow: the image itself is then computed once, already normalised.

        Args:
            linear: The layer before this one.
            x: Its input; invalid rows may hold any finite number.
            valid: Boolean (P,), the rows that count.
        """
        weight, bias = linear.weight, linear.bias
        if self.training:
            mean, covariance, count = _moments(x, valid)
            wide = weight.to(mean.dtype)
            with torch.autocast(x.device.type, enabled=False):
                variance = ((wide @ covariance) * wide).sum(dim=1)
                mean = wide @ mean + bias
            mean, variance = self._track(mean, variance, count)
        else:
            mean, variance = self.running_mean, self.running_var
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias + scale * (bias - mean)
        return nn.functional.linear(x, (scale[:, None] * weight).to(x.dtype), shift.to(x.dtype))

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Normalise x (P, dim) by the rows where `valid` (P,); what invalid rows become is finite and meaningless."""
        if self.training:
            mean, variance, count = _channel_moments(x, valid)
            mean, variance = self._track(mean, variance, count)
        else:
            mean, variance = self.running_mean, self.running_var
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return torch.addcmul((self.bias - mean * scale).to(x.dtype), x, scale.to(x.dtype))

    def _track(self, mean: Tensor, variance: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """Update the running statistics and return those to use."""
        enough = count > 1
        with torch.no_grad():
            rate = enough * self.momentum
            unbiased = variance * (count / (count - 1).clamp(min=1))
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), rate.to(self.running_mean.dtype))
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), rate.to(self.running_var.dtype))
            self.num_batches_tracked.add_(enough)
        mean = torch.where(enough, mean, self.running_mean)
        return mean, torch.where(enough, variance, self.running_var)


def _totals(parts: Tensor) -> Tensor:
    """Return sums over all ranks; the gradient of a sum goes to every rank."""
    if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
        total: Tensor = distributed.nn.functional.all_reduce(parts)
        return total
    return parts


def _count_and_mean(x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return x in float32 or wider with invalid rows zero, the number of valid rows, and their mean (C,)."""
    x = x.to(torch.promote_types(x.dtype, torch.float32)) * valid[:, None]
    totals = _totals(torch.cat((x.sum(dim=0), valid.sum().to(x.dtype)[None])))
    count = totals[-1]
    return x, count, totals[:-1] / count.clamp(min=1)


def _channel_moments(x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean (C,), biased variance (C,) and count of the valid rows of x (P, C)."""
    x, count, mean = _count_and_mean(x, valid)
    centred = (x - mean) * valid[:, None]
    return mean, _totals(centred.square().sum(dim=0)) / count.clamp(min=1), count


def _moments(x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean (C,), biased covariance (C, C) and count of the valid rows of x (P, C)."""
    x, count, mean = _count_and_mean(x, valid)
    centred = (x - mean) * valid[:, None]
    with torch.autocast(x.device.type, enabled=False):
        return mean, _totals(centred.T @ centred) / count.clamp(min=1), count
