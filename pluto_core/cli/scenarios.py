"""`pluto scenarios`: what an experiment's source and filter select."""

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from pluto_core.cli.options import experiment_options, read_experiment
from pluto_core.errors import ExitCode, PlutoError

if TYPE_CHECKING:
    from pluto_core.pipeline.selection import Selected

_COLUMNS = ("token", "log_name", "scenario_type", "map_name")
_COUNTED = ("type", "map", "log")
_MOST = 100
"""Rows of one table of counts."""


@click.command()
@experiment_options
@click.option("target", "--csv", metavar="FILE", help="Write the scenarios as CSV, in order of selection; - for the terminal.")
def scenarios(
    file: Path, settings: tuple[str, ...], modules: tuple[str, ...], without: tuple[str, ...], target: str | None
) -> int:
    """List the scenarios that the experiment in FILE selects: how many each stage of its filter leaves, or all as CSV.

    \b
    pluto scenarios mine.toml              what the filter leaves
    pluto scenarios mine.toml --csv tokens.csv
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    experiment = read_experiment(file, (*settings, "cache.only=false"), modules, without)
    experiment.require_variables()
    from pluto_core.pipeline.selection import select
    from pluto_core.run.workspace import Workspace

    source = Workspace(experiment, lambda text: click.echo(text, err=True)).lister
    if source is None:
        raise PlutoError(f"{file}: there is no [source] to list scenarios of")
    selected = select(source, experiment.filter, experiment.seed)
    for log, reason, detail in source.problems():
        click.echo(f"left out {log}: {reason.value}: {detail}", err=True)
    for sentence in selected.unmet:
        click.echo(sentence, err=True)
    if target is None:
        _summary(selected)
    else:
        with _opened(target) as stream:
            _write(selected, stream)
    return int(ExitCode.OK)


@contextmanager
def _opened(target: str) -> Iterator[TextIO]:
    if target == "-":
        yield sys.stdout
        return
    try:
        with Path(target).open("w", encoding="utf-8", newline="") as stream:
            yield stream
    except OSError as error:
        raise PlutoError(f"--csv {target}: {error.strerror}") from None


def _write(selected: "Selected", stream: TextIO) -> None:
    listing = selected.listing
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in range(len(listing)):
        found = listing.id(row)
        writer.writerow((found.token, found.log, listing.types.text(row), listing.maps.text(row)))


def _summary(selected: "Selected") -> None:
    for number, (stage, left) in enumerate(selected.funnel, 1):
        click.echo(f"{left:>9,}  {number} {stage}")
    for column in _COUNTED:
        _counts(column, [getattr(counts, f"{column}s") for _, counts in selected.stages])
    click.echo(f"\nhash of the list: {selected.listing.digest()}")


def _counts(title: str, stages: list[dict[str, int]]) -> None:
    """Write how many scenarios of each type, map or log the stages leave, the most frequent of the candidates first."""
    names = list(stages[0])[:_MOST]
    if not names:
        return
    width = max(len(name) for name in (*names, title))
    click.echo(f"\n{title:<{width}}" + "".join(f"{number:>10}" for number in range(1, len(stages) + 1)))
    for name in names:
        click.echo(f"{name:<{width}}" + "".join(f"{stage.get(name, 0):>10,}" for stage in stages))
    if len(stages[0]) > _MOST:
        click.echo(f"... and {len(stages[0]) - _MOST} more")
