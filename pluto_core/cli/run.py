"""`pluto run`: do what an experiment says."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pluto_core.cli.options import experiment_options, read_experiment
from pluto_core.errors import PlutoError

if TYPE_CHECKING:
    from pluto_core.experiment import Experiment
    from pluto_core.pipeline.parts import Part

_PLANNED = ("source", "features", "targets", "augmentations", "model", "objective", "cache", "trainer", "worker")
_PROFILE_INTERVAL_S = 0.01
"""Time between two looks at the stack; the file grows by 0.1 MB a second."""


@click.command()
@experiment_options
@click.option("only", "--only", metavar="STEP[,STEP]", help="Do these of the experiment's steps.")
@click.option("out", "--out", metavar="DIR", help="Folder that holds the runs (output_dir).")
@click.option(
    "--shard",
    metavar="I/N",
    help="Compute this part of the cache, and nothing else: 0/4 is the first of four parts of an array job.",
)
@click.option(
    "--checkpoint", metavar="best|last|PATH", help="What validate and test judge; PATH: a checkpoint, or another run's folder."
)
@click.option("--fresh", is_flag=True, help="Start a new run; with the step cache, wipe the cache first.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--progress/--no-progress", default=True, help="Show progress bars.")
@click.option("--profile", is_flag=True, help="Save a profile as HTML in the output folder (needs pyinstrument).")
def run(  # noqa: PLR0913, PLR0917 -- one argument an option
    file: Path,
    settings: tuple[str, ...],
    modules: tuple[str, ...],
    without: tuple[str, ...],
    only: str | None,
    out: str | None,
    shard: str | None,
    checkpoint: str | None,
    fresh: bool,
    yes: bool,
    progress: bool,
    profile: bool,
) -> int:
    """Do the steps of the experiment in FILE: cache, train, validate, test.

    A finished experiment starts a new run; an unfinished one with the same settings goes on where it stopped.

    \b
    pluto run experiments/sanity.toml
    pluto run mine.toml --only validate --checkpoint last
    pluto run mine.toml --set trainer.epochs=3 --out trial
    pluto run mine.toml --shard 0/4         a part of the cache, for array jobs
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    if out is not None:
        settings = (*settings, f"output_dir={_quoted(out)}")
    experiment = read_experiment(file, settings, modules, without)
    experiment.require_variables()
    experiment.require_extras()
    steps = _steps(experiment, only)
    part = _part(experiment, steps, shard)
    if part is not None:
        if fresh:
            message = "--fresh would take the cache from other parts of the array job; remove it before: pluto cache rm CACHE"
            raise PlutoError(message)
        steps = ("cache",)
    click.echo(plan(experiment, steps or experiment.steps, part))
    # Threads of OpenMP that wait spin for milliseconds by default: beside other busy processes a training step then takes ten
    # times as long. Some microseconds of it keep both: GCC's runtime, which torch brings, reads this when torch is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    with _profiled(experiment.output_dir / "profile.html") if profile else _plainly():
        from pluto_core.run import execute

        return execute(experiment, only=steps, fresh=fresh, yes=yes, progress=progress, part=part, checkpoint=checkpoint)


def _quoted(text: str) -> str:
    from pluto_core.experiment.tomltext import write_value

    return write_value(text)


def _steps(experiment: "Experiment", only: str | None) -> tuple[str, ...]:
    steps = tuple(part.strip() for part in only.split(",")) if only is not None else ()
    for step in steps:
        if step not in experiment.steps:
            known = ", ".join(experiment.steps)
            raise PlutoError(f"--only {only}: {step!r} is none of the experiment's steps ({known})")
    return steps


def _part(experiment: "Experiment", steps: tuple[str, ...], shard: str | None) -> "Part | None":
    """Return the part of an array job that this run is: `--shard`, else the reference's NUM_NODES and NODE_RANK.

    The variables count for the step `cache` alone, for launchers set them for trainings too.
    """
    if shard is None and (steps or experiment.steps) != ("cache",):
        return None  # before numpy is imported: most runs are no part, and their plan comes at once
    from pluto_core.pipeline.parts import Part

    if shard is None:
        return Part.of_environment(os.environ)
    if "cache" not in (steps or experiment.steps):
        raise PlutoError(f"--shard {shard} divides the step 'cache', which is none of the steps to do")
    return Part.read(shard)


def plan(experiment: "Experiment", steps: tuple[str, ...], part: "Part | None" = None) -> str:
    """Return in a few lines what a run is about to do, from names alone."""
    lines = [f"{experiment.name}: {', '.join(steps)} (seed {experiment.seed}, runs in {experiment.output_dir})"]
    for section in _PLANNED:
        chosen = ", ".join(selection.use for selection in experiment.selected(section))
        if chosen:
            lines.append(f"  {section:<13} {chosen}{f' in {experiment.cache.path}' if section == 'cache' else ''}")
    if part is not None:
        lines.append(f"  {'shard':<13} {part}: whole logs, the step cache alone")
    lines += [f"  note: {note}" for note in experiment.notes]
    return "\n".join(lines)


@contextmanager
def _plainly() -> Iterator[None]:
    yield


@contextmanager
def _profiled(path: Path) -> Iterator[None]:
    try:
        from pyinstrument import Profiler
    except ImportError:
        message = "--profile needs pyinstrument: pip install 'pluto-framework[profile]'"
        raise PlutoError(message) from None
    profiler = Profiler(interval=_PROFILE_INTERVAL_S)
    try:
        with profiler:
            yield
    finally:  # what was slow is worth knowing also of a run that failed or was stopped
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(profiler.output_html(), encoding="utf-8")
        click.echo(f"profile: {path}")
