"""The PLUTO network: a scene in, candidate trajectories and predictions out."""

import torch
from torch import Tensor, nn

from pluto_core.errors import PlutoError
from pluto_planner.network.agents import HISTORY_CHANNELS, AgentEncoder
from pluto_planner.network.attention import attendable
from pluto_planner.network.batch import Batch, Group, Outputs
from pluto_planner.network.decoder import PlanningDecoder
from pluto_planner.network.encoder import EncoderBlock
from pluto_planner.network.fourier import FourierEmbedding, wrap
from pluto_planner.network.heads import AgentPredictor, TrajectoryHead
from pluto_planner.network.initialization import initialize
from pluto_planner.network.map import POLYGON_CHANNELS, MapEncoder
from pluto_planner.network.readout import read_out
from pluto_planner.network.static import StaticObjectsEncoder


class PlutoNetwork(nn.Module):
    """PLUTO (Cheng et al., arXiv 2404.14327) with the published parameter names.

    Settings are those of the published training; the released planner has `use_hidden_proj`, `cat_x` and
    `ref_free_traj` on as well. Defects of the reference are corrected; `parity` brings back those that change
    numbers: the pairing of line masks with queries in batches of more than one, and the choice of a padded line's
    candidate where a sample has no line.
    """

    def __init__(  # noqa: PLR0913 -- the settings of the published network, by their names
        self,
        *,
        dim: int = 128,
        state_channel: int = 6,
        polygon_channel: int = 6,
        history_channel: int = 9,
        history_steps: int = 21,
        future_steps: int = 80,
        encoder_depth: int = 4,
        decoder_depth: int = 4,
        drop_path: float = 0.2,
        dropout: float = 0.1,
        num_heads: int = 4,
        num_modes: int = 12,
        use_ego_history: bool = False,
        state_attn_encoder: bool = True,
        state_dropout: float = 0.75,
        use_hidden_proj: bool = False,
        cat_x: bool = False,
        ref_free_traj: bool = False,
        parity: bool = False,
    ) -> None:
        """Make the network with the published initialisation.

        Args:
            dim: Width of tokens; a multiple of 4 and of `num_heads`.
            state_channel: Leading numbers of `current_state` that are read.
            polygon_channel: Channels of a polygon's point without its boundaries; 6.
            history_channel: Channels of an agent's step; 9.
            history_steps: Steps up to and with the present one.
            future_steps: Steps that are planned and predicted.
            encoder_depth: Blocks of the scene encoder.
            decoder_depth: Layers of the planning decoder.
            drop_path: Stochastic depth of the last block; the others rise to it linearly.
            dropout: Dropout of the decoder.
            num_heads: Heads of attention in encoder and decoder.
            num_modes: Modes of each reference line.
            use_ego_history: Read the ego vehicle's history instead of its present state.
            state_attn_encoder: Read the ego state by attention, else by an MLP.
            state_dropout: Probability with which a dynamic number of the ego state is hidden in training.
            use_hidden_proj: Add `hidden`, which contrastive learning compares.
            cat_x: Join the ego token to each query before the heads.
            ref_free_traj: Add the trajectory that needs no reference line.
            parity: Compute what the reference computes, defects included.
        """
        super().__init__()
        _check_settings(dim, num_heads, polygon_channel, history_channel)
        self.present = history_steps - 1
        self.parity = parity
        self.pos_emb = FourierEmbedding(3, dim)
        self.agent_encoder = AgentEncoder(
            dim=dim,
            state_channel=state_channel,
            history_steps=history_steps,
            drop_path=drop_path,
            use_ego_history=use_ego_history,
            state_attn_encoder=state_attn_encoder,
            state_dropout=state_dropout,
        )
        self.map_encoder = MapEncoder(dim)
        self.static_objects_encoder = StaticObjectsEncoder(dim)
        rates = torch.linspace(0.0, drop_path, encoder_depth).tolist()
        self.encoder_blocks = nn.ModuleList(EncoderBlock(dim, num_heads, rate) for rate in rates)
        self.norm = nn.LayerNorm(dim)
        self.agent_predictor = AgentPredictor(dim, future_steps)
        self.planning_decoder = PlanningDecoder(
            dim=dim,
            num_modes=num_modes,
            num_heads=num_heads,
            depth=decoder_depth,
            future_steps=future_steps,
            dropout=dropout,
            cat_x=cat_x,
            parity=parity,
        )
        hidden = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))
        self.hidden_proj = hidden if use_hidden_proj else None
        self.ref_free_decoder = TrajectoryHead(dim, future_steps, 4) if ref_free_traj else None
        initialize(self)

    def forward(self, batch: Batch) -> Outputs:
        """Compute the outputs of a collated batch.

        Args:
            batch: Groups `agent`, `map`, `static_objects` and, where lines were built, `reference_line`, with the
                arrays of the feature spec; `current_state` (B, 7). Only the history of agents is read.

        Returns:
            `trajectory` (B, R, K, T, 6), `probability` (B, R, K: logits), `prediction` (B, A - 1, T, 6), and `hidden`
            (B, D) and `ref_free_trajectory` (B, T, 4) where enabled. In evaluation also `candidate_trajectories`
            (B, R, K, T, 3), `output_trajectory` (B, T, 3), `output_prediction` (B, A - 1, T, 5) and
            `output_ref_free_trajectory` (B, T, 3). Metres, radians, metres per second; ego frame. Without any
            reference line R is 0; without a reference-free head as well the planned trajectory is to stay.
        """
        scene, attend = self._encode(batch)
        agents = batch["agent"]["valid_mask"].shape[1]
        trajectory, logits = self._plan(batch, scene, attend)
        outputs = {
            "trajectory": trajectory,
            "probability": logits,
            "prediction": self.agent_predictor(scene[:, 1:agents]),
        }
        if self.hidden_proj is not None:
            outputs["hidden"] = self.hidden_proj(scene[:, 0])
        if self.ref_free_decoder is not None:
            outputs["ref_free_trajectory"] = self.ref_free_decoder(scene[:, 0])
        if self.training:
            return outputs
        return read_out(outputs, batch, self.present, parity=self.parity)

    def _encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the encoded tokens (B, A + M + S, D) and which of them may be seen (B, 1, 1, A + M + S)."""
        agent, polygons, objects = batch["agent"], batch["map"], batch["static_objects"]
        tokens = (
            self.agent_encoder(agent, batch["current_state"]),
            self.map_encoder(polygons),
            self.static_objects_encoder(objects),
        )
        valid = (
            agent["valid_mask"][..., : self.present + 1].any(dim=-1),
            polygons["valid_mask"].any(dim=-1),
            objects["valid_mask"],
        )
        x = torch.cat(tokens, dim=1) + self.pos_emb(_token_poses(agent, polygons, objects, self.present))
        attend = attendable(torch.cat(valid, dim=1))
        for block in self.encoder_blocks:
            x = block(x, attend)
        return self.norm(x), attend

    def _plan(self, batch: Batch, scene: Tensor, attend: Tensor) -> tuple[Tensor, Tensor]:
        """Return candidate trajectories and logits; empty ones where the batch has no reference line at all."""
        lines: Group | None = batch.get("reference_line")
        if lines is not None and lines["valid_mask"].shape[1] > 0:
            return self.planning_decoder(lines, scene, attend)  # type: ignore[no-any-return]
        decoder = self.planning_decoder
        size = (scene.shape[0], 0, decoder.m_pos.shape[1])
        return scene.new_zeros(*size, decoder.loc_head.steps, 6), scene.new_zeros(size)


def _token_poses(agent: Group, polygons: Group, objects: Group, present: int) -> Tensor:
    """Return x, y (m) and wrapped heading (rad) of every token in the ego frame, (B, A + M + S, 3)."""
    position = (agent["position"][:, :, present], polygons["polygon_center"][..., :2], objects["position"])
    heading = (agent["heading"][:, :, present], polygons["polygon_center"][..., 2], objects["heading"])
    angle = wrap(torch.cat(heading, dim=1))
    return torch.cat((torch.cat(position, dim=1), angle[..., None]), dim=-1)


def _check_settings(dim: int, num_heads: int, polygon_channel: int, history_channel: int) -> None:
    """Refuse settings that no network can be made of."""
    if dim % 4 or dim % num_heads:
        message = f"network: dim = {dim} must be a multiple of 4 and of num_heads = {num_heads}"
        raise PlutoError(message)
    for name, value, fixed in (
        ("polygon_channel", polygon_channel, POLYGON_CHANNELS),
        ("history_channel", history_channel, HISTORY_CHANNELS),
    ):
        if value != fixed:
            message = f"network: {name} = {value}, but the features give {fixed}; leave it at {fixed}"
            raise PlutoError(message)
