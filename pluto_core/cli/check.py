"""`pluto check`: every mistake of experiments, without running them."""

from pathlib import Path

import click

from pluto_core.cli.options import plugin_options, read_experiment
from pluto_core.errors import ExitCode, PlutoError
from pluto_core.experiment.nodes import settings as settings_of


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("settings", "--set", multiple=True, metavar="KEY=VALUE", help="Override a setting, such as loader.batch_size=16.")
@plugin_options
def check(files: tuple[Path, ...], settings: tuple[str, ...], modules: tuple[str, ...], without: tuple[str, ...]) -> int:
    """Find every mistake in the experiments in FILES, without running them.

    \b
    pluto check mine.toml
    pluto check mine.toml --set loader.batch_size=16
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    codes = [_check(file, settings, modules, without) for file in files]
    return max(codes)


def _check(file: Path, settings: tuple[str, ...], modules: tuple[str, ...], without: tuple[str, ...]) -> int:
    try:
        experiment = read_experiment(file, settings, modules, without)
    except PlutoError as error:
        click.echo(str(error), err=True)
        return int(error.exit_code)
    count = sum(1 for _ in settings_of(experiment.tree))
    notes = [*experiment.notes, *experiment.unset, *experiment.lacking]
    click.echo(f"{file}: ok ({count} settings{f', {len(notes)} notes' if notes else ''})")
    for note in notes:
        click.echo(f"  note: {note}")
    return int(ExitCode.OK)
