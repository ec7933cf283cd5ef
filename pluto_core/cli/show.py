"""`pluto show`: an experiment with every setting and its origin."""

import json
from pathlib import Path

import click

from pluto_core.cli.options import experiment_options, read_experiment
from pluto_core.errors import ExitCode
from pluto_core.experiment.nodes import Node, dotted
from pluto_core.experiment.nodes import settings as settings_of
from pluto_core.experiment.tomltext import write_value


@click.command()
@experiment_options
@click.option("as_json", "--json", is_flag=True, help="Print one JSON object: settings and origins.")
@click.option("other", "--diff", type=click.Path(path_type=Path), metavar="OTHER", help="Print what differs from another file.")
def show(
    file: Path,
    settings: tuple[str, ...],
    modules: tuple[str, ...],
    without: tuple[str, ...],
    as_json: bool,
    other: Path | None,
) -> int:
    """Print the experiment in FILE with every setting, each with where it comes from.

    The output is an experiment file itself: running it repeats the run.

    \b
    pluto show mine.toml
    pluto show mine.toml --diff other.toml
    pluto show mine.toml > resolved.toml
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    experiment = read_experiment(file, settings, modules, without)
    if other is not None:
        differences = difference(experiment.tree, read_experiment(other, (), modules, without).tree)
        if as_json:
            click.echo(json.dumps(differences, indent=2))
        else:
            click.echo(_as_text(differences, str(file), str(other)))
    elif as_json:
        origins = {dotted(path): str(node.origin) for path, node in settings_of(experiment.tree)}
        click.echo(json.dumps({"settings": experiment.settings, "origins": origins}, indent=2))
    else:
        click.echo(experiment.resolved, nl=False)
    return int(ExitCode.OK)


Side = dict[str, object]


def difference(left: Node, right: Node) -> dict[str, dict[str, Side | None]]:
    """Return the settings that differ, by key: value and origin on the left and on the right, None where there is none."""
    lefts, rights = _by_key(left), _by_key(right)
    keys = list(dict.fromkeys((*lefts, *rights)))
    return {
        key: {"left": lefts.get(key), "right": rights.get(key)}
        for key in keys
        if key not in lefts or key not in rights or lefts[key]["value"] != rights[key]["value"]
    }


def _by_key(tree: Node) -> dict[str, Side]:
    return {dotted(path): {"value": node.plain(), "origin": str(node.origin)} for path, node in settings_of(tree)}


def _as_text(differences: dict[str, dict[str, Side | None]], left: str, right: str) -> str:
    lines = [f"--- {left}", f"+++ {right}"]
    for key, sides in differences.items():
        for sign, side in (("-", sides["left"]), ("+", sides["right"])):
            if side is not None:
                lines.append(f"{sign} {key} = {write_value(side['value'])}  # {side['origin']}")
    return "\n".join(lines) if differences else f"{left} and {right} resolve to the same settings"
