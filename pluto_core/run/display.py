"""What a run says: its plan, progress bars, and the table at the end. Progress goes to stderr, results to stdout."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from pluto_core.errors import printable
from pluto_core.pipeline.progress import Progress as CacheProgress
from pluto_core.run.folders import Run

_COLUMNS = (
    ("ade_top1_m", "top-1\nADE, m"),
    ("fde_top1_m", "top-1\nFDE, m"),
    ("miss_top1", "top-1\nmiss"),
    ("ade_top6_m", "top-6\nADE, m"),
    ("fde_top6_m", "top-6\nFDE, m"),
    ("miss_top6", "top-6\nmiss"),
)
_LABELS = {
    "planner": "trained",
    "untrained": "untrained",
    "constant_velocity": "constant velocity",
    "constant_acceleration": "constant acceleration",
}
_FDE, _MISS = "fde_top1_m", "miss_top1"
_PICTURE = "picture ("
_KIB = 1024
_FILE_WIDTH = 120
"""Columns of a table that goes into a file or a pipe: the longest name of a scenario type fits."""


class Display:
    """The two consoles of a run."""

    def __init__(self, *, progress: bool = True) -> None:
        """Show progress only where a person looks."""
        self.out = Console(highlight=False)
        if not self.out.is_terminal and "COLUMNS" not in os.environ:
            self.out.width = _FILE_WIDTH
        self.err = Console(stderr=True, highlight=False)
        self.interactive = progress and self.err.is_terminal

    def say(self, text: str) -> None:
        """Print one line of result."""
        self.out.print(printable(text, kept="\n\t"), markup=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Print one line above any progress bar."""
        self.err.print(printable(text, kept="\n\t"), markup=False, soft_wrap=True)

    @contextlib.contextmanager
    def caching(self) -> Iterator[Callable[[CacheProgress], None]]:
        """Show the cache step: rate, time left, bytes, failures; plain lines every tenth where nobody looks."""
        if not self.interactive:
            yield _PlainLines(self.note)
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.err, transient=True) as bars:
            bar = bars.add_task("cache", total=None, rate="")

            def show(state: CacheProgress) -> None:
                bars.update(bar, completed=state.done, total=state.total, rate=rate_of(state))

            yield show

    def table(self, title: str, numbers: Mapping[str, Any]) -> None:
        """Print errors of every planner, at most 80 columns wide."""
        table = Table(title=title, title_justify="left", pad_edge=False, box=box.SIMPLE_HEAD)
        table.add_column("planner", no_wrap=True, vertical="bottom")
        for _, label in _COLUMNS:
            table.add_column(label, justify="right", no_wrap=True)
        for planner, metrics in numbers["metrics"].items():
            table.add_row(_plain(_LABELS.get(planner, planner)), *(_cell(metrics.get(name)) for name, _ in _COLUMNS))
        self.out.print(table)
        for planner, metrics in numbers["metrics"].items():
            if metrics.get("prediction_ade_agents"):
                ade, fde = _cell(metrics["prediction_ade_m"]), _cell(metrics["prediction_fde_m"])
                agents = f"{metrics['prediction_ade_agents']:,.0f} agents"
                self.say(f"predictions, {_LABELS.get(planner, planner)}: ADE {ade} m, FDE {fde} m ({agents})")

    def types(self, by_type_of: Mapping[str, Mapping[str, Mapping[str, float | None]]]) -> None:
        """Print the final error of every planner's most probable plan, by scenario type."""
        table = Table(title="top-1 FDE by scenario type, m", title_justify="left", pad_edge=False, box=box.SIMPLE_HEAD)
        table.add_column("type", overflow="fold", vertical="bottom")  # two types may differ in their last letters
        table.add_column("count", justify="right", no_wrap=True, vertical="bottom", min_width=5)
        for planner in by_type_of:
            label = _LABELS.get(planner, planner).replace(" ", "\n").replace("acceleration", "accel.")
            width = max(map(len, label.split("\n")))
            table.add_column(label, justify="right", no_wrap=True, vertical="bottom", min_width=width)
        for name, row in by_type_of["planner"].items():
            cells = (_cell(by_type[name]["fde_top1_m"]) for by_type in by_type_of.values())
            table.add_row(_plain(name), f"{row['count']:,.0f}", *cells)
        self.out.print(table)

    def summary(self, run: Run, seconds: float, files: Mapping[str, Path]) -> None:
        """Print how a run ended: its time by step, how good it is, and what was written."""
        ended = "is complete" if run.status == "finished" else "has more steps to do"
        times = ", ".join(f"{step} {duration_of(numbers['seconds'])}" for step, numbers in run.steps.items())
        self.say(f"run {run.path.name} {ended}: {duration_of(seconds)} now ({times})")
        for step, numbers in run.steps.items():
            own, base = (numbers.get("metrics", {}).get(planner, {}) for planner in ("planner", "constant_velocity"))
            if own.get(_FDE) is not None:
                beside = f" (constant velocity: {_cell(base.get(_FDE))} m, {_cell(base.get(_MISS))})" if base else ""
                self.say(f"  {step}: FDE {_cell(own[_FDE])} m, miss {_cell(own.get(_MISS))}{beside}")
        self.files(files)
        if any("metrics" in numbers for numbers in run.steps.values()) and _has_report():
            self.say(f"look at it: pluto report {short(run.path)}")

    def files(self, files: Mapping[str, Path]) -> None:
        """Print what was written; pictures, whose names are long, as the folder that holds them."""
        drawn = [path.parent for name, path in files.items() if name.startswith(_PICTURE)]
        told = {name: short(path) for name, path in files.items() if not name.startswith(_PICTURE)}
        told |= {f"{drawn.count(folder)} pictures": short(folder) for folder in dict.fromkeys(drawn)}
        width = max((len(name) for name in told), default=0)
        for name, path in told.items():
            self.say(f"  {name:<{width}}  {path}")


class _PlainLines:
    """Progress as a few plain lines, for logs."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._told = 0

    def __call__(self, state: CacheProgress) -> None:
        tenth = 10 * state.done // max(state.total, 1)
        if tenth > self._told:
            self._told = tenth
            left = f", {duration_of(state.remaining_s)} left" if state.remaining_s and state.done < state.total else ""
            self._note(f"cache: {state.done} of {state.total}, {rate_of(state)}{left}")


def rate_of(state: CacheProgress) -> str:
    """Return rate, bytes and failures as text."""
    rate = state.done / state.seconds if state.seconds > 0 else 0.0
    failed = f", {state.failed} failed" if state.failed else ""
    return f"{rate:.1f}/s, {size_of(state.bytes)}{failed}"


def size_of(count: float) -> str:
    """Return a number of bytes in the largest unit that leaves a number above one."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < _KIB:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= _KIB
    return f"{count:.1f} TiB"


def duration_of(seconds: float) -> str:
    """Return a time as people say it."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _has_report() -> bool:
    return any(entry.name == "report" for entry in entry_points(group="pluto.commands"))


def _plain(name: str) -> Text:
    """Return a name that comes with the data as text, whatever brackets it holds."""
    return Text(printable(name))


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def short(path: Path) -> str:
    """Return a path as seen from the working directory, where it lies below it."""
    with contextlib.suppress(ValueError):
        return str(path.resolve().relative_to(Path.cwd()))
    return str(path)
