"""`pluto plan`: what a long run will take, before it begins."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pluto_core.cli.bars import bar
from pluto_core.cli.options import experiment_options, read_experiment
from pluto_core.errors import ExitCode

if TYPE_CHECKING:
    from pluto_core.run.planning import Forecast

_MINUTE, _HOUR = 60, 3600


@click.command()
@experiment_options
@click.option("--samples", type=click.IntRange(min=1), default=200, show_default=True, help="Scenarios to compute.")
@click.option("--shard", metavar="I/N", help="Forecast this part of an array job, as in `pluto run --shard`.")
@click.option("as_json", "--json", is_flag=True, help="Print one JSON object.")
@click.option("--progress/--no-progress", default=True, help="Show a progress bar.")
def plan(
    file: Path,
    settings: tuple[str, ...],
    modules: tuple[str, ...],
    without: tuple[str, ...],
    samples: int,
    shard: str | None,
    as_json: bool,
    progress: bool,
) -> int:
    """Say what the cache step of the experiment in FILE will take: time, bytes, memory, failures.

    Lists the scenarios and computes a sample of them as a worker would. The cache is read and never written.

    \b
    pluto plan mine.toml
    pluto plan mine.toml --samples 50 --json
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    experiment = read_experiment(file, settings, modules, without)
    experiment.require_variables()
    from pluto_core.pipeline.parts import Part
    from pluto_core.run import planning
    from pluto_core.run.workspace import Workspace

    part = Part.read(shard) if shard is not None else None
    workspace = Workspace(experiment, lambda text: click.echo(text, err=True))
    with bar("measure", wanted=progress) as show:
        forecast = planning.plan(workspace, samples=samples, part=part, progress=show)
    told = {"name": experiment.name, "cache": str(workspace.cache_path), **planning.plain(forecast)}
    text = "\n".join(_lines(forecast))
    click.echo(json.dumps(told, indent=2) if as_json else f"{experiment.name}: {text}")
    return int(ExitCode.FAILED if forecast.problems else ExitCode.OK)


def _lines(forecast: "Forecast") -> Iterator[str]:
    yield f"{forecast.listed:,} scenarios, {forecast.present:,} of them cached, {forecast.scenarios:,} to compute"
    if forecast.failed_before:
        yield f"  {forecast.failed_before:,} failed before and are not tried again (pluto cache retry)"
    if forecast.scenarios:
        yield from _costs(forecast)
    for problem in forecast.problems:
        yield f"  would be refused: {problem}"


def _costs(forecast: "Forecast") -> Iterator[str]:
    from pluto_core.run.display import size_of

    logs = "part" if forecast.logs == 1 else "parts"
    processes = "one process" if forecast.processes == 1 else f"{forecast.processes} processes at a time"
    yield f"  measured  {forecast.sampled:,} of them, from {forecast.logs:,} {logs} of logs, in {processes}"
    span = f" ({' to '.join(map(_time, forecast.seconds_range))})" if forecast.seconds_range else ""
    workers = f"{forecast.workers:,} worker{'s' if forecast.workers > 1 else ''}"
    yield f"  time      {_time(forecast.seconds)}{span} with {workers}"
    yield f"            {forecast.scenario_s * 1000:.1f} ms a scenario and worker, {forecast.startup_s:.1f} s to start"
    sizes = f"{size_of(forecast.bytes)}, {size_of(forecast.scenario_bytes)} a scenario"
    yield f"  disk      {sizes}; {size_of(forecast.free_bytes)} free"
    if forecast.bytes > forecast.free_bytes:
        yield '            TOO LITTLE is free: make room, choose another cache.path, or cache.profile = "small"'
    yield f"  memory    {size_of(forecast.memory_bytes)} a worker"
    yield from _failures(forecast)


def _failures(forecast: "Forecast") -> Iterator[str]:
    if not forecast.sampled_failures:
        yield f"  failures  none of {forecast.sampled:,}"
        return
    share = sum(forecast.sampled_failures.values()) / forecast.sampled
    yield f"  failures  about {forecast.failures:,} ({share:.1%})"
    for reason, count in sorted(forecast.sampled_failures.items(), key=lambda item: -item[1]):
        yield f"            {reason} {count:,} of {forecast.sampled:,}, such as"
        yield f"              {forecast.examples.get(reason, '')}"
    limit = forecast.max_failures
    if limit is not None and forecast.failures + forecast.failed_before > limit:
        yield f"            MORE than max_failures = {limit:,} allows: the step would stop"


def _time(seconds: float) -> str:
    """Return a time in the unit in which a person thinks of it."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} h"
