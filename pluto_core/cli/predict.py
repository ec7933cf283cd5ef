"""`pluto predict`: what a trained planner intends for some scenarios."""

import json
from pathlib import Path

import click

from pluto_core.cli.options import experiment_options, read_experiment
from pluto_core.errors import ExitCode, PlutoError

_ENDINGS = (".json", ".npz")


@click.command()
@experiment_options
@click.option(
    "tokens", "--scenario", required=True, multiple=True, metavar="TOKEN", help="Scenario to plan; repeat it for more."
)
@click.option(
    "--checkpoint", metavar="best|last|PATH",
    help="Weights: of the newest run of FILE, a file, or another run's folder; without it what FILE says.",
)  # fmt: skip
@click.option(
    "--to", "target", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Write FILE.json or FILE.npz; without it JSON goes to the terminal.",
)  # fmt: skip
def predict(
    file: Path,
    settings: tuple[str, ...],
    modules: tuple[str, ...],
    without: tuple[str, ...],
    tokens: tuple[str, ...],
    checkpoint: str | None,
    target: Path | None,
) -> int:
    """Plan scenarios with the planner that the experiment in FILE trained: trajectories, probabilities, what agents will do.

    \b
    pluto predict FILE --scenario 1a2b3c4d5e6f7081
    pluto predict FILE --scenario TOKEN --scenario OTHER --to plans.npz

    Samples come from the cache where it has them, else from the dataset; ends with 1 where a scenario gives none.
    `pluto scenarios FILE --csv -` lists tokens.
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    if target is not None and target.suffix not in _ENDINGS:
        raise PlutoError(f"--to {target}: the name must end with {' or '.join(_ENDINGS)}")
    experiment = read_experiment(file, settings, modules, without)
    experiment.require_variables()
    experiment.require_extras()
    from pluto_core.run import checkpoints, predicting
    from pluto_core.run.workspace import Workspace

    path = checkpoints.find(experiment, checkpoint or experiment.checkpoint)
    workspace = Workspace(experiment, lambda text: click.echo(text, err=True))
    found = predicting.predict(workspace, tokens, path, workspace.note)
    ending = int(ExitCode.FAILED if found.failed else ExitCode.OK)
    if target is None:
        click.echo(json.dumps(found.as_json()))
        return ending
    try:
        found.write(target)
    except OSError as error:
        raise PlutoError(f"--to {target}: {error.strerror}") from None
    click.echo(f"{len(found.listing)} scenarios planned: {target}", err=True)
    return ending
