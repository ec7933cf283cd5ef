"""A whole run with a cluster of its own, ended before its time; in the end nothing runs and nothing is left."""

import contextlib
import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from ray_world import is_held, started, wait_until, wait_until_done, worker, world

from pluto_core.errors import ExitCode


def left_in(folder):
    """Return what still runs and names a folder on its command line."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in place.read_bytes():
                found.append(place.parent.name)
    return found


@pytest.fixture
def short():
    """Return a folder whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="pl", dir="/tmp") as place:
        yield Path(place)


@pytest.mark.slow
def test_ctrl_c(tmp_path, short):
    """Ctrl-C at a terminal, which reaches every process: what was computed is sealed, nothing keeps running or is left."""
    with started(tmp_path / "cache", runtime_dir=str(short)) as process:
        wait_until_done(process, 20)
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=100)
    assert process.returncode == ExitCode.INTERRUPTED, output
    assert "lost" not in output
    folder = world.folder_at(tmp_path / "cache")
    assert not list(folder.shards.unsealed.iterdir())
    assert 20 <= folder.index().count("future") < 240
    assert not left_in(short)
    assert not list(short.iterdir())


@pytest.mark.slow
def test_the_driver_is_killed(tmp_path, short):
    """A killed driver takes its cluster along; the next run goes on with what actors wrote, and clears the folder."""
    wanted = world.listing(4, 60)
    with started(tmp_path / "cache", runtime_dir=str(short)) as process:
        wait_until_done(process, 20)
        process.kill()
    folder = world.folder_at(tmp_path / "cache")
    wait_until(lambda: not left_in(short) and not any(map(is_held, folder.shards.unsealed.glob("*.owner"))))
    notes = []
    report = world.cache(folder, wanted, worker=worker(count=1, runtime_dir=str(short)), note=notes.append)
    assert any(note.startswith("took over") for note in notes)
    assert report.present + report.done == len(wanted)
    assert report.present >= 20
    alone = world.folder_at(tmp_path / "alone")
    world.cache(alone, wanted)
    assert world.content(folder) == world.content(alone)
    assert not list(short.iterdir())
