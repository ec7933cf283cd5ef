"""The objective `devkit`: objectives and metrics of nuplan-devkit, added up as its configuration says."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_devkit.batches import Batch, TypedScenario, collated, rows_of
from pluto_devkit.config import ObjectiveConfig
from pluto_devkit.model import DevkitModel
from pluto_devkit.targets import made

_AGGREGATES: Mapping[str, Callable[[Tensor], Tensor]] = {"mean": torch.mean, "sum": torch.sum, "max": torch.max}


class DevkitObjective:
    """Asks objectives for their losses and metrics for their numbers."""

    def __init__(self, config: ObjectiveConfig, model: DevkitModel) -> None:
        """Make objectives and metrics.

        Raises:
            PlutoError: One does not exist or refuses its arguments, needs a target that the model does not compute, or two
                have one name.
        """
        self._objectives = [_named(table, "objectives") for table in config.objectives]
        self._metrics = [_named(table, "metrics") for table in config.metrics]
        self._mode, self._model = config.objective_aggregate_mode, model
        if not self._objectives:
            message = "objective.objectives: is empty; name what the model shall learn"
            raise PlutoError(message)
        parts = [*self._objectives, *self._metrics]
        names = ["loss", *(part.name() for part in parts)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise PlutoError(f"objective: more than one objective or metric is called {', '.join(twice)}")
        for part in parts:
            lacking = sorted(set(part.get_list_of_required_target_types()) - model.target_types.keys())
            if lacking:
                known = ", ".join(model.target_types)
                raise PlutoError(f"objective: {part.name()} needs the target {', '.join(lacking)}; the model computes {known}")

    def __call__(self, outputs: Mapping[str, Any], batch: Batch, *, training: bool) -> dict[str, Tensor]:
        """Return every objective and metric by its name, and `loss`: mean, sum or max of the objectives."""
        del training
        rows = rows_of(batch)
        scenarios = [TypedScenario(row["scenario_type"]) for row in rows]
        predictions = {
            name: self._model.output_types[name].deserialize({key: _wide(value) for key, value in parts.items()})
            for name, parts in outputs.items()
        }
        targets = collated(rows, self._model.target_types, next(self._model.parameters()).device)
        losses = {one.name(): one.compute(predictions, targets, scenarios).float() for one in self._objectives}
        with torch.no_grad():
            metrics = {one.name(): one.compute(predictions, targets).float() for one in self._metrics}
        every = torch.stack(list(losses.values()))
        return {"loss": _AGGREGATES[self._mode](every), **losses, **metrics}


def _named(table: Mapping[str, Any], key: str) -> Any:
    if "_target_" not in table:
        raise PlutoError(f"objective.{key}: a table lacks `_target_`, the class to make")
    return made(table)


def _wide(value: Any) -> Any:
    """Return tensors of half precision in float32."""
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value


def make(config: ObjectiveConfig, context: Context) -> DevkitObjective:
    """Return the objective.

    Raises:
        PlutoError: The model is none of nuplan-devkit.
    """
    model = context.shared.get("model")
    if not isinstance(model, DevkitModel):
        message = 'objective.use: "devkit" belongs to [model] use = "devkit"; other models have objectives of their own'
        raise PlutoError(message)
    return DevkitObjective(config, model)
