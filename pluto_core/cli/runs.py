"""`pluto runs`: the runs of an output folder."""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pluto_core.errors import ExitCode

if TYPE_CHECKING:
    from pluto_core.run.folders import Run

_EVALUATIONS = ("test", "validate")
_HEADER = ("run", "name", "started", "status", "FDE, m", "c.v.", "ADE, m", "miss", "time")
_WIDTHS = (3, 10, 11, 11, 6, 5, 6, 4, 8)
_TEXTS = 4
"""Columns that stand to the left."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default="runs")
@click.option("as_json", "--json", is_flag=True, help="Print one JSON object.")
def runs(folder: Path, as_json: bool) -> int:
    """List the runs in FOLDER (an experiment's output_dir; `runs` where not given) with their main figures.

    FDE, ADE and miss are those of the last evaluation; c.v. is the FDE of keeping the speed, for comparison.

    \b
    pluto runs                     those of the folder runs
    pluto runs mine --json         for programs: all means, paths, steps
    pluto report runs/001          everything about one of them
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    from pluto_core.run.folders import existing

    found = existing(folder)
    if as_json:
        click.echo(json.dumps({"runs": [_plain(run) for run in found]}, indent=2))
    elif found:
        click.echo("\n".join(_lines(found)))
    else:
        click.echo(f"no runs in {folder}")
    return int(ExitCode.OK)


def _lines(found: "list[Run]") -> Iterator[str]:
    yield _row(_HEADER)
    for run in found:
        own, base = (_metrics(run).get(planner, {}) for planner in ("planner", "constant_velocity"))
        yield _row(
            (
                run.path.name,
                _name(run),
                time.strftime("%m-%d %H:%M", time.localtime(run.started)),
                run.status,
                *map(_figure, (own.get("fde_top1_m"), base.get("fde_top1_m"), own.get("ade_top1_m"), own.get("miss_top1"))),
                _time(sum(numbers.get("seconds", 0.0) for numbers in run.steps.values())),
            )
        )


def _row(cells: tuple[str, ...]) -> str:
    shown = [
        f"{_cut(cell, width):{'<' if place < _TEXTS else '>'}{width}}"
        for place, (cell, width) in enumerate(zip(cells, _WIDTHS, strict=True))
    ]
    return "  ".join(shown).rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}~"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _time(seconds: float) -> str:
    from pluto_core.run.display import duration_of

    return duration_of(seconds)


def _metrics(run: "Run") -> Mapping[str, Mapping[str, float | None]]:
    """Return the means of the last evaluation, by planner."""
    return next((run.steps[step]["metrics"] for step in _EVALUATIONS if "metrics" in run.steps.get(step, {})), {})


def _name(run: "Run") -> str:
    """Return the name of a run's experiment."""
    from pluto_core.experiment.tomltext import TomlError, loads

    try:
        return str(loads((run.path / "run.toml").read_text(encoding="utf-8")).get("name", "-"))
    except (OSError, UnicodeDecodeError, TomlError):
        return "-"


def _plain(run: "Run") -> dict[str, Any]:
    return {
        "path": str(run.path),
        "name": _name(run),
        "status": run.status,
        "started": run.started,
        "steps": list(run.steps),
        "seconds": {step: numbers.get("seconds") for step, numbers in run.steps.items()},
        "metrics": _metrics(run),
    }
