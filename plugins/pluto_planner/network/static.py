"""Tokens of the static objects: cones, barriers, signs."""

import torch
from torch import Tensor, nn

from pluto_planner.network.batch import Group
from pluto_planner.network.fourier import FourierEmbedding

CATEGORIES = 4


class StaticObjectsEncoder(nn.Module):
    """Encodes size and category of each object (model spec section 5)."""

    def __init__(self, dim: int) -> None:
        """Make the embeddings."""
        super().__init__()
        self.obj_encoder = FourierEmbedding(2, dim)
        self.type_emb = nn.Embedding(CATEGORIES, dim)

    def forward(self, group: Group) -> Tensor:
        """Return tokens (B, S, D) of objects (B, S, ...), zero where invalid."""
        token = self.obj_encoder(group["shape"]) + self.type_emb(group["category"].long())
        return torch.where(group["valid_mask"][..., None], token, 0.0)
