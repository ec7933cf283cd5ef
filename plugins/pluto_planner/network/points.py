"""PointNet-style encoder of sets of points: polylines of the map, reference lines."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from pluto_planner.network.known import on_known_rows
from pluto_planner.network.normalization import MaskedBatchNorm, image_moments

ALIGNED = 8
"""Widths are brought to a multiple of this."""


def pooled(x: Tensor) -> Tensor:
    """Return the maximum over points, (Q, D), of x (Q, n, D)."""
    # `max` also finds indices, which makes its gradient a scatter; `amax` is faster where there is none.
    return x.max(dim=1).values if torch.is_grad_enabled() else x.amax(dim=1)


class PointsEncoder(nn.Module):
    """Encodes each set of points as one vector (model spec section 2).

    Zeros of invalid points take part in both maxima, as in the published network: a set with an invalid point has no
    negative component, and a set without valid points gives exactly zero.

    Computed as published, but with fewer operations. Normalisations are folded into the linear layer before. Points
    carry validity as one more channel, which plays the part of the bias, so that invalid points stay zero by
    themselves. And where the second stage reads [h, g], h = A a of a point and g of its set, W [h, g] is (W_h A) a once a
    point plus W_g g once a set.
    """

    def __init__(self, channels: int, dim: int) -> None:
        """Make both stages."""
        super().__init__()
        self.first_mlp = nn.Sequential(nn.Linear(channels, 128), MaskedBatchNorm(128), nn.ReLU(), nn.Linear(128, 256))
        self.second_mlp = nn.Sequential(nn.Linear(512, 256), MaskedBatchNorm(256), nn.ReLU(), nn.Linear(256, dim))

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Encode points (Q, n, channels) with validity (Q, n) as (Q, dim)."""
        return on_known_rows(self._encode, valid.any(dim=1), x, valid)

    def _encode(self, x: Tensor, valid: Tensor) -> Tensor:
        """Encode every set."""
        _, _, lift = _layers(self.first_mlp)
        join, join_norm, leave = _layers(self.second_mlp)
        known = valid[..., None]
        hidden = self._hidden(_aligned(torch.where(known, x, 0.0), known.to(x.dtype)))
        affine = _aligned(lift.weight, lift.bias[:, None])
        from_point, from_set = join.weight[:, : lift.out_features], join.weight[:, lift.out_features :]
        common = functional.linear(pooled(functional.linear(hidden, affine)), from_set, join.bias)
        weight = from_point @ affine
        scale, shift = join_norm.affine(image_moments(weight, hidden, common) if join_norm.training else None)
        joined = functional.linear(hidden, (scale[:, None] * weight).to(hidden.dtype))
        joined += (common * scale + shift).to(joined.dtype)[:, None]
        # Flat, because what changes a view in place is differentiated with two copies more.
        out = leave(joined.relu_().flatten(0, 1)).masked_fill_(~valid.flatten()[:, None], 0.0)
        return pooled(out.unflatten(0, valid.shape))

    def _hidden(self, x: Tensor) -> Tensor:
        """Return the normalised hidden layer of the first stage, (Q, n, 136), from points with their validity."""
        enter, norm, _ = _layers(self.first_mlp)
        x = x.to(enter.weight.dtype)
        nothing = torch.zeros_like(enter.bias)
        scale, shift = norm.affine(
            image_moments(_aligned(enter.weight, enter.bias[:, None]), x, nothing) if norm.training else None
        )
        # The last column is the bias, the last row hands validity on.
        folded = _aligned(scale[:, None] * enter.weight, (scale * enter.bias + shift)[:, None])
        hand_on = functional.pad(folded.new_ones(1, 1), (folded.shape[1] - 1, 0))
        return functional.linear(x, _aligned(folded.T, hand_on.T).T.to(x.dtype)).relu_()


def _aligned(x: Tensor, last: Tensor) -> Tensor:
    """Return (..., C) joined by one more channel (..., 1), behind as many zeros as bring the width to a multiple of 8.

    Products of matrices with 129 columns take a third longer than with 136.
    """
    return torch.cat((functional.pad(x, (0, -(x.shape[-1] + 1) % ALIGNED)), last), dim=-1)


def _layers(stage: nn.Sequential) -> tuple[nn.Linear, MaskedBatchNorm, nn.Linear]:
    """Return the layers of a stage that hold parameters."""
    return cast("tuple[nn.Linear, MaskedBatchNorm, nn.Linear]", (stage[0], stage[1], stage[3]))
