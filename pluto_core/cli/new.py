"""`pluto new`: something to begin with, a plugin's package or an experiment."""

from pathlib import Path

import click

from pluto_core.cli.options import load_catalogue, plugin_options
from pluto_core.errors import ExitCode


@click.group()
def new() -> None:
    """Write something to begin with: the package of a plugin, or an experiment.

    \b
    pluto new plugin mine --kind features
    pluto new experiment mine.toml
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped


@new.command()
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["features", "model"]),
    default="features",
    help="A feature builder, or a variant of PLUTO's model.",
)
@click.option(
    "--to", "folder", type=click.Path(path_type=Path), default=Path(), metavar="DIR", help="Where to make its folder."
)
def plugin(name: str, kind: str, folder: Path) -> int:
    """Write the package pluto_NAME, in the folder pluto-NAME: hooks, config, component, experiment, and tests that pass.

    \b
    pluto new plugin mine --kind features
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    from pluto_core.cli.new_plugin import write_package

    root, count = write_package(name, kind, folder, load_catalogue((), ()))
    click.echo(f"{root}: {count} files. Next:")
    for command, purpose in (
        (f"cd {root}", ""),
        ("python -m pytest", "its tests pass"),
        ("python -m pip install -e .", "pluto finds it"),
        ("pluto run experiment.toml", "it works on a synthetic town"),
    ):
        click.echo(f"  {command:<30}{purpose}".rstrip())
    return int(ExitCode.OK)


@new.command()
@click.argument("file", type=click.Path(path_type=Path), default=Path("experiment.toml"))
@click.option("--source", default="nuplan", metavar="NAME", help="Where scenarios are from.")
@click.option("--model", default="pluto", metavar="NAME", help="What to train.")
@plugin_options
def experiment(file: Path, source: str, model: str, modules: tuple[str, ...], without: tuple[str, ...]) -> int:
    """Write an experiment to FILE (experiment.toml where not given) with every setting, its meaning and its default.

    \b
    pluto new experiment mine.toml --source nuplan --model pluto
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    from pluto_core.cli.new_experiment import write_experiment

    write_experiment(file, source, model, load_catalogue(modules, without), modules)
    click.echo(f"{file}: written. Next:")
    click.echo(f"  {f'pluto check {file}':<30}find mistakes")
    click.echo(f"  {f'pluto run {file}':<30}do it")
    return int(ExitCode.OK)
