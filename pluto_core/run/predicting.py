"""What a trained planner intends for some scenarios."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from pluto_core.jobs import Evaluated
from pluto_core.listing import Listing
from pluto_core.plan import Forecast, displacement_errors
from pluto_core.protocols import Trainer
from pluto_core.run.assembly import training_job
from pluto_core.run.named import PART, samples_of
from pluto_core.run.workspace import Workspace

FRAME = "ego: rear axle at time zero, x forward, y left, heading; m, rad"


@attrs.frozen(kw_only=True, eq=False)
class Predictions:
    """Plans by scenario, in the order in which the scenarios were named."""

    name: str
    """Of the experiment."""
    checkpoint: Path
    interval_s: float
    """Time from one pose to the next; the first is one interval after time zero."""
    listing: Listing
    found: tuple[Evaluated, ...]
    """Batches whose rows are those of the listing, in order."""
    failed: tuple[str, ...] = ()
    """What was wrong with scenarios that could not be planned."""

    def as_json(self) -> dict[str, Any]:
        """Return plain values, for a text file; modes that do not exist are left out."""
        rows = [(batch, row) for batch in self.found for row in range(len(batch.ids))]
        return {
            "experiment": self.name,
            "checkpoint": str(self.checkpoint),
            "interval_s": self.interval_s,
            "frame": FRAME,
            "scenarios": [self._scenario(number, *one) for number, one in enumerate(rows)],
        }

    def _scenario(self, number: int, batch: Evaluated, row: int) -> dict[str, Any]:
        plan, forecast = batch.plan, batch.plan.forecast
        exists = plan.probabilities[row] > 0
        errors = displacement_errors(batch.plan, batch.truth)
        told = {
            "token": batch.ids[row].token,
            "log": batch.ids[row].log,
            "start_us": batch.ids[row].start_us,
            "type": self.listing.types.text(number),
            "map": self.listing.maps.text(number),
            "probabilities": _plain(plan.probabilities[row, exists]),
            "trajectories": _plain(plan.trajectories[row, exists]),
            "errors": {name: float(values[row]) for name, values in errors.items() if np.isfinite(values[row])},
        }
        if forecast is not None:
            told["agents"] = _plain(forecast.trajectories[row, forecast.exists[row]])
        return told

    def arrays(self) -> dict[str, Any]:
        """Return arrays by name, padded to the largest number of modes and agents, for `numpy.savez`."""
        ids = [one for batch in self.found for one in batch.ids]
        plans = [batch.plan for batch in self.found]
        modes = max(plan.probabilities.shape[1] for plan in plans)
        found: dict[str, Any] = {
            "token": np.asarray([one.token for one in ids]),
            "log": np.asarray([one.log for one in ids]),
            "start_us": np.asarray([one.start_us for one in ids], np.int64),
            "interval_s": np.asarray(self.interval_s),
            "trajectories": np.concatenate([plan.grown(modes).trajectories for plan in plans]),
            "probabilities": np.concatenate([plan.grown(modes).probabilities for plan in plans]),
        }
        forecasts = [plan.forecast for plan in plans if plan.forecast is not None]
        if forecasts:
            agents = max(forecast.exists.shape[1] for forecast in forecasts)
            found["agents"] = np.concatenate([_grown(forecast, agents)[0] for forecast in forecasts])
            found["agents_exist"] = np.concatenate([_grown(forecast, agents)[1] for forecast in forecasts])
        return found

    def write(self, path: Path) -> None:
        """Write a file: arrays where its name ends with `.npz`, else JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".npz":
            np.savez_compressed(path, **self.arrays())
        else:
            path.write_text(json.dumps(self.as_json()) + "\n", encoding="utf-8")


def predict(
    workspace: Workspace, tokens: Sequence[str], checkpoint: Path, note: Callable[[str], None] = lambda _text: None
) -> Predictions:
    """Return the plans of a trained planner for every scenario that has one of some tokens.

    Args:
        workspace: Of the experiment.
        tokens: Names of scenarios, in the cache or in the dataset.
        checkpoint: Weights.
        note: Told what is done.

    Raises:
        PlutoError: A scenario is not known, none gives a sample, or the checkpoint does not fit.
    """
    interval_s = workspace.truth_interval_s
    some = samples_of(workspace, tokens)
    for problem in some.failed:
        note(problem)
    note(f"planning {len(some.listing)} scenarios with {checkpoint}")
    job = training_job(workspace, checkpoint.parent, {PART: some.batches(workspace)}, interactive=False)
    trainer: Trainer = workspace.experiment.make("trainer", workspace.context(run_dir=checkpoint.parent))
    return Predictions(
        name=workspace.experiment.name,
        checkpoint=checkpoint,
        interval_s=interval_s,
        listing=some.listing,
        found=tuple(trainer.evaluate(job, PART, checkpoint)),
        failed=some.failed,
    )


def _plain(values: Any) -> list[Any]:
    """Return nested lists of numbers with as many digits as mean something: tenths of a millimetre."""
    rounded: list[Any] = np.round(values.astype(np.float64), 4).tolist()
    return rounded


def _grown(forecast: Forecast, agents: int) -> tuple[Any, Any]:
    missing = agents - forecast.exists.shape[1]
    pad = ((0, 0), (0, missing))
    return np.pad(forecast.trajectories, (*pad, (0, 0), (0, 0))), np.pad(forecast.exists, pad)
