"""PointNet-style encoder of ordered points: polylines of the map, reference lines."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pluto_planner.network.normalization import MaskedBatchNorm


def masked_pool(x: Tensor, valid: Tensor) -> Tensor:
    """Return the maximum over points of x (Q, n, D), where invalid points (Q, n) take part as zeros."""
    return torch.where(valid[..., None], x, 0.0).amax(dim=1)


class PointsEncoder(nn.Module):
    """Encodes each set of points as one vector (model spec section 2).

    Zeros of invalid points take part in both maxima, as in the published network: a set with an invalid point has no
    negative component, and a set without valid points gives exactly zero.
    """

    def __init__(self, channels: int, dim: int) -> None:
        """Make both stages."""
        super().__init__()
        self.first_mlp = nn.Sequential(nn.Linear(channels, 128), MaskedBatchNorm(128), nn.ReLU(), nn.Linear(128, 256))
        self.second_mlp = nn.Sequential(nn.Linear(512, 256), MaskedBatchNorm(256), nn.ReLU(), nn.Linear(256, dim))

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Encode points (Q, n, channels) with validity (Q, n) as (Q, dim).

        The second stage reads [h, g], h = A a + b a point's feature and g the pooled one. Its first layer W = [W_h, W_g]
        is applied as (W_h A) a + (W_g g + W_h b), the last term once a set: half the products, the same numbers.
        """
        enter, norm, _, lift = self.first_mlp
        join, join_norm, _, leave = self.second_mlp
        sets, points = valid.shape
        flat = valid.flatten()
        x = torch.where(valid[..., None], x, 0.0).to(enter.weight.dtype).flatten(0, 1)
        hidden = functional.relu(norm.after(enter, x, flat))
        pooled = masked_pool(lift(hidden).unflatten(0, (sets, points)), valid)
        width = lift.out_features
        from_point, from_pool = join.weight[:, :width], join.weight[:, width:]
        common = functional.linear(pooled, from_pool, from_point @ lift.bias + join.bias)
        joined = functional.linear(hidden, from_point @ lift.weight).unflatten(0, (sets, points)) + common[:, None]
        joined = functional.relu(join_norm(joined.flatten(0, 1), flat))
        return masked_pool(leave(joined).unflatten(0, (sets, points)), valid)
