"""The model `neighbors`: who is near, how fast one drives, hence where to go."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pluto_core import Context
from pluto_core.plan import Plan
from pluto_neighbors.config import PlannerConfig
from pluto_neighbors.schema import steps

Batch = Mapping[str, Any]


def make(config: PlannerConfig, _context: Context) -> "Planner":
    """Return the model with fresh weights."""
    return Planner(config)


class Planner(nn.Module):
    """Proposes trajectories as deviations from keeping heading and speed."""

    times_s: Tensor

    def __init__(self, config: PlannerConfig) -> None:
        """Make the layers."""
        super().__init__()
        past = steps(config.history_s, config.interval_s) + 1
        self._future = steps(config.horizon_s, config.interval_s)
        self._modes = config.modes
        self.ego = nn.Sequential(nn.Linear(past * 2, config.width), nn.ReLU())
        self.neighbor = nn.Sequential(nn.Linear(past * 5, config.width), nn.ReLU(), nn.Linear(config.width, config.width))
        self.nobody = nn.Parameter(torch.zeros(config.width))
        self.head = nn.Sequential(
            nn.Linear(2 * config.width, config.width),
            nn.ReLU(),
            nn.Linear(config.width, config.modes * (self._future * 3 + 1)),
        )
        self.register_buffer("times_s", torch.arange(1, self._future + 1) * config.interval_s)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return `trajectory` (B, K, T, 3) in the ego frame, m and rad, and `logits` (B, K)."""
        speed = batch["ego"]["velocity"]
        known = torch.cat([self.ego(speed.flatten(1)), self._around(batch["neighbor"])], dim=1)
        answer = self.head(known).unflatten(1, (self._modes, -1))
        straight = torch.zeros_like(answer[..., 1:].unflatten(-1, (self._future, 3)))
        straight[..., 0] = (speed[:, -1, :1] * self.times_s)[:, None]
        deviation = answer[..., 1:].unflatten(-1, (self._future, 3)).cumsum(dim=2) * 0.1
        return {"trajectory": straight + deviation, "logits": answer[..., 0]}

    def _around(self, neighbor: Batch) -> Tensor:
        """Return (B, width): the largest answer to each neighbor; rows that padding added are not asked."""
        valid = neighbor["valid"]
        told = torch.cat([neighbor["position"] / 10, neighbor["velocity"] / 10, valid[..., None].float()], dim=-1)
        there = valid.any(dim=-1, keepdim=True)
        answers = self.neighbor(told.flatten(2)).masked_fill(~there, float("-inf"))
        nobody = self.nobody.expand(len(valid), 1, -1)
        return torch.cat([nobody, answers], dim=1).amax(dim=1)

    def plan(self, outputs: Mapping[str, Tensor], batch: Batch) -> Plan:
        """Return the trajectories with the probability of each."""
        del batch
        trajectories, logits = outputs["trajectory"].detach(), outputs["logits"].detach()
        return Plan(
            trajectories=trajectories.float().cpu().numpy(),
            probabilities=logits.float().softmax(dim=-1).cpu().numpy(),
        )
