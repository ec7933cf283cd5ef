"""`pluto check`: every mistake of experiments, without running them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pluto_core.cli.options import plugin_options, read_experiment
from pluto_core.errors import ExitCode, ExperimentError, PlutoError
from pluto_core.experiment.nodes import settings as settings_of

if TYPE_CHECKING:
    from pluto_core.errors import Mistake
    from pluto_core.experiment import Experiment


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("settings", "--set", multiple=True, metavar="KEY=VALUE", help="Override a setting, such as loader.batch_size=16.")
@click.option("as_json", "--json", is_flag=True, help="Print one JSON object: mistakes and notes by file.")
@plugin_options
def check(
    files: tuple[Path, ...], settings: tuple[str, ...], as_json: bool, modules: tuple[str, ...], without: tuple[str, ...]
) -> int:
    """Find every mistake in the experiments in FILES, without running them.

    \b
    pluto check mine.toml
    pluto check mine.toml --set loader.batch_size=16
    pluto check mine.toml --json               for editors and CI
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    found = {file: _found(file, settings, modules, without) for file in files}
    if as_json:
        click.echo(json.dumps({str(file): _plain(one) for file, one in found.items()}, indent=2))
    else:
        for file, one in found.items():
            _tell(file, one)
    return max(int(one.exit_code if isinstance(one, PlutoError) else ExitCode.OK) for one in found.values())


def _found(
    file: Path, settings: tuple[str, ...], modules: tuple[str, ...], without: tuple[str, ...]
) -> "Experiment | PlutoError":
    try:
        return read_experiment(file, settings, modules, without)
    except PlutoError as error:
        return error


def _tell(file: Path, found: "Experiment | PlutoError") -> None:
    if isinstance(found, PlutoError):
        click.echo(str(found), err=True)
        return
    count, notes = _counted(found)
    noted = f", {len(notes)} note{'s' if len(notes) > 1 else ''}" if notes else ""
    click.echo(f"{file}: ok ({count} settings{noted})")
    for note in notes:
        click.echo(f"  note: {note}")


def _counted(experiment: "Experiment") -> "tuple[int, list[Mistake]]":
    """Return the number of settings, and what is worth a look."""
    return sum(1 for _ in settings_of(experiment.tree)), [*experiment.notes, *experiment.unset, *experiment.lacking]


def _plain(found: "Experiment | PlutoError") -> dict[str, Any]:
    """Return what was found as plain values: an editor can jump to `where`."""
    if isinstance(found, ExperimentError):
        return {"ok": False, "mistakes": [_row(one) for one in found.mistakes], "notes": []}
    if isinstance(found, PlutoError):
        return {"ok": False, "mistakes": [{"where": "", "key": "", "problem": str(found)}], "notes": []}
    count, notes = _counted(found)
    return {"ok": True, "settings": count, "mistakes": [], "notes": [_row(one) for one in notes]}


def _row(mistake: "Mistake") -> dict[str, str]:
    return {"where": mistake.where, "key": mistake.key, "problem": mistake.problem}
