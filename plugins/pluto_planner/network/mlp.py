"""The feed-forward pieces of the network: MLPs and stochastic depth."""

import torch
from torch import Tensor, nn


class MLPLayer(nn.Module):
    """Linear, LayerNorm, ReLU, Linear: the head of every PLUTO output."""

    def __init__(self, dim_in: int, hidden: int, dim_out: int) -> None:
        """Make the layers; the state dict counts them as `mlp.0`, `mlp.1`, `mlp.3`."""
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(dim_in, hidden), nn.LayerNorm(hidden), nn.ReLU(), nn.Linear(hidden, dim_out))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., dim_in) to (..., dim_out)."""
        out: Tensor = self.mlp(x)
        return out


class Mlp(nn.Module):
    """Linear, exact GELU, Linear: the feed-forward half of a transformer block."""

    def __init__(self, dim: int, ratio: int) -> None:
        """Make the two layers; `ratio` is hidden width over width."""
        super().__init__()
        self.fc1 = nn.Linear(dim, ratio * dim)
        self.fc2 = nn.Linear(ratio * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., dim) to (..., dim)."""
        out: Tensor = self.fc2(nn.functional.gelu(self.fc1(x)))
        return out


class DropPath(nn.Module):
    """Stochastic depth: in training the whole branch of a row is dropped, survivors are scaled up."""

    def __init__(self, probability: float) -> None:
        """Drop each row (axis 0) with `probability`."""
        super().__init__()
        self.probability = probability

    def forward(self, branch: Tensor) -> Tensor:
        """Return the branch (N, ...), rows dropped at random while training."""
        if not self.training or self.probability == 0.0:
            return branch
        keep = 1.0 - self.probability
        shape = (branch.shape[0],) + (1,) * (branch.ndim - 1)
        return branch * ((torch.rand(shape, device=branch.device) < keep).to(branch.dtype) / keep)
