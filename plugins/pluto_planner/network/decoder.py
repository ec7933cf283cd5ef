"""Planning decoder: queries of reference line times mode, attended to in turn along each axis."""

import torch
from torch import Tensor, nn

from pluto_planner.network.attention import MultiheadAttention, attendable
from pluto_planner.network.batch import Group
from pluto_planner.network.fourier import FourierEmbedding
from pluto_planner.network.heads import TrajectoryHead
from pluto_planner.network.mlp import MLPLayer
from pluto_planner.network.points import PointsEncoder

LINE_CHANNELS = 6
FFN_RATIO = 4


def line_channels(group: Group) -> Tensor:
    """Return what describes each point of a reference line, (B, R, n, 6), lengths in metres.

    Channels: position relative to the first point (2), vector to the next (2), cosine and sine of the direction.
    """
    position, direction = group["position"], group["orientation"]
    facing = torch.stack((direction.cos(), direction.sin()), dim=-1)
    return torch.cat((position - position[:, :, :1], group["vector"], facing), dim=-1)


class DecoderLayer(nn.Module):
    """Attention across lines, across modes and to the scene, then a feed-forward part (model spec section 8)."""

    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        """Make the layer."""
        super().__init__()
        self.r2r_attn = MultiheadAttention(dim, num_heads, dropout)
        self.m2m_attn = MultiheadAttention(dim, num_heads, dropout)
        self.cross_attn = MultiheadAttention(dim, num_heads, dropout)
        self.ffn = nn.Sequential(
            nn.Linear(dim, FFN_RATIO * dim), nn.ReLU(), nn.Dropout(dropout), nn.Linear(FFN_RATIO * dim, dim)
        )
        self.norm1, self.norm2, self.norm3, self.norm4 = (nn.LayerNorm(dim) for _ in range(4))
        self.dropout1, self.dropout2, self.dropout3 = (nn.Dropout(dropout) for _ in range(3))

    def forward(self, query: Tensor, valid: Tensor, across: Tensor, scene: Tensor, attend: Tensor, mode_pos: Tensor) -> Tensor:
        """Refine the queries.

        Args:
            query: (B, R, K, D).
            valid: (B, R), True at lines that exist.
            across: (B * K, 1, 1, R), True at the lines that the queries of a mode may see.
            scene: (B, N, D) encoded tokens.
            attend: (B, 1, 1, N), True at tokens that may be seen.
            mode_pos: (1, K, D) embedding of the mode's number.
        """
        batch, lines, modes, _ = query.shape
        t = self.norm1(query).transpose(1, 2).flatten(0, 1)
        lateral = self.r2r_attn(t, t, t, across).unflatten(0, (batch, modes)).transpose(1, 2)
        query = query + self.dropout1(lateral)
        t = self.norm2(query).flatten(0, 1)
        numbered = t + mode_pos
        along = self.m2m_attn(numbered, numbered, t).unflatten(0, (batch, lines))
        query = torch.where(valid[:, :, None, None], query + self.dropout2(along), 0.0)
        flat = query.flatten(1, 2)
        flat = flat + self.dropout2(self.cross_attn(self.norm3(flat), scene, scene, attend))
        flat = flat + self.dropout3(self.ffn(self.norm4(flat)))
        return flat.unflatten(1, (lines, modes))  # type: ignore[no-any-return]


class PlanningDecoder(nn.Module):
    """Turns reference lines and the encoded scene into candidate trajectories and their logits."""

    def __init__(
        self,
        *,
        dim: int,
        num_modes: int,
        num_heads: int,
        depth: int,
        future_steps: int,
        dropout: float,
        cat_x: bool,
        parity: bool,
    ) -> None:
        """Make the decoder; `cat_x` joins the ego token to each query before the heads.

        With `parity` the lines' mask is paired with queries as the reference does, wrongly for batches (M-1).
        """
        super().__init__()
        self.parity = parity
        self.m_emb = nn.Parameter(torch.randn(1, 1, num_modes, dim) * 0.01)
        self.m_pos = nn.Parameter(torch.randn(1, num_modes, dim) * 0.01)
        self.decoder_blocks = nn.ModuleList(DecoderLayer(dim, num_heads, dropout) for _ in range(depth))
        self.r_pos_emb = FourierEmbedding(3, dim)
        self.r_encoder = PointsEncoder(LINE_CHANNELS, dim)
        self.q_proj = nn.Linear(2 * dim, dim)
        self.cat_x_proj = nn.Linear(2 * dim, dim) if cat_x else None
        self.loc_head, self.yaw_head, self.vel_head = (TrajectoryHead(dim, future_steps) for _ in range(3))
        self.pi_head = MLPLayer(dim, dim, 1)

    def forward(self, group: Group, scene: Tensor, attend: Tensor) -> tuple[Tensor, Tensor]:
        """Decode reference lines (B, R, n, ...) against the scene (B, N, D), visible where `attend` (B, 1, 1, N).

        Returns:
            Trajectories (B, R, K, T, 6) in the ego frame [x, y, cos, sin, vx, vy] and logits (B, R, K).
        """
        valid = group["valid_mask"].any(dim=-1)
        query = self._queries(group)
        across = self._visible_lines(valid)
        for block in self.decoder_blocks:
            query = block(query, valid, across, scene, attend, self.m_pos)
        if self.cat_x_proj is not None:
            ego = scene[:, None, None, 0].expand(query.shape)
            query = self.cat_x_proj(torch.cat((query, ego.to(query.dtype)), dim=-1))
        heads = (self.loc_head, self.yaw_head, self.vel_head)
        return torch.cat([head(query) for head in heads], dim=-1), self.pi_head(query)[..., 0]

    def _queries(self, group: Group) -> Tensor:
        """Return one query for each line and mode, (B, R, K, D)."""
        shape = group["valid_mask"].shape[:2]
        points = line_channels(group).flatten(0, 1)
        line = self.r_encoder(points, group["valid_mask"].flatten(0, 1)).unflatten(0, shape)
        start = torch.cat((group["position"][:, :, 0], group["orientation"][:, :, :1]), dim=-1)
        line = (line + self.r_pos_emb(start))[:, :, None]
        modes = self.m_emb.shape[2]
        pair = (line.expand(-1, -1, modes, -1), self.m_emb.to(line.dtype).expand(*shape, -1, -1))
        out: Tensor = self.q_proj(torch.cat(pair, dim=-1))
        return out

    def _visible_lines(self, valid: Tensor) -> Tensor:
        """Return the mask (B * K, 1, 1, R) for attention across lines, from validity (B, R)."""
        modes = self.m_pos.shape[1]
        seen = attendable(valid)
        if self.parity:
            return seen.repeat(modes, 1, 1, 1)
        return seen.repeat_interleave(modes, dim=0)
