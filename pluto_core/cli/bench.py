"""`pluto bench`: whether loading keeps up with a training."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pluto_core.cli.options import experiment_options, read_experiment
from pluto_core.errors import ExitCode

if TYPE_CHECKING:
    from pluto_core.run.loading import Speed


@click.command()
@experiment_options
@click.option(
    "--part", type=click.Choice(["train", "val", "test"]), default="train", show_default=True, help="Which samples to load."
)
@click.option(
    "--workers", type=click.IntRange(min=0), multiple=True, metavar="N",
    help="Processes, in place of loader.workers; repeat it to compare.",
)  # fmt: skip
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), default=5.0, show_default=True, help="How long to measure each."
)
@click.option("as_json", "--json", is_flag=True, help="Print one JSON object.")
def bench(
    file: Path,
    settings: tuple[str, ...],
    modules: tuple[str, ...],
    without: tuple[str, ...],
    part: str,
    workers: tuple[int, ...],
    seconds: float,
    as_json: bool,
) -> int:
    """Measure how fast the loader gives the batches of the experiment in FILE, augmentations included.

    The cache must hold the samples. Nothing is trained: a training is faster than this only where it waits for nothing.

    \b
    pluto bench mine.toml
    pluto bench mine.toml --workers 0 --workers 2 --seconds 10
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    experiment = read_experiment(file, settings, modules, without)
    experiment.require_variables()
    from pluto_core.run.loading import measure
    from pluto_core.run.workspace import Workspace

    workspace = Workspace(experiment, lambda text: click.echo(text, err=True))
    speeds = [measure(workspace, part, workers=count, seconds=seconds) for count in workers or (experiment.loader.workers,)]
    if as_json:
        click.echo(json.dumps(_plain(experiment.name, str(workspace.cache_path), part, speeds), indent=2))
    else:
        click.echo("\n".join(_lines(experiment.name, part, speeds)))
    return int(ExitCode.OK)


def _plain(name: str, cache: str, part: str, speeds: "Sequence[Speed]") -> dict[str, object]:
    import attrs

    return {"name": name, "cache": cache, "part": part, "measured": [attrs.asdict(speed) for speed in speeds]}


def _lines(name: str, part: str, speeds: "Sequence[Speed]") -> Iterator[str]:
    from pluto_core.run.display import size_of

    yield f"{name}: batches of {part!r}"
    for speed in speeds:
        processes = {0: "in this process", 1: "1 process"}.get(speed.workers, f"{speed.workers:,} processes")
        share = speed.samples_per_s / speed.copied_samples_per_s
        rate = f"{speed.samples_per_s:,.0f} samples/s, {size_of(speed.batch_bytes)} a batch"
        yield f"  {processes:<16}{rate}, {share:.0%} of plain copying; first batch after {speed.first_batch_s:.2f} s"
