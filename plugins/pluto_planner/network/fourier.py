"""Fourier embedding of coordinates with learned frequencies."""

import math

import torch
from torch import Tensor, nn


class FourierEmbedding(nn.Module):
    """Embeds a few numbers per token: learned frequencies, one MLP a channel, summed (model spec section 2)."""

    def __init__(self, channels: int, dim: int, frequencies: int = 64) -> None:
        """Make the frequency table (channels, frequencies) and one MLP for each channel."""
        super().__init__()
        self.freqs = nn.Embedding(channels, frequencies)
        width = 2 * frequencies + 1
        self.mlps = nn.ModuleList(
            nn.Sequential(nn.Linear(width, dim), nn.LayerNorm(dim), nn.ReLU(), nn.Linear(dim, dim)) for _ in range(channels)
        )
        self.to_out = nn.Sequential(nn.LayerNorm(dim), nn.ReLU(), nn.Linear(dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Embed (..., channels) as (..., dim).

        Phases are taken in float32 at least: at 100 m a bfloat16 phase is off by whole turns.
        """
        dtype = self.freqs.weight.dtype
        wide = torch.promote_types(torch.promote_types(x.dtype, dtype), torch.float32)
        value = x.to(wide).unsqueeze(-1)
        phase = value * (2.0 * math.pi * self.freqs.weight.to(wide))
        basis = torch.cat((phase.cos(), phase.sin(), value), dim=-1).to(dtype)
        total = self.mlps[0](basis[..., 0, :])
        for channel in range(1, len(self.mlps)):
            total = total + self.mlps[channel](basis[..., channel, :])
        out: Tensor = self.to_out(total)
        return out


def wrap(angle: Tensor) -> Tensor:
    """Return angles (rad) brought to [-pi, pi)."""
    return torch.remainder(angle + math.pi, 2.0 * math.pi) - math.pi
