"""Tokens of the agents, the ego vehicle first."""

import torch
from torch import Tensor, nn

from pluto_planner.network.batch import Group
from pluto_planner.network.ego import EgoStateAttention, EgoStateMlp
from pluto_planner.network.history import HistoryEncoder
from pluto_planner.network.known import on_known_rows

HISTORY_CHANNELS = 9
CATEGORIES = 4


def motion_channels(agent: Group, steps: int) -> Tensor:
    """Return the differences between successive steps, (B, A, steps - 1, 9), zero where either step is invalid.

    Channels: change of position (2) and velocity (2), cosine and sine of the change of heading, shape (2), validity.
    """
    valid = agent["valid_mask"][..., :steps]
    pair = valid[..., 1:] & valid[..., :-1]
    position = torch.where(pair[..., None], agent["position"][..., :steps, :].diff(dim=-2), 0.0)
    velocity = torch.where(pair[..., None], agent["velocity"][..., :steps, :].diff(dim=-2), 0.0)
    turn = torch.where(pair, agent["heading"][..., :steps].diff(dim=-1), 0.0)
    direction = torch.stack((turn.cos(), turn.sin()), dim=-1)
    shape = agent["shape"][..., 1:steps, :]
    return torch.cat((position, velocity, direction, shape, pair[..., None].to(position.dtype)), dim=-1)


class AgentEncoder(nn.Module):
    """Encodes the history of each agent and the present state of the ego vehicle (model spec section 3)."""

    def __init__(
        self,
        *,
        dim: int,
        state_channel: int,
        history_steps: int,
        drop_path: float,
        use_ego_history: bool,
        state_attn_encoder: bool,
        state_dropout: float,
    ) -> None:
        """Make the encoders; without `use_ego_history` the ego vehicle is known by its present state only."""
        super().__init__()
        self.history_steps = history_steps
        self.state_channel = state_channel
        self.history_encoder = HistoryEncoder(HISTORY_CHANNELS, dim, history_steps - 1, drop_path)
        self.ego_state_emb: EgoStateAttention | EgoStateMlp | None = None
        if not use_ego_history:
            self.ego_state_emb = (
                EgoStateAttention(state_channel, dim, state_dropout) if state_attn_encoder else EgoStateMlp(state_channel, dim)
            )
        self.type_emb = nn.Embedding(CATEGORIES, dim)

    def forward(self, agent: Group, current_state: Tensor) -> Tensor:
        """Return tokens (B, A, D) of agents (B, A, T, ...) and ego state (B, 7 or more)."""
        skipped = 0 if self.ego_state_emb is None else 1
        channels = motion_channels(agent, self.history_steps)[:, skipped:]
        known = agent["valid_mask"][:, skipped:, : self.history_steps].any(dim=-1)
        token = on_known_rows(self.history_encoder, known.flatten(), channels.flatten(0, 1))
        token = token.view(*known.shape, token.shape[-1])
        if self.ego_state_emb is not None:
            ego = self.ego_state_emb(current_state[:, : self.state_channel])
            token = torch.cat((ego[:, None], token), dim=1)
        return token + self.type_emb(agent["category"].long())  # type: ignore[no-any-return]
