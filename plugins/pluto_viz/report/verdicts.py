"""How good a plan was, scenario by scenario: from the table that a run leaves, or from its plans and the cache."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.api import Scenarios
from pluto_core.scene import ScenarioId
from pluto_viz.choosing import apart

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

OWN = "planner"
"""Name of the trained model among the planners."""
FDE = "fde_top1_m"
_IDENTITY = ("token", "log_name", "start_us", "scenario_type")


@attrs.frozen(kw_only=True, eq=False)
class Verdicts:
    """Errors of the scenarios of one evaluation, a row each."""

    ids: Sequence[ScenarioId]
    types: Sequence[str]
    errors: Mapping[str, Mapping[str, Floats]]
    """By planner and name; NaN where unknown."""

    def __len__(self) -> int:
        """Return the number of scenarios."""
        return len(self.ids)

    def of(self, planner: str, name: str) -> Floats:
        """Return the errors of a planner; all unknown where it has none of that name."""
        found = self.errors.get(planner, {}).get(name)
        return found if found is not None else np.full(len(self), np.nan)

    def ranked(self) -> list[int]:
        """Return the rows from the least to the greatest final displacement error; unknown ones are left out."""
        values = self.of(OWN, FDE)
        order = np.argsort(values, kind="stable")
        return [int(row) for row in order if math.isfinite(values[row])]

    def apart(self, rows: Sequence[int]) -> list[int]:
        """Return rows without those that look like an earlier one."""
        return apart((row, self.ids[row]) for row in rows)


def from_table(path: Path) -> Verdicts | None:
    """Return the errors of a run's table `scenarios_PART.csv`; None where there is none, or it is another table."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
    except (OSError, ValueError, csv.Error):
        return None
    columns = dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else {}
    if not all(name in columns for name in (*_IDENTITY, FDE)):
        return None
    tokens, logs, starts, types = (columns.pop(name) for name in _IDENTITY)
    ids = [ScenarioId(log, token, int(start)) for log, token, start in zip(logs, tokens, starts, strict=True)]
    errors: dict[str, dict[str, Floats]] = {}
    for name, texts in columns.items():
        planner, _, metric = name.rpartition("/")
        errors.setdefault(planner or OWN, {})[metric] = np.asarray([float(text) if text else np.nan for text in texts])
    return Verdicts(ids=ids, types=types, errors=errors)


def from_scenarios(scenarios: Scenarios) -> Verdicts | None:
    """Return the errors of a run's plans against the truth in its cache; None where the samples hold none."""
    if not scenarios.errors:
        return None
    listing = scenarios.listing
    types = [listing.types.text(row) for row in range(len(listing))]
    return Verdicts(ids=list(listing.ids()), types=types, errors=scenarios.judged)


def mean(values: Floats) -> float:
    """Return the mean of what is known; NaN where nothing is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan
