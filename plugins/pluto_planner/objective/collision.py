"""Collision loss: the ego vehicle, covered by three discs, on a signed distance field (PLUTO, eq. 10 and 11)."""

import math

import torch
from torch import Tensor

LENGTH_M = 5.176
WIDTH_M = 2.297
REAR_AXLE_TO_REAR_M = 1.127
RESOLUTION_M = 0.2
DISCS = 3
INTERVAL_M = LENGTH_M / DISCS
RADIUS_M = math.hypot(WIDTH_M, INTERVAL_M) / 2.0 - RESOLUTION_M
OFFSETS_M = tuple(INTERVAL_M * (0.5 + disc) - REAR_AXLE_TO_REAR_M for disc in range(DISCS))
COVERED = 0.95
"""Share of the map, from its centre, in which poses are judged."""


def collision(best: Tensor, cost_maps: Tensor, rows: Tensor, *, parity: bool) -> Tensor:
    """Return how deep the discs reach into what is not drivable, in metres, averaged over discs that do.

    Rows whose ego vehicle starts off the drivable area do not count.

    Args:
        best: Planned states (B, T, 4 or more): x, y, cos, sin in the ego frame; gradients flow into all four.
        cost_maps: Signed distance (B, H, W, 1) in metres, positive where drivable, 0.2 m a cell, ego at the centre.
        rows: Rows that learn (B,).
        parity: Sample half a cell off, as the reference does (T-8).
    """
    field = cost_maps[..., 0]
    height, width = field.shape[1:]
    offsets = best.new_tensor(OFFSETS_M)[:, None]
    centres = best[:, :, None, :2] + offsets * best[:, :, None, 2:4]
    from_centre = centres / RESOLUTION_M * best.new_tensor((1.0, -1.0))
    half = best.new_tensor((width / 2.0, height / 2.0))
    on_road = field[:, height // 2, width // 2] > 0
    judged = (from_centre.abs() < COVERED * half).all(dim=-1) & (rows & on_road)[:, None, None]
    cell = torch.where(judged[..., None], from_centre, 0.0) + half - (0.5 if parity else 0.0)
    depth = RADIUS_M - bilinear(field, cell)
    active = judged & (depth > 0)
    return torch.where(active, depth, 0.0).sum() / (active.sum() + 1e-6)


def bilinear(field: Tensor, cell: Tensor) -> Tensor:
    """Return values of `field` (B, H, W) between cell centres, at `cell` (B, ..., 2) = (column, row).

    Reads four cells a point, so the field may stay in half precision and is never copied. Gradients flow into `cell`
    only. Points must lie inside the field.
    """
    height, width = field.shape[1:]
    flat = cell.flatten(1, -2)
    corner = flat.detach().floor()
    column = corner[..., 0].long().clamp(0, width - 2)
    row = corner[..., 1].long().clamp(0, height - 2)
    u, v = flat[..., 0] - column, flat[..., 1] - row
    index = row * width + column
    values = [field.flatten(1).gather(1, index + step).to(cell.dtype) for step in (0, 1, width, width + 1)]
    upper = values[0] * (1.0 - u) + values[1] * u
    lower = values[2] * (1.0 - u) + values[3] * u
    return (upper * (1.0 - v) + lower * v).view(cell.shape[:-1])
