"""Losses that compare with what the expert and the other agents did."""

import torch
from torch import Tensor
from torch.nn import functional

from pluto_planner.objective.reduction import masked_mean, smooth_l1
from pluto_planner.objective.targets import Assignment

PADDED_LOGIT = -1e6


def chosen(trajectory: Tensor, assignment: Assignment) -> Tensor:
    """Return the assigned candidate (B, T, 6) of candidates (B, R, K, T, 6)."""
    rows = torch.arange(trajectory.shape[0], device=trajectory.device)
    return trajectory[rows, assignment.line, assignment.mode]


def classification(logits: Tensor, exists: Tensor, assignment: Assignment, rows: Tensor) -> Tensor:
    """Return the cross entropy of the assigned query, averaged over `rows`.

    Args:
        logits: (B, R, K).
        exists: Lines that are not padding (B, R).
        assignment: The right answers.
        rows: Rows that learn (B,).
    """
    low = max(PADDED_LOGIT, torch.finfo(logits.dtype).min)
    flat = logits.masked_fill(~exists[..., None], low).flatten(1)
    answer = assignment.line * logits.shape[2] + assignment.mode
    return masked_mean(functional.cross_entropy(flat, answer, reduction="none"), rows)


def prediction(predicted: Tensor, future: Tensor, valid: Tensor, rows: Tensor) -> Tensor:
    """Return the smooth L1 loss of the other agents' futures over known steps.

    Args:
        predicted: (B, A - 1, T, 6).
        future: (B, A, T, 6), the ego vehicle first.
        valid: Known steps (B, A, T).
        rows: Rows that learn (B,).
    """
    return smooth_l1(predicted, future[:, 1:], valid[:, 1:] & rows[:, None, None])


def yaw_norm(best: Tensor, rows: Tensor) -> Tensor:
    """Return how far (cos, sin) of the chosen candidates (B, T, 6) are from unit length, on average over `rows`."""
    deviation = (torch.linalg.vector_norm(best[..., 2:4], dim=-1) - 1.0).abs()
    return masked_mean(deviation, rows[:, None].expand(deviation.shape))
