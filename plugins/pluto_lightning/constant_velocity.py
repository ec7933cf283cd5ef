"""A model without weights worth the name: it keeps heading and speed."""

from collections.abc import Mapping
from typing import Any

import torch

from pluto_core.component import Context
from pluto_core.plan import Plan
from pluto_core.plan import constant_velocity as straight_on
from pluto_lightning.config import ConstantConfig, ConstantVelocityConfig

Batch = Mapping[str, Any]


class ConstantVelocity(torch.nn.Module):
    """Plans one mode. Its only parameter scales the speed by one; training leaves it there."""

    def __init__(self, config: ConstantVelocityConfig) -> None:
        """Keep the horizon."""
        super().__init__()
        self.config = config
        self.scale = torch.nn.Parameter(torch.ones(()), requires_grad=True)

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Return `distance` (B, T): how far ahead the car is at every step, m."""
        steps = round(self.config.horizon_s / self.config.interval_s)
        times_s = torch.arange(1, steps + 1, device=self.scale.device) * self.config.interval_s
        speed = batch["truth"]["speed"]
        return {"distance": self.scale.detach() * speed[:, None] * times_s + 0.0 * self.scale}

    def plan(self, outputs: Mapping[str, torch.Tensor], batch: Batch) -> Plan:
        """Return the straight line as a plan of one mode."""
        steps = outputs["distance"].shape[1]
        return straight_on(batch["truth"]["speed"].detach().cpu().double().numpy(), steps, self.config.interval_s)


class DistanceObjective:
    """How far the line is from the truth."""

    def __call__(self, outputs: Mapping[str, torch.Tensor], batch: Batch, *, training: bool) -> dict[str, torch.Tensor]:
        """Return the mean distance over valid steps; `training` changes nothing."""
        del training
        ahead = outputs["distance"]
        truth, valid = batch["truth"]["trajectory"], batch["truth"]["valid"]
        # Detached: the length of nothing has no gradient, and a NaN would end in the only parameter.
        distance = torch.hypot(ahead.detach() - truth[..., 0], truth[..., 1])
        return {"loss": (distance * valid).sum() / valid.sum().clamp(min=1) + 0.0 * ahead.sum()}


def make(config: ConstantVelocityConfig, _context: Context) -> ConstantVelocity:
    """Return the model."""
    return ConstantVelocity(config)


def make_objective(_config: ConstantConfig, _context: Context) -> DistanceObjective:
    """Return the objective."""
    return DistanceObjective()
