"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pluto_core.experiment import Experiment
    from pluto_core.plugins import Catalogue

Decorated = Callable[..., Any]


def plugin_options(command: Decorated) -> Decorated:
    """Add `-p MODULE` and `--without NAME`."""
    command = click.option("--without", multiple=True, metavar="NAME", help="Leave a plugin out (also: PLUTO_WITHOUT=a,b).")(
        command
    )
    return click.option("modules", "-p", "--plugin", multiple=True, metavar="MODULE", help="Load a module as a plugin.")(
        command
    )


def experiment_options(command: Decorated) -> Decorated:
    """Add the argument FILE, `--set`, `-p` and `--without`."""
    command = plugin_options(command)
    text = "Override a setting, such as loader.batch_size=16."
    command = click.option("settings", "--set", multiple=True, metavar="KEY=VALUE", help=text)(command)
    return click.argument("file", type=click.Path(path_type=Path))(command)


def read_experiment(file: Path, settings: tuple[str, ...], modules: tuple[str, ...], without: tuple[str, ...]) -> "Experiment":
    """Return the experiment that a command names.

    Raises:
        ExperimentError: Everything that is wrong with it.
    """
    from pluto_core.experiment import read

    return read(file, settings=settings, modules=modules, without=without)


def load_catalogue(modules: tuple[str, ...], without: tuple[str, ...]) -> "Catalogue":
    """Return the catalogue of a command that reads no experiment."""
    from pluto_core.plugins import Catalogue

    return Catalogue.load(modules=modules, without=without)
