"""`pluto cache verify` with processes: what one process finds, several find too."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "core"))

import cache_world as world

from pluto_basics.workers.processes import Processes
from pluto_core.errors import Reason
from pluto_core.jobs import Lost
from pluto_core.pipeline import maintenance


@pytest.fixture
def folder(tmp_path):
    """Return a cache of four shards: one whole, one with a damaged value, one cut off, one whole."""
    made, wanted = world.folder_at(tmp_path / "cache", "files"), world.listing(4, 5)
    for log in range(4):
        world.cache(made, wanted.take(np.arange(5 * log, 5 * log + 5)))
    shards = [made.shards.path(stamp.name) for stamp in made.shards.sealed()]
    value = next(path for path in sorted(shards[1].iterdir()) if path.stat().st_size > 2000)
    content = bytearray(value.read_bytes())
    content[-20] ^= 0xFF
    value.write_bytes(content)
    shutil.rmtree(shards[2])
    shards[2].write_bytes(b"no folder")
    return made


def both(folder, worker):
    """Return the reports of one process and of a worker, about equal caches at the same place."""
    kept = folder.path.with_name("kept")
    shutil.copytree(folder.path, kept)
    seen = []
    report = maintenance.verify(folder, worker=worker, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == report.values
    left = sorted(folder.index().keys.tolist())
    shutil.rmtree(folder.path)
    kept.rename(folder.path)
    alone = maintenance.verify(folder)
    assert sorted(folder.index().keys.tolist()) == left
    return alone, report


def test_several_processes(folder):
    """Damage, unreadable shards and numbers are the same, and so is what is left in the cache."""
    alone, report = both(folder, Processes(2))
    assert report == alone
    assert (report.values, len(report.damaged), len(report.unreadable)) == (30, 1, 1)


def test_shards_whose_readers_die(folder):
    """A shard that a worker lost is read again by a process that tells a damaged shard from a killed reader."""

    class Losing(Processes):
        def run(self, job, batches):
            """Lose everything."""
            for number, batch in enumerate(batches):
                yield number, len(batch.units) - 1, Lost(Reason.WORKER_LOST, "two processes died")

    alone, report = both(folder, Losing(2))
    assert report == alone
