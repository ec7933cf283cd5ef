"""`pluto bench`: what every part of an experiment takes on this machine."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pluto_core.cli.bars import bar
from pluto_core.cli.options import experiment_options, read_experiment
from pluto_core.errors import ExitCode

if TYPE_CHECKING:
    from pluto_core.run.benchmark import Report

_PARTS = ("features", "cache", "loader", "step", "start-up")
"""`pluto_core.run.benchmark.MEASURED`, which would import numpy; a test compares them."""


@click.command()
@experiment_options
@click.option("--only", type=click.Choice(_PARTS), multiple=True, help="Measure this and nothing else; may be repeated.")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="How often to measure each thing.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="How long a round of the loader or of training steps is.",
)
@click.option(
    "--samples", type=click.IntRange(min=1), default=48, show_default=True, help="Scenarios to compute for features and cache."
)
@click.option(
    "--part",
    type=click.Choice(["train", "val", "test"]),
    default="train",
    show_default=True,
    help="Whose batches to load and train on.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    multiple=True,
    metavar="N",
    help="Processes that load, in place of loader.workers; repeat it to compare.",
)
@click.option("as_json", "--json", is_flag=True, help="Print one JSON object.")
@click.option("--progress/--no-progress", default=True, help="Show a progress bar.")  # fmt: skip
def bench(
    file: Path,
    settings: tuple[str, ...],
    modules: tuple[str, ...],
    without: tuple[str, ...],
    as_json: bool,
    progress: bool,
    **wanted: Any,
) -> int:
    """Measure what the experiment in FILE takes: features, cache, loader, training step, start-up.

    Each figure is the median of some rounds after one that does not count, with the lowest and the highest. Features and cache
    are measured on a few scenarios, in one process. The loader and the training step take the samples of the cache, or those
    few where it has none. Nothing is written but into a temporary folder, and nothing of the training is kept.

    \b
    pluto bench mine.toml
    pluto bench mine.toml --only loader --workers 0 --workers 2
    pluto bench mine.toml --json > before.json
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")  # as `pluto run` does
    experiment = read_experiment(file, settings, modules, without)
    experiment.require_variables()
    experiment.require_extras()
    from pluto_core.run import benchmark
    from pluto_core.run.workspace import Workspace

    wishes = benchmark.Wishes(**wanted, check=_repeated(file, settings, modules, without))
    workspace = Workspace(experiment, lambda text: click.echo(text, err=True))
    with bar("bench", wanted=progress) as show:
        report = benchmark.bench(workspace, wishes, show)
    click.echo(json.dumps(report.plain(), indent=2) if as_json else "\n".join(_lines(report)))
    return int(ExitCode.OK)


def _repeated(file: Path, settings: tuple[str, ...], modules: tuple[str, ...], without: tuple[str, ...]) -> tuple[str, ...]:
    """Return the arguments with which another command reads the same experiment."""
    options = (("--set", settings), ("-p", modules), ("--without", without))
    return (str(file), *(text for name, values in options for value in values for text in (name, value)))


def _lines(report: "Report") -> Iterator[str]:
    from pluto_core.run.figures import rounded

    yield f"{report.name}: " + (f"medians of {report.rounds} rounds (lowest to highest)" if report.rounds > 1 else "one round")
    rows = [
        (figure.part, figure.name, rounded(figure.median), f"({rounded(min(figure.values))} to {rounded(max(figure.values))})"
         if len(figure.values) > 1 else "", figure.unit, figure.note)
        for figure in report.figures
    ]  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(5)] if rows else []
    for part in _PARTS:
        if part in report.left_out:
            yield f"{part}: left out, {report.left_out[part]}"
        own = [row for row in rows if row[0] == part]
        if own:
            yield f"{part}: {report.about[part]}"
        for _, name, median, span, unit, note in own:
            text = f"  {name:<{widths[1]}}  {median:>{widths[2]}}  {span:<{widths[3]}}  {unit}"
            yield text + (f"; {note}" if note else "")
    if report.verdict:
        yield report.verdict
    yield f"{report.machine['processor']}, {report.machine['processors']}, GPU {report.machine['GPU']}; " + ", ".join(
        f"{name} {version}" for name, version in report.versions.items()
    )
    if report.busy:
        yield f"other programs were at work (load {report.load:.1f}): times are upper bounds"
