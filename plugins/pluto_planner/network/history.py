"""History encoder: a pyramid of neighbourhood attention over 20 steps, read at its last step."""

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from pluto_core.errors import PlutoError
from pluto_planner.network.mlp import DropPath, Mlp
from pluto_planner.network.neighborhood import NeighborhoodAttention1D

KERNELS = (3, 3, 5)
DEPTH = 2
HEAD_DIM = 16
MLP_RATIO = 3
NEEDED = 3
"""Steps of a level's end that the pyramid's last step depends on: two lateral outputs, kernel 3."""


def sequence_conv(x: Tensor, conv: nn.Conv1d, stride: int = 1) -> Tensor:
    """Apply the weights of a kernel-3 convolution to x (N, L, C), already padded, as one matrix product."""
    steps = x.shape[1] - 2
    windows = torch.cat([x[:, tap : tap + steps : stride] for tap in range(3)], dim=-1)
    return functional.linear(windows, conv.weight.transpose(1, 2).flatten(1), conv.bias)


class HistoryLayer(nn.Module):
    """One pre-norm layer: neighbourhood attention, then an MLP."""

    def __init__(self, dim: int, kernel: int, length: int, drop_path: float) -> None:
        """Make the layer for sequences of `length` steps; heads are 16 wide where the width allows."""
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = NeighborhoodAttention1D(dim, max(1, dim // HEAD_DIM), kernel, length)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, MLP_RATIO)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, last: int | None = None) -> Tensor:
        """Map (N, L, D) to (N, L, D), or to its `last` steps."""
        kept = x if last is None else x[:, -last:]
        kept = kept + self.drop_path(self.attn(self.norm1(x), last))
        return kept + self.drop_path(self.mlp(self.norm2(kept)))  # type: ignore[no-any-return]


class Downsample(nn.Module):
    """Halves the steps and doubles the width."""

    def __init__(self, dim: int) -> None:
        """Make the strided convolution and its norm."""
        super().__init__()
        self.reduction = nn.Conv1d(dim, 2 * dim, 3, stride=2, padding=1, bias=False)
        self.norm = nn.LayerNorm(2 * dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, L, D) to (N, ceil(L / 2), 2 D)."""
        out: Tensor = self.norm(sequence_conv(functional.pad(x, (0, 0, 1, 1)), self.reduction, stride=2))
        return out


class HistoryLevel(nn.Module):
    """The layers of one resolution, and the way to the next."""

    def __init__(self, dim: int, kernel: int, length: int, rates: list[float], *, top: bool) -> None:
        """Make one layer for each of the `rates`; the `top` level has no down-sampler."""
        super().__init__()
        self.blocks = nn.ModuleList(HistoryLayer(dim, kernel, length, rate) for rate in rates)
        self.downsample = None if top else Downsample(dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return what the pyramid reads (N, 3 or fewer, D) and the input of the next level."""
        last = min(NEEDED, x.shape[1]) if self.downsample is None else None
        for block in self.blocks[:-1]:
            x = block(x)
        x = self.blocks[-1](x, last)
        return x[:, -NEEDED:], None if self.downsample is None else self.downsample(x)


class Embedding(nn.Module):
    """Lifts the channels of each step."""

    def __init__(self, channels: int, dim: int) -> None:
        """Make the convolution."""
        super().__init__()
        self.proj = nn.Conv1d(channels, dim, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, L, C) to (N, L, D)."""
        return sequence_conv(functional.pad(x, (0, 0, 1, 1)), self.proj)


class HistoryEncoder(nn.Module):
    """Encodes the motion of each agent as one vector (model spec section 3.1).

    Only the last step of the pyramid's output is used, so only what that step depends on is computed.
    """

    def __init__(self, channels: int, dim: int, steps: int, drop_path: float) -> None:
        """Make the levels for sequences of `steps`; `dim` is the width of the result, four times the embedding's.

        Args:
            channels: Numbers per step.
            dim: Width of the result.
            steps: Steps of a sequence: history steps less one.
            drop_path: Drop-path rate of the last layer; the layers before it rise to it linearly.
        """
        super().__init__()
        lengths = [steps, (steps + 1) // 2, ((steps + 1) // 2 + 1) // 2]
        if lengths[-1] < 2:  # noqa: PLR2004 -- the upper levels are interpolated between two steps
            message = f"history encoder: {steps} steps are too few, 5 are needed; raise `history_steps` to 6 or more"
            raise PlutoError(message)
        widths = [dim // 4, dim // 2, dim]
        rates = torch.linspace(0.0, drop_path, DEPTH * len(widths)).tolist()
        self.embed = Embedding(channels, widths[0])
        self.levels = nn.ModuleList(
            HistoryLevel(width, KERNELS[i], lengths[i], rates[DEPTH * i : DEPTH * i + DEPTH], top=i + 1 == len(widths))
            for i, width in enumerate(widths)
        )
        self.norm0, self.norm1, self.norm2 = (nn.LayerNorm(width) for width in widths)
        self.lateral_convs = nn.ModuleList(nn.Conv1d(width, dim, 3, padding=1) for width in widths)
        self.fpn_conv = nn.Conv1d(dim, dim, 3, padding=1)
        self._ratios = [upper / lower for lower, upper in pairwise(lengths)]

    def forward(self, x: Tensor) -> Tensor:
        """Encode (N, steps, channels) as (N, dim)."""
        x = self.embed(x.to(self.norm0.weight.dtype))
        norms = (self.norm0, self.norm1, self.norm2)
        ends = []
        for level, norm, conv in zip(self.levels, norms, self.lateral_convs, strict=True):
            end, x = level(x)
            ends.append(sequence_conv(functional.pad(norm(end), (0, 0, NEEDED - end.shape[1], 1)), cast("nn.Conv1d", conv)))
        lateral = ends[2]
        for below, ratio in ((1, self._ratios[1]), (0, self._ratios[0])):
            lateral = ends[below] + upsampled_end(lateral, ratio)
        return sequence_conv(functional.pad(lateral, (0, 0, 0, 1)), self.fpn_conv)[:, 0]


def upsampled_end(x: Tensor, ratio: float) -> Tensor:
    """Return the last two steps of x (N, 2, C: its last two) after linear interpolation without aligned corners.

    Args:
        x: Last two steps of the coarse sequence.
        ratio: Length of the coarse sequence over that of the fine one, 0.5 to 0.67.
    """
    before = 1.5 * ratio - 0.5
    return torch.stack((before * x[:, 0] + (1.0 - before) * x[:, 1], x[:, 1]), dim=1)
