"""The model `devkit`: any `TorchModuleWrapper` of nuplan-devkit."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_core.plan import Plan
from pluto_devkit.batches import Batch, collated, parts_of, rows_of, types_of
from pluto_devkit.config import ModelConfig
from pluto_devkit.targets import call

_POSES = 3
"""Axes of a batch of trajectories: row, step, (x, y, heading)."""


class DevkitModel(nn.Module):
    """Gives a model of the devkit the features that it asks for, in its own types."""

    def __init__(self, config: ModelConfig) -> None:
        """Make the model with fresh weights.

        Raises:
            PlutoError: It does not exist, refuses its arguments, or plans another horizon than the settings say.
        """
        super().__init__()
        self._config = config
        self.wrapped: Any = call(config.model, config.arguments)
        self.output_types: dict[str, Any] = {}
        """Class of each prediction, by name, as last seen."""
        self._types = types_of(self.wrapped.get_list_of_required_feature())
        self.target_types = types_of(self.wrapped.get_list_of_computed_target())
        self._require_horizon()

    def _require_horizon(self) -> None:
        sampling, config = self.wrapped.future_trajectory_sampling, self._config
        told = (sampling.time_horizon, sampling.interval_length)
        wanted = (config.horizon_s, config.interval_s)
        if not all(math.isclose(one, other, rel_tol=1e-6) for one, other in zip(told, wanted, strict=True)):
            message = f"{config.model} plans {told[0]} s in steps of {told[1]} s; set horizon_s and interval_s to that"
            raise PlutoError(message)

    def forward(self, batch: Batch) -> dict[str, dict[str, Any]]:
        """Return the predictions by name, each as its attributes by name: `outputs["trajectory"]["data"]`."""
        device = next(self.wrapped.parameters()).device
        predictions = self.wrapped(collated(rows_of(batch), self._types, device))
        self.output_types = {name: type(feature) for name, feature in predictions.items()}
        return {name: parts_of(feature) for name, feature in predictions.items()}

    def plan(self, outputs: Mapping[str, Any], batch: Batch) -> Plan:
        """Return the predicted trajectory as a plan of one mode.

        Raises:
            PlutoError: The model has no such output, or it is not one trajectory a row.
        """
        del batch
        name = self._config.trajectory
        data = outputs[name].get("data") if name in outputs else None
        if not isinstance(data, torch.Tensor) or data.ndim != _POSES:
            message = f"model.trajectory: {self._config.model} gives {', '.join(outputs)}, and no trajectory called {name!r}"
            raise PlutoError(message)
        trajectories = data.detach().float().cpu().numpy()[:, None].copy()
        return Plan(trajectories=trajectories, probabilities=trajectories[:, :, 0, 0] * 0.0 + 1.0)


def make(config: ModelConfig, _context: Context) -> DevkitModel:
    """Return the model."""
    return DevkitModel(config)
