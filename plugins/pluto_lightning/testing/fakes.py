"""A small model and its objective: they keep every promise of their kind, and pass its suite."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pluto_core.component import Context
from pluto_core.plan import Plan
from pluto_lightning.testing.config import FakeModelConfig, FakeObjectiveConfig
from pluto_lightning.testing.needs import INTERVAL_S

Batch = Mapping[str, Any]


def make_model(config: FakeModelConfig, _context: Context) -> "FakeModel":
    """Return the model `fake` with fresh weights."""
    return FakeModel(config)


def make_objective(config: FakeObjectiveConfig, _context: Context) -> "FakeObjective":
    """Return the objective `fake`."""
    return FakeObjective(config.choice)


class FakeModel(nn.Module):
    """Proposes deviations from keeping heading and speed, told by the mean place of all agents."""

    times_s: Tensor

    def __init__(self, config: FakeModelConfig) -> None:
        """Make the layers."""
        super().__init__()
        steps = round(config.horizon_s / INTERVAL_S)
        self.shape = (config.modes, steps, 3)
        self.inside = nn.Sequential(nn.Linear(3, config.width), nn.Tanh())
        self.poses = nn.Linear(config.width, config.modes * steps * 3)
        self.choice = nn.Linear(config.width, config.modes)
        self.register_buffer("times_s", torch.arange(1, steps + 1) * INTERVAL_S)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return `trajectory` (B, K, T, 3) and `logits` (B, K)."""
        valid = batch["agent"]["valid"][..., -1:].to(self.times_s.dtype)
        place = (batch["agent"]["position"][:, :, -1] * valid).sum(dim=1) / valid.sum(dim=1).clamp(min=1)
        speed = batch["speed"][:, None]
        inside = self.inside(torch.cat([place / 20, speed / 10], dim=1))
        straight = torch.zeros_like(self.times_s)[:, None].repeat(1, 3)
        straight = torch.cat([self.times_s[:, None], straight[:, :2]], dim=1) * speed[..., None]
        return {"trajectory": straight[:, None] + self.poses(inside).unflatten(1, self.shape), "logits": self.choice(inside)}

    def plan(self, outputs: Mapping[str, Tensor], batch: Batch) -> Plan:
        """Return the trajectories with the probability of each."""
        del batch
        return Plan(
            trajectories=outputs["trajectory"].detach().float().cpu().numpy(),
            probabilities=outputs["logits"].detach().float().softmax(dim=-1).cpu().numpy(),
        )


class FakeObjective:
    """Judges the mode that is nearest to the truth."""

    def __init__(self, choice: float) -> None:
        """Keep the weight of the choice."""
        self._choice = choice

    def __call__(self, outputs: Mapping[str, Tensor], batch: Batch, *, training: bool) -> dict[str, Tensor]:
        """Return `loss`, the best mode's `distance`, and `choice`, the cross-entropy of modes."""
        del training
        truth, valid = batch["truth"]["trajectory"], batch["truth"]["valid"].float()
        gap = (outputs["trajectory"].float() - truth[:, None]).abs().sum(dim=-1) * valid[:, None]
        nearest, best = (gap.sum(dim=-1) / valid.sum(dim=-1, keepdim=True).clamp(min=1)).min(dim=1)
        distance, choice = nearest.mean(), nn.functional.cross_entropy(outputs["logits"].float(), best)
        return {"loss": distance + self._choice * choice, "distance": distance, "choice": choice}
