"""Tokens of the map: lanes, lane connectors and crosswalks."""

import torch
from torch import Tensor, nn

from pluto_planner.network.batch import Group
from pluto_planner.network.fourier import FourierEmbedding
from pluto_planner.network.points import PointsEncoder

POLYGON_CHANNELS = 6
BOUNDARY_CHANNELS = 4
POLYGON_TYPES = 3
LIGHT_STATES = 4


def polygon_channels(group: Group) -> Tensor:
    """Return what describes each point of a polygon, (B, M, n, 10), lengths in metres.

    Channels: centre line relative to the polygon's centre (2), vector to the next point (2), cosine and sine of the
    direction, left and right boundary relative to the centre line (4).
    """
    centre, left, right = group["point_position"].unbind(dim=2)
    direction = group["point_orientation"][:, :, 0]
    return torch.cat(
        (
            centre - group["polygon_center"][:, :, None, :2],
            group["point_vector"][:, :, 0],
            torch.stack((direction.cos(), direction.sin()), dim=-1),
            left - centre,
            right - centre,
        ),
        dim=-1,
    )


class MapEncoder(nn.Module):
    """Encodes polygons with their type, route, light and speed limit (model spec section 4)."""

    def __init__(self, dim: int) -> None:
        """Make the encoder of points and the embeddings."""
        super().__init__()
        self.polygon_encoder = PointsEncoder(POLYGON_CHANNELS + BOUNDARY_CHANNELS, dim)
        self.speed_limit_emb = FourierEmbedding(1, dim)
        self.type_emb = nn.Embedding(POLYGON_TYPES, dim)
        self.on_route_emb = nn.Embedding(2, dim)
        self.traffic_light_emb = nn.Embedding(LIGHT_STATES, dim)
        self.unknown_speed_emb = nn.Embedding(1, dim)

    def forward(self, group: Group) -> Tensor:
        """Return tokens (B, M, D) of polygons (B, M, ...)."""
        valid = group["valid_mask"]
        points = polygon_channels(group).flatten(0, 1)
        token = self.polygon_encoder(points, valid.flatten(0, 1)).unflatten(0, valid.shape[:2])
        limit = self.speed_limit_emb(group["polygon_speed_limit"][..., None])
        speed = torch.where(group["polygon_has_speed_limit"][..., None], limit, self.unknown_speed_emb.weight[0])
        return (  # type: ignore[no-any-return]
            token
            + self.type_emb(group["polygon_type"].long())
            + self.on_route_emb(group["polygon_on_route"].long())
            + self.traffic_light_emb(group["polygon_tl_status"].long())
            + speed
        )
