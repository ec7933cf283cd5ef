"""The model `ego_mlp`: a multilayer perceptron that sees the ego vehicle's past and nobody else.

How far a planner gets without looking (compare arXiv 2305.10430, which found it far): what a model that sees the scene must
beat. Shapes: B rows, K modes, T planned steps, H steps of history.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pluto_core.component import Context
from pluto_core.plan import Plan
from pluto_lightning.config import EgoMlpConfig, EgoMlpObjectiveConfig

Batch = Mapping[str, Any]

_POSITION_M, _SPEED_MPS, _ACCELERATION_MPS2 = 20.0, 10.0, 2.0
"""What makes inputs about one."""
_COLUMNS = 9
"""x, y, cos, sin, velocity (2), acceleration (2), valid."""


class EgoMlp(nn.Module):
    """Plans K ways from the history alone, each as constant velocity and a polynomial in time, so that ways are smooth."""

    times_s: Tensor
    powers: Tensor
    """(T, degree) powers of time as shares of the horizon, times the horizon."""

    def __init__(self, config: EgoMlpConfig) -> None:
        """Build the layers."""
        super().__init__()
        self.config = config
        sizes = [config.history_steps * _COLUMNS, *[config.width] * config.depth]
        layers = [
            layer
            for before, after in pairwise(sizes)
            for layer in (nn.Linear(before, after), nn.LayerNorm(after), nn.ReLU(), nn.Dropout(config.dropout))
        ]
        self.trunk = nn.Sequential(*layers)
        self.corrections = nn.Linear(config.width, config.modes * config.degree * 3)
        self.logits = nn.Linear(config.width, config.modes)
        times_s = torch.arange(1, config.future_steps + 1) * config.interval_s
        self.register_buffer("times_s", times_s, persistent=False)
        share = (times_s / config.horizon_s)[:, None]
        powers = config.horizon_s * share ** torch.arange(1, config.degree + 1)
        self.register_buffer("powers", powers, persistent=False)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return `trajectory` (B, K, T, 3) in the ego frame and `logits` (B, K)."""
        history = batch["ego_history"]
        hidden = self.trunk(_inputs(history))
        factors = self.corrections(hidden).unflatten(1, (self.config.modes, self.config.degree, 3))
        corrections = self.powers @ (factors * factors.new_tensor([1.0, 1.0, 0.1]))
        ahead = history["velocity"][:, -1, :1] * self.times_s
        straight = functional.pad(ahead[:, None, :, None], (0, 2))
        return {"trajectory": straight + corrections, "logits": self.logits(hidden)}

    def plan(self, outputs: Mapping[str, Tensor], batch: Batch) -> Plan:
        """Return every mode with its probability."""
        del batch
        probabilities = torch.softmax(outputs["logits"].detach().float(), dim=1)
        trajectories = outputs["trajectory"].detach().float()
        return Plan(trajectories=trajectories.cpu().numpy(), probabilities=probabilities.cpu().numpy())


def _inputs(history: Mapping[str, Tensor]) -> Tensor:
    """Return (B, H * _COLUMNS) numbers about one; rows that were not recorded are zeros."""
    heading, valid = history["heading"], history["valid"]
    columns = torch.cat(
        [
            history["position"] / _POSITION_M,
            heading.cos()[..., None],
            heading.sin()[..., None],
            history["velocity"] / _SPEED_MPS,
            history["acceleration"] / _ACCELERATION_MPS2,
            torch.ones_like(heading)[..., None],
        ],
        dim=-1,
    )
    return (columns * valid[..., None]).flatten(1)


class EgoMlpObjective:
    """The mode that is nearest to the truth learns the way, the probabilities learn which mode that is."""

    def __init__(self, config: EgoMlpObjectiveConfig) -> None:
        """Keep the weights."""
        self._config = config

    def __call__(self, outputs: Mapping[str, Tensor], batch: Batch, *, training: bool) -> dict[str, Tensor]:
        """Return `regression`, `classification` and their weighted sum `loss`; `training` changes nothing.

        Rows without a known step teach nothing, and a batch of such rows gives 0.
        """
        del training
        truth, valid = batch["truth"]["trajectory"], batch["truth"]["valid"]
        ways, steps = _whole(outputs["trajectory"]), valid.sum(dim=1)
        gap = torch.linalg.vector_norm((ways.detach() - truth[:, None])[..., :2], dim=-1)
        distance = (gap * valid[:, None]).sum(dim=2) / steps.clamp(min=1)[:, None]
        best = distance.argmin(dim=1)
        chosen = ways[torch.arange(len(best), device=best.device), best]
        losses = functional.smooth_l1_loss(chosen, truth, reduction="none").sum(dim=-1)
        regression = (losses * valid).sum() / valid.sum().clamp(min=1)
        known = steps > 0
        missed = functional.cross_entropy(_whole(outputs["logits"]), best, reduction="none")
        classification = (missed * known).sum() / known.sum().clamp(min=1)
        return {
            "loss": self._config.regression * regression + self._config.classification * classification,
            "regression": regression,
            "classification": classification,
        }


def _whole(values: Tensor) -> Tensor:
    """Return values in float32 or wider: losses of half precision would lose what they tell."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def make(config: EgoMlpConfig, _context: Context) -> EgoMlp:
    """Return the model with fresh weights."""
    return EgoMlp(config)


def make_objective(config: EgoMlpObjectiveConfig, _context: Context) -> EgoMlpObjective:
    """Return the objective."""
    return EgoMlpObjective(config)
