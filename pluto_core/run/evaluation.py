"""From plans to numbers: errors by model and by scenario type, with the baselines beside them."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.arrays import ArraySpec
from pluto_core.jobs import Evaluated
from pluto_core.pipeline import codec
from pluto_core.plan import Plan, Truth, by_group, constant_acceleration, constant_velocity, displacement_errors, mean
from pluto_core.protocols import ShardStore, ShardWriter
from pluto_core.scene import ScenarioId

Floats = npt.NDArray[np.float64]

UNTRAINED = "untrained"
"""Name of the model before training among the planners of a table."""
PREDICTION_SPEC: dict[str, ArraySpec] = {
    "trajectories": ArraySpec(dims=("mode", "step", 3), dtype="float32", unit="m, m, rad", frame="ego"),
    "probabilities": ArraySpec(dims=("mode",), dtype="float32"),
}
"""How a row of a plan is stored, in the codec of samples."""


@attrs.define(eq=False)
class Judged:
    """The evaluation of one model on one part."""

    ids: list[ScenarioId] = attrs.field(factory=list[ScenarioId])
    plans: list[Plan] = attrs.field(factory=list[Plan])
    errors: dict[str, list[Floats]] = attrs.field(factory=dict[str, list[Floats]])
    """Errors by planner, then by name: `planner/ade_top1_m`."""
    losses: list[tuple[int, Mapping[str, float]]] = attrs.field(factory=list[tuple[int, Mapping[str, float]]])

    def add(self, batch: Evaluated, interval_s: float, *, baselines: bool) -> None:
        """Take one batch."""
        self.ids.extend(batch.ids)
        self.plans.append(attrs.evolve(batch.plan, forecast=None))  # judged below; of a whole part they would fill the memory
        self.losses.append((len(batch.ids), batch.losses))
        self._judge("planner", batch.plan, batch.truth)
        if not baselines:
            return
        steps = batch.truth.trajectory.shape[1]
        self._judge("constant_velocity", constant_velocity(batch.speed_mps, steps, interval_s), batch.truth)
        accelerated = constant_acceleration(batch.speed_mps, batch.acceleration_mps2, steps, interval_s)
        self._judge("constant_acceleration", accelerated, batch.truth)

    def _judge(self, planner: str, plan: Plan, truth: Truth) -> None:
        for name, values in displacement_errors(plan, truth).items():
            self.errors.setdefault(f"{planner}/{name}", []).append(values)

    def of(self, planner: str) -> dict[str, Floats]:
        """Return the errors of a planner, one row a scenario."""
        prefix = f"{planner}/"
        return {
            name.removeprefix(prefix): np.concatenate(values) for name, values in self.errors.items() if name.startswith(prefix)
        }

    def planners(self) -> list[str]:
        """Return the names of what was judged, the model first."""
        return list(dict.fromkeys(name.partition("/")[0] for name in self.errors))

    def mean_losses(self) -> dict[str, float]:
        """Return the mean of every loss term over the scenarios."""
        total = sum(rows for rows, _ in self.losses)
        names = self.losses[0][1] if self.losses else {}
        return {name: float(sum(rows * terms[name] for rows, terms in self.losses) / total) for name in names}


def judge(batches: Iterable[Evaluated], interval_s: float, *, baselines: bool = True) -> Judged:
    """Return the evaluation of a stream of batches."""
    judged = Judged()
    for batch in batches:
        judged.add(batch, interval_s, baselines=baselines)
    return judged


def summary(judged: Judged, untrained: Judged | None, types: list[str]) -> dict[str, Any]:
    """Return the numbers of an evaluation for `results.json`.

    Args:
        judged: What the trained model planned.
        untrained: What the same model planned before training, if it was asked.
        types: Scenario type of every row of `judged`.
    """
    errors = _errors(judged, untrained)
    by_type_of = {planner: by_group(values, types) for planner, values in errors.items()}
    return {
        "count": len(judged.ids),
        "metrics": {planner: mean(values) for planner, values in errors.items()},
        "losses": judged.mean_losses(),
        "by_type": by_type_of["planner"],
        "by_type_of": by_type_of,
    }


def _errors(judged: Judged, untrained: Judged | None) -> dict[str, dict[str, Floats]]:
    """Return the errors of all that was judged, by planner and name."""
    errors = {planner: judged.of(planner) for planner in judged.planners()}
    return errors if untrained is None else {**errors, UNTRAINED: untrained.of("planner")}


def write_scenarios(judged: Judged, untrained: Judged | None, types: list[str], path: Path) -> Path:
    """Write one row a scenario: what it is, and the errors of every planner, `fde_top1_m` and `constant_velocity/fde_top1_m`.

    Args:
        judged: What the trained model planned.
        untrained: What the same model planned before training, if it was asked.
        types: Scenario type of every row of `judged`.
        path: The CSV file, replaced in one step; what is not known is an empty cell.
    """
    columns: dict[str, list[str]] = {
        "token": [one.token for one in judged.ids],
        "log_name": [one.log for one in judged.ids],
        "start_us": [str(one.start_us) for one in judged.ids],
        "scenario_type": types,
    }
    for planner, errors in _errors(judged, untrained).items():
        prefix = "" if planner == "planner" else f"{planner}/"
        columns |= {
            f"{prefix}{name}": [f"{value:.6g}" if np.isfinite(value) else "" for value in values]
            for name, values in errors.items()
        }
    part = path.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    part.replace(path)
    return path


def write_predictions(judged: Judged, store: ShardStore, folder: Path, name: str) -> Path | None:
    """Store every plan under its scenario key; None for a store without files."""
    if not store.suffix:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}{store.suffix}"
    path.unlink(missing_ok=True)
    rows: dict[bytes, bytes] = {}
    for identity, (plan, row) in zip(judged.ids, _rows(judged.plans), strict=True):
        sample = {
            "trajectories": plan.trajectories[row].astype(np.float32),
            "probabilities": plan.probabilities[row].astype(np.float32),
        }
        rows[identity.key.encode()] = codec.encode(sample, PREDICTION_SPEC)
    writer: ShardWriter = store.create(path)
    for key in sorted(rows):
        writer.put(key, rows[key])
    writer.seal()
    return path


def _rows(plans: list[Plan]) -> Iterable[tuple[Plan, int]]:
    return ((plan, row) for plan in plans for row in range(len(plan)))
