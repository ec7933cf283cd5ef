"""The command `pluto data`."""

import re
import sys
from pathlib import Path

import click

from pluto_core.errors import PlutoError


@click.group()
def data() -> None:
    """Make and look at datasets.

    \b
    pluto data synth --out /data/town
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped


@data.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to make.")
@click.option("--logs", type=click.IntRange(min=3), default=12, show_default=True, help="Number of logs.")
@click.option("--seconds", type=click.FloatRange(min=4), default=40.0, show_default=True, help="Length of a log.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed, same dataset.")
@click.option(
    "--junctions",
    "--grid",
    "grid",
    default="3x3",
    show_default=True,
    metavar="NxM",
    help="Crossroads of the town, columns and rows.",
)
@click.option("--density", type=float, default=1.0, show_default=True, help="Traffic, as a multiple of the usual.")
def synth(out: Path, logs: int, seconds: float, seed: int, grid: str, density: float) -> None:
    """Write a synthetic town in nuPlan's own format.

    SQLite logs at 20 Hz and GeoPackage maps, which nuPlan's tools read too.

    \b
    pluto data synth --out /data/town --logs 12 --seed 1
    """  # noqa: D301 -- as above
    from pluto_nuplan.synth.dataset import write_dataset

    def show(done: int, total: int, what: str) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r{done} of {total}: {what:<60}", nl=False, err=True)

    summary = write_dataset(out, logs=logs, seconds=seconds, seed=seed, grid=_grid(grid), density=density, progress=show)
    if sys.stderr.isatty():
        click.echo(f"\r{'':<80}\r", nl=False, err=True)
    click.echo(f"{summary.logs} logs, {summary.frames} frames, {summary.boxes} boxes, {summary.lanes} lanes in {summary.root}")
    click.echo(f"read them with: --set source.data_root={summary.root}")


def _grid(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if found is None:
        message = f"--junctions: {text!r} is no grid; write columns, x, rows, such as 3x3"
        raise PlutoError(message)
    return int(found[1]), int(found[2])
