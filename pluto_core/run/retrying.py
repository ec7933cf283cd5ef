"""Computing again what failed, and nothing else: `pluto cache retry`."""

from collections.abc import Callable
from typing import Any

import numpy as np

from pluto_core.pipeline.listings import keys_of
from pluto_core.pipeline.progress import Progress
from pluto_core.run.workspace import Workspace


def retry_failures(workspace: Workspace, progress: Callable[[Progress], None]) -> dict[str, Any]:
    """Run the cache step for those scenarios of the experiment's listing that failed, and return what became of them.

    Args:
        workspace: Of an experiment whose `cache.retry_failures` is true.
        progress: Shown a few times a second.

    Raises:
        PlutoError: There is no source, or another run uses the cache.
        TooManyFailuresError: More than `max_failures` of them failed again.
    """
    wanted = set(workspace.builders.tags)
    failed = {key.encode() for tag, key in workspace.folder.failures() if tag in wanted}
    listing = workspace.listing
    rows = np.flatnonzero(np.asarray([key in failed for key in keys_of(listing).tolist()], np.bool_))
    told = {"path": str(workspace.cache_path), "failed_before": len(rows), "done": 0, "failed": {}, "seconds": 0.0}
    if len(rows):
        workspace.listing = listing.take(rows)
        report = workspace.cache(progress)
        told |= {"done": report.done, "failed": dict(report.failed), "seconds": round(report.seconds, 3)}
    return told
