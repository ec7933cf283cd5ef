"""The model `pluto`: the network, and its outputs as a plan."""

from typing import TypeVar

import torch
from torch import Tensor

from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_core.places import user_path
from pluto_core.plan import Forecast, Plan
from pluto_planner.config import PlutoModelConfig
from pluto_planner.network.batch import Batch, Group, Outputs
from pluto_planner.network.planner import PlutoNetwork
from pluto_planner.network.reference import misfit
from pluto_planner.weights import network_settings, read_weights

Network = TypeVar("Network", bound=PlutoNetwork)

_NO_LINE = -1e5
"""Logits of padded reference lines lie below this."""


class PlutoModel(PlutoNetwork):
    """The PLUTO network as a planner."""

    def plan(self, outputs: Outputs, batch: Batch) -> Plan:
        """Return every mode of every reference line; without a line the reference-free trajectory, else standing still.

        Args:
            outputs: Of the network in evaluation mode.
            batch: What they were computed from; where it holds the agents' future, the forecast can be judged.
        """
        candidates, logits = outputs["candidate_trajectories"].float(), outputs["probability"].float()
        rows, steps = len(logits), candidates.shape[-2]
        fallback = outputs.get("output_ref_free_trajectory")
        spare = candidates.new_zeros((rows, steps, 3)) if fallback is None else fallback.float()
        flat = logits.reshape(rows, -1)
        has_line = (flat > _NO_LINE).any(dim=1) if flat.shape[1] else torch.zeros(rows, dtype=torch.bool, device=flat.device)
        probabilities = torch.cat([_softmax(flat, has_line), (~has_line)[:, None].float()], dim=1)
        trajectories = torch.cat([candidates.reshape(rows, -1, steps, 3), spare[:, None]], dim=1)
        return Plan(
            trajectories=trajectories.cpu().numpy(),
            probabilities=probabilities.cpu().numpy(),
            forecast=_forecast(outputs["output_prediction"][..., :3].float(), batch["agent"], self.present),
        )


def _forecast(predicted: Tensor, agent: Group, present: int) -> Forecast:
    """Return the predictions (B, N, T, 3) of all agents but the ego vehicle beside their recorded futures."""
    valid = agent["valid_mask"][:, 1:]
    recorded, known = torch.zeros_like(predicted), torch.zeros_like(predicted[..., 0], dtype=torch.bool)
    if "target" in agent and agent["target"].shape[2] == predicted.shape[2]:
        now = torch.cat((agent["position"][:, 1:, present], agent["heading"][:, 1:, present, None]), dim=-1)
        recorded = agent["target"][:, 1:, :, :3].float() + now[:, :, None]
        known = valid[..., present + 1 :]
    return Forecast(
        trajectories=predicted.cpu().numpy(),
        exists=valid[..., present].cpu().numpy().copy(),  # not the loader's memory, which is used again
        recorded=recorded.cpu().numpy(),
        known=known.cpu().numpy().copy(),
    )


def _softmax(logits: Tensor, has_line: Tensor) -> Tensor:
    """Return probabilities of the modes; rows without a line get zeros."""
    if logits.shape[1] == 0:
        return logits
    known = logits > _NO_LINE
    shares = torch.softmax(logits, dim=1) * known
    return shares * has_line[:, None]


def make(config: PlutoModelConfig, _context: Context) -> PlutoModel:
    """Return the network with fresh weights, or with those of the file that the settings name.

    Raises:
        PlutoError: The file is no such weights, or they are another network's.
    """
    return with_weights(PlutoModel(**network_settings(config)), config)


def with_weights(model: Network, config: PlutoModelConfig) -> Network:
    """Return the network, with the weights of the file that the settings name, if they do.

    Raises:
        PlutoError: The file is no such weights, or they are another network's.
    """
    if config.weights is not None:
        path = user_path(config.weights)
        weights = read_weights(path)
        if problem := misfit(model.state_dict(), weights.state):
            message = f"model.weights: {path} is of another network: {problem}; it needs\n{weights.section()}"
            raise PlutoError(message)
        model.load_state_dict(weights.state)
    return model
