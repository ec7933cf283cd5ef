"""`pluto runs`: the runs of an output folder."""

import json
import time
from pathlib import Path

import click

from pluto_core.errors import ExitCode


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default="runs")
@click.option("as_json", "--json", is_flag=True, help="Print one JSON object.")
def runs(folder: Path, as_json: bool) -> int:
    """List the runs in FOLDER (an experiment's output_dir; `runs` where not given)."""
    from pluto_core.run.folders import existing

    found = existing(folder)
    if as_json:
        rows = [
            {"path": str(run.path), "status": run.status, "started": run.started, "steps": list(run.steps)} for run in found
        ]
        click.echo(json.dumps({"runs": rows}, indent=2))
        return int(ExitCode.OK)
    for run in found:
        started = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.started))
        click.echo(f"{run.path}  {started}  {run.status:<11}  {', '.join(run.steps) or 'no step done'}")
    if not found:
        click.echo(f"no runs in {folder}")
    return int(ExitCode.OK)
