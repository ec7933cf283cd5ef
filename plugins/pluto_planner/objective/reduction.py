"""Means over the valid entries of padded tensors, safe where there are none."""

import torch
from torch import Tensor


def masked_mean(x: Tensor, valid: Tensor) -> Tensor:
    """Return the sum of x where `valid`, over their number or 1; entries elsewhere have no effect and no gradient.

    Args:
        x: (..., ), of the shape of `valid`.
        valid: Boolean.
    """
    return torch.where(valid, x, 0.0).sum() / valid.sum().clamp(min=1)


def smooth_l1(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Return the mean over valid entries of the smooth L1 distance (beta 1), summed over the last axis.

    Args:
        prediction: (..., C).
        target: (..., C).
        valid: Boolean (...).
    """
    error = torch.where(valid[..., None], prediction - target, 0.0).abs()
    distance = torch.where(error < 1.0, 0.5 * error.square(), error - 0.5)
    return masked_mean(distance.sum(dim=-1), valid)
