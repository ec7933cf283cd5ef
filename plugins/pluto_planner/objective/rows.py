"""Which rows of a batch play which part: anchors and positives imitate, negatives are only contrasted."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

ANCHOR, POSITIVE, NEGATIVE = 0, 1, 2
COPIES = 3
"""Rows of a triplet."""


def imitation_rows(batch: Mapping[str, Any], *, contrast: bool, parity: bool) -> Tensor:
    """Return which rows (B,) learn from the expert.

    Args:
        batch: With `role` (B,) 0 anchor, 1 positive, 2 negative, and `role_valid` (B,), False at copies that could not
            be made, where rows carry their roles; otherwise the first two thirds are anchors and positives if
            `contrast`, and all rows are anchors if not.
        contrast: Whether negatives are contrasted in this step.
        parity: Let negatives imitate the expert where they are not contrasted, as the reference does (T-1).
    """
    valid = batch["agent"]["valid_mask"]
    rows = valid.shape[0]
    role: Tensor | None = batch.get("role")
    if role is None:
        count = rows // COPIES * 2 if contrast else rows
        return torch.lt(torch.arange(rows, device=valid.device), count)
    if parity and not contrast:
        return torch.ones_like(role, dtype=torch.bool)
    learns = torch.ne(role, NEGATIVE)
    return torch.logical_and(learns, batch.get("role_valid", learns))


def triplets(batch: Mapping[str, Any], rows: int) -> tuple[Tensor | None, Tensor]:
    """Return the order in which thirds of the rows are anchors, positives and negatives, and which triplets count.

    Rows with roles are sorted by role, stably, so that the i-th anchor meets the i-th positive and negative. No order
    (None) means that rows are sorted already. The number of rows must be a multiple of three.
    """
    device = batch["agent"]["valid_mask"].device
    count = rows // COPIES
    whole = torch.ones(count, dtype=torch.bool, device=device)
    if "data_n_valid_mask" in batch and batch["data_n_valid_mask"].shape[0] == count:
        whole = batch["data_n_valid_mask"]
    if "role" not in batch:
        return None, whole
    order = batch["role"].argsort(stable=True)
    roles = batch["role"][order].unflatten(0, (COPIES, count))
    expected = torch.tensor((ANCHOR, POSITIVE, NEGATIVE), device=device)
    whole = whole & (roles == expected[:, None]).all(dim=0)
    if "role_valid" in batch:
        whole = whole & batch["role_valid"][order].unflatten(0, (COPIES, count)).all(dim=0)
    return order, whole
