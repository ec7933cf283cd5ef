"""Embeddings of the present state of the ego vehicle."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pluto_planner.network.attention import MultiheadAttention
from pluto_planner.network.normalization import MaskedBatchNorm

HEADS = 4
ALWAYS_SEEN = 3
"""x, y and heading are never dropped."""


class EgoStateAttention(nn.Module):
    """One learned query reads a token for each number of the state (model spec section 3.2).

    In training velocity, acceleration and steering are hidden at random, so that the planner does not merely go on
    as before.
    """

    def __init__(self, channels: int, dim: int, dropout: float) -> None:
        """Make the tokens' layers; `dropout` is the probability with which a dynamic channel is hidden."""
        super().__init__()
        self.dropout = dropout
        self.linears = nn.ModuleList(nn.Linear(1, dim) for _ in range(channels))
        self.attn = MultiheadAttention(dim, HEADS)
        self.pos_embed = nn.Parameter(torch.randn(1, channels, dim) * 0.02)
        self.query = nn.Parameter(torch.randn(1, 1, dim) * 0.02)

    def forward(self, state: Tensor) -> Tensor:
        """Embed (B, channels) as (B, D)."""
        state = state.to(self.query.dtype)
        tokens = torch.stack([linear(state[:, i, None]) for i, linear in enumerate(self.linears)], dim=1)
        tokens = tokens + self.pos_embed
        attend = None
        if self.training and self.dropout > 0.0:
            seen = torch.rand(state.shape, device=state.device) >= self.dropout
            always = torch.arange(state.shape[1], device=state.device) < ALWAYS_SEEN
            attend = (seen | always)[:, None, None, :]
        query = self.query.expand(state.shape[0], -1, -1)
        return self.attn(query, tokens, tokens, attend)[:, 0]  # type: ignore[no-any-return]


class EgoStateMlp(nn.Sequential):
    """The state as it is, through an MLP with batch normalisation."""

    def __init__(self, channels: int, dim: int) -> None:
        """Make the layers."""
        super().__init__(nn.Linear(channels, dim, bias=False), MaskedBatchNorm(dim), nn.ReLU(), nn.Linear(dim, dim))

    def forward(self, state: Tensor) -> Tensor:
        """Embed (B, channels) as (B, D)."""
        enter, norm, _, leave = self
        hidden = enter(state.to(next(enter.parameters()).dtype))
        rows = torch.ones(state.shape[0], dtype=torch.bool, device=state.device)
        return leave(functional.relu(norm(hidden, rows)))  # type: ignore[no-any-return]
