"""What the outputs are compared with: expert states, and the query that answers for each row."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

PADDED_DISTANCE_M = 1e6
STEPS_PER_SECOND = 10


class Assignment(NamedTuple):
    """The query of each row that is to reproduce the expert; rows without a line have none."""

    line: Tensor
    """Index of the reference line (B,)."""
    mode: Tensor
    """Index of the mode (B,)."""
    exists: Tensor
    """Whether the row has a line to be assigned to (B,)."""


def future_states(batch: Mapping[str, Any]) -> Tensor:
    """Return the future [x, y, cos, sin, vx, vy] of every agent, (B, A, T, 6).

    Position and heading are relative to the agent's present pose, along the axes of the ego frame; velocity is in
    the ego frame. The ego vehicle's present pose is the origin.
    """
    agent = batch["agent"]
    target = agent["target"]
    heading = target[..., 2]
    velocity = agent["velocity"][..., -target.shape[2] :, :]
    return torch.cat((target[..., :2], heading.cos()[..., None], heading.sin()[..., None], velocity), dim=-1)


def future_valid(batch: Mapping[str, Any]) -> Tensor:
    """Return which future steps of the agents are known, (B, A, T)."""
    valid: Tensor = batch["agent"]["valid_mask"]
    return valid[..., -batch["agent"]["target"].shape[2] :]


def assign(batch: Mapping[str, Any], modes: int, radius_m: float, *, parity: bool) -> Assignment:
    """Assign each row the line nearest the end of the expert's path, and the mode by how far along it the end is.

    The end is the last full second that is supervised. With `parity` it is one second later, as in the reference,
    which differs where the expert's future was cut (T-3).

    Args:
        batch: With at least one reference line, and its `future_projection` (B, R, seconds, 2): arc length and
            distance in metres at 1 s, 2 s, ...
        modes: Modes of a line; they share `radius_m` equally.
        radius_m: Radius of the scene.
        parity: Compute what the reference computes.
    """
    lines = batch["reference_line"]
    exists = lines["valid_mask"].any(dim=-1)
    projection = lines["future_projection"]
    steps = future_valid(batch)[:, 0].sum(dim=-1)
    second = steps // STEPS_PER_SECOND - (0 if parity else 1)
    second = second.clamp(0, projection.shape[2] - 1)
    at_end = projection.gather(2, second[:, None, None, None].expand(-1, projection.shape[1], 1, 2))[:, :, 0]
    line = torch.where(exists, at_end[..., 1], at_end[..., 1] + PADDED_DISTANCE_M).argmin(dim=1)
    along_m = at_end[..., 0].gather(1, line[:, None])[:, 0]
    mode = (along_m / (radius_m / modes)).long().clamp(0, modes - 1)
    return Assignment(line=line, mode=mode, exists=exists.any(dim=1))
