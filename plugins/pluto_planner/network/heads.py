"""Heads that turn a token into a trajectory."""

import torch
from torch import Tensor, nn

from pluto_planner.network.mlp import MLPLayer


class TrajectoryHead(MLPLayer):
    """Two or more numbers for each future step of a token."""

    def __init__(self, dim: int, steps: int, channels: int = 2) -> None:
        """Make the head; hidden width is twice the token's."""
        super().__init__(dim, 2 * dim, steps * channels)
        self.steps = steps
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., D) to (..., steps, channels)."""
        return super().forward(x).view(*x.shape[:-1], self.steps, self.channels)


class AgentPredictor(nn.Module):
    """Predicts the future of every other agent from its encoded token (model spec section 7)."""

    def __init__(self, dim: int, future_steps: int) -> None:
        """Make the three heads."""
        super().__init__()
        self.loc_predictor, self.yaw_predictor, self.vel_predictor = (TrajectoryHead(dim, future_steps) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, N, D) to (B, N, T, 6): displacement, cosine and sine of the turn, velocity in the ego frame."""
        heads = (self.loc_predictor, self.yaw_predictor, self.vel_predictor)
        return torch.cat([head(x) for head in heads], dim=-1)
