"""What is known of a run: its numbers, its experiment, and its scenarios where the cache is still there."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs

from pluto_core import api
from pluto_core.api import Drawing, Scenarios
from pluto_core.errors import PlutoError
from pluto_viz.report.verdicts import Verdicts, from_scenarios, from_table

Numbers = Mapping[str, Any]
Note = Callable[[str], None]

METRICS = {
    "ade_top1_m": "ADE, m",
    "fde_top1_m": "FDE, m",
    "miss_top1": "miss",
    "ade_top6_m": "best of 6: ADE, m",
    "fde_top6_m": "best of 6: FDE, m",
    "miss_top6": "best of 6: miss",
}
"""Names of metrics, of which less is better. ADE and FDE are of the most probable mode where nothing else is said."""
PLANNERS = {
    "planner": "trained",
    "untrained": "the same, untrained",
    "constant_velocity": "constant velocity",
    "constant_acceleration": "constant acceleration",
}
EVALUATIONS = ("test", "validate")
_MINUTE_S, _HOUR_S = 60, 3600


@attrs.frozen(kw_only=True, eq=False, slots=False)
class Record:
    """One run."""

    path: Path
    results: Numbers
    resolved: str
    """`run.toml`."""
    settings: Mapping[str, Any]
    """By dotted key."""
    verdicts: Verdicts | None
    """How good the plan of each scenario was; None where that is not known."""
    scenarios: Scenarios | None
    """Those that were evaluated, to draw them; None where samples or plans are not there any more."""
    missing: str = ""
    """Why they cannot be drawn."""

    @property
    def name(self) -> str:
        """Return what to call the run: its experiment and its number."""
        return f"{self.results.get('name', 'run')} {self.path.absolute().name}"

    @property
    def steps(self) -> Mapping[str, Numbers]:
        """Return the numbers of the steps that are done."""
        found: Mapping[str, Numbers] = self.results.get("steps", {})
        return found

    @property
    def evaluation(self) -> tuple[str, Numbers] | None:
        """Return name and numbers of the evaluation that counts: the test, else the validation."""
        return next(((step, self.steps[step]) for step in EVALUATIONS if step in self.steps), None)

    @property
    def metrics(self) -> Mapping[str, Numbers]:
        """Return means by planner and metric; empty where nothing was evaluated."""
        found: Mapping[str, Numbers] = self.evaluation[1]["metrics"] if self.evaluation else {}
        return found

    def drawings(self, keys: Sequence[str], note: Note) -> Iterator[Drawing]:
        """Yield the drawings of some scenarios by key; none where they cannot be drawn."""
        if self.scenarios is None:
            return
        place = self._rows
        yield from self.scenarios.drawings([place[key] for key in keys if key in place], note)

    @cached_property
    def _rows(self) -> Mapping[str, int]:
        """Return the row of each scenario that can be drawn, by key."""
        return {one.key: row for row, one in enumerate(self.scenarios.listing.ids())} if self.scenarios is not None else {}

    @property
    def curves(self) -> Sequence[Mapping[str, float]]:
        """Return one row of values for each epoch."""
        found: Sequence[Mapping[str, float]] = self.steps.get("train", {}).get("curves", ())
        return found

    @property
    def started(self) -> str:
        """Return when the run began."""
        began = self.results.get("started")
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(began)) if began else ""


def read(path: Path, *, modules: Sequence[str], without: Sequence[str], note: Note) -> Record:
    """Return what is known of a run.

    Raises:
        PlutoError: There is no run at that path.
    """
    results = api.results(path)
    settings: Mapping[str, Any] = {}
    scenarios, missing = None, ""
    try:
        settings = dict(flat(api.read(path / "run.toml", modules=modules, without=without).settings))
        scenarios = api.scenarios(path, modules=modules, without=without, note=note)
    except PlutoError as error:
        missing = str(error)
        note(f"{path}: no scenario is drawn: {missing}")
    try:
        resolved = (path / "run.toml").read_text(encoding="utf-8")
    except OSError:
        resolved = ""
    part = next((results["steps"][step].get("part") for step in EVALUATIONS if step in results.get("steps", {})), None)
    verdicts = from_table(path / f"scenarios_{part}.csv") or (from_scenarios(scenarios) if scenarios is not None else None)
    return Record(
        path=path,
        results=results,
        resolved=resolved,
        settings=settings,
        verdicts=verdicts,
        scenarios=scenarios,
        missing=missing,
    )


def flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every setting by its dotted key."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from flat(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        for place, item in enumerate(value):
            yield from flat(item, f"{key}.{place}")
    else:
        yield key, value


def duration(seconds: float) -> str:
    """Return a time as people say it."""
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    if seconds < _HOUR_S:
        return f"{seconds / _MINUTE_S:.1f} min"
    return f"{seconds / _HOUR_S:.1f} h"


def size(count: float) -> str:
    """Return a number of bytes as people say it."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:  # noqa: PLR2004 -- decimal units
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
