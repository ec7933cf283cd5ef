"""Neighbourhood attention over short sequences, as one dense masked attention."""

import torch
from torch import Tensor, nn


def window_starts(length: int, kernel: int, dilation: int = 1) -> Tensor:
    """Return, for each position, where its window of `kernel` keys begins; windows move inwards at the borders.

    The keys of a position are those whose distance is a multiple of `dilation`, as if it and they were a sequence alone.
    """
    place = torch.arange(length)
    first, number = place % dilation, place // dilation
    alike = (length - 1 - first) // dilation + 1
    start = (number - (kernel - 1) // 2).clamp(min=0).minimum(alike - kernel)
    return first + dilation * start


class NeighborhoodAttention1D(nn.Module):
    """Each step attends to the `kernel` steps around it, with a relative position bias.

    Semantics of natten 0.14, borders and dilation included (model spec section 3.1). For 20 steps a dense attention with
    all but the window masked is as fast as a banded one, and needs no kernels of its own.
    """

    rpb_index: Tensor
    outside: Tensor

    def __init__(self, dim: int, num_heads: int, kernel: int, length: int, dilation: int = 1) -> None:
        """Make the projections and the bias table for sequences of `length` steps; keys lie `dilation` steps apart."""
        super().__init__()
        self.num_heads = num_heads
        self.padding = max(kernel * dilation - length, 0)
        length += self.padding
        self.rpb = nn.Parameter(torch.empty(num_heads, 2 * kernel - 1))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        nn.init.trunc_normal_(self.rpb, std=0.02, a=-2.0, b=2.0)
        step = torch.arange(length)
        offset = step[None, :] - window_starts(length, kernel, dilation)[:, None]
        outside = (offset < 0) | (offset >= kernel * dilation) | (offset % dilation != 0)
        index = (step[None, :] - step[:, None]) // dilation + kernel - 1
        self.register_buffer("rpb_index", index.clamp(0, 2 * kernel - 2), persistent=False)
        self.register_buffer("outside", outside, persistent=False)

    def forward(self, x: Tensor, last: int | None = None) -> Tensor:
        """Attend within x (N, L, D); return all steps, or the `last` ones only, (N, last, D)."""
        steps = x.shape[1]
        if self.padding:
            x = nn.functional.pad(x, (0, 0, 0, self.padding))
        first = 0 if last is None else steps - last
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        q = q[:, :, first:steps] * q.shape[-1] ** -0.5
        bias = self.rpb[:, self.rpb_index].masked_fill(self.outside, float("-inf"))[:, first:steps]
        weights = (q @ k.transpose(-2, -1) + bias).softmax(dim=-1)
        out: Tensor = self.proj((weights.to(v.dtype) @ v).transpose(1, 2).flatten(2))
        return out
