"""What a run is about to do, in numbers: what there is to compute, what is there already, where it writes."""

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np

from pluto_core.pipeline.listings import keys_of
from pluto_core.run.display import short
from pluto_core.run.folders import Run
from pluto_core.run.workspace import PARTS, Workspace

_NAME = 13
"""Width of the names, as in what the command tells first."""


def foreseen(workspace: Workspace, run: Run, steps: Sequence[str]) -> Iterator[str]:
    """Yield lines about the steps that will be done.

    Args:
        workspace: Of the experiment.
        run: Where results go.
        steps: Those to do, in order.
    """
    done = ", ".join(run.steps)
    yield _line("run", f"{short(run.path)}, {f'goes on: {done} done before' if done else 'new'}")
    if not steps:
        return
    if workspace.source_recipe is None:
        listing = workspace.stored
        yield _line("cache", f"{len(listing):,} scenarios are read from it; nothing is computed")
    else:
        workspace.note("listing scenarios")
        listing = workspace.listing
        yield _line("cache", _work(workspace))
    sizes = workspace.sizes(listing)
    yield _line("scenarios", ", ".join(f"{part} {sizes.get(part, 0):,}" for part in PARTS))


def counted(workspace: Workspace, run: Run, steps: Sequence[str]) -> Iterator[str]:
    """Yield the lines of `foreseen`, as far as they can be known; a step that cannot be done says so when it begins."""
    with contextlib.suppress(Exception):  # whatever it is, the step that meets it again tells it
        yield from foreseen(workspace, run, steps)


def _line(name: str, text: str) -> str:
    return f"  {name:<{_NAME}} {text}"


def _work(workspace: Workspace) -> str:
    """Return what the cache holds of the listing, and what is to be computed."""
    listing, tags, folder = workspace.listing, workspace.builders.tags, workspace.folder
    missing = folder.missing(listing, tags, retry=workspace.experiment.cache.retry_failures)
    rows = [rows for rows in missing.values() if len(rows)]
    todo = len(np.unique(np.concatenate(rows))) if rows else 0
    keys = np.unique(keys_of(listing))
    index = folder.index()
    there = int(np.isin(keys, index.keys[index.complete(tags)]).sum())
    lost = len(keys) - there - todo
    told = f"{there:,} of {len(keys):,} scenarios are there, {todo:,} to compute"
    return told + (f"; {lost:,} failed before" if lost > 0 else "")
