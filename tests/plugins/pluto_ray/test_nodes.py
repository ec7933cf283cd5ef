"""The worker `ray` on several nodes, one of which dies: what it was at and what it held is done by others."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import ray_world
from ray_world import worker, world

pytestmark = pytest.mark.slow


class TwoNodes:
    """A cluster of one core here, and nodes of one core that may die."""

    def __init__(self, folder):
        variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "RAY_AUTH_MODE": "disabled"}
        variables |= {"RAY_TMPDIR": str(folder), "RAY_USAGE_STATS_ENABLED": "0"}
        (folder / "ray").mkdir()
        self.process = subprocess.Popen(
            [sys.executable, ray_world.__file__, "cluster", str(folder)],
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        (self.address,) = self.read("address")
        self.raylet, self.scratch = 0, Path()

    def read(self, beginning):
        """Return the words behind one."""
        for line in self.process.stdout:
            if line.startswith(beginning):
                return line.split()[1:]
        raise AssertionError(self.process.wait())

    def add(self):
        """Start a node."""
        self.process.stdin.write("add\n")
        raylet, scratch = self.read("node")
        self.raylet, self.scratch = int(raylet), Path(scratch)

    def kill(self, *, whole=True):
        """Let the node die, with its actors and its disk; or only what Ray runs there, and actors go on until they notice."""
        actors = [int(place.parent.name) for place in Path("/proc").glob("[0-9]*/stat") if parent(place) == self.raylet]
        os.kill(self.raylet, signal.SIGKILL)
        for process in actors if whole else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        if whole:
            shutil.rmtree(self.scratch, ignore_errors=True)


def parent(place):
    """Return the process that started another one."""
    try:
        return int(place.read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


@pytest.fixture(scope="module")
def cluster():
    """Return a cluster, and end it."""
    with tempfile.TemporaryDirectory(prefix="pl", dir="/tmp", ignore_cleanup_errors=True) as place:
        made = TwoNodes(Path(place))
        yield made
        made.process.stdin.close()
        made.process.wait(60)
        made.process.stdout.close()


@pytest.fixture
def nodes(cluster):
    """Return the cluster with a node that lives."""
    cluster.add()
    return cluster


def killer(nodes, after, **how):
    """Return what kills the node when so many scenarios are done."""

    def look(state):
        if state.done >= after and nodes.raylet:
            nodes.kill(**how)
            nodes.raylet = 0

    return look


@pytest.mark.parametrize(("whole", "shared"), [(True, True), (True, False), (False, True)])
def test_a_node_dies(nodes, tmp_path, whole, shared):
    """Each scenario of a node that dies is done again elsewhere, also those that only its disk held; none is blamed."""
    wanted = world.listing(6, 60)
    alone, folder = (world.folder_at(tmp_path / name) for name in ("alone", "ray"))
    world.cache(alone, wanted)
    notes = []
    report = world.cache(
        folder,
        wanted,
        source=world.Source(delay_s=0.02),
        worker=worker(notes.append, address=nodes.address, count=2, shared=shared),
        note=notes.append,
        progress=killer(nodes, after=120, whole=whole),
    )
    assert any("was lost (its node is gone)" in note for note in notes) or not whole, notes
    assert any("scenarios were lost with the node that held them" in note for note in notes) != shared or not whole
    assert (report.done, report.failed) == (360, {})
    assert world.content(folder) == world.content(alone)
    assert folder.failures() == {}
    assert world.cache(folder, wanted).present == 360


def test_what_a_killed_run_left_on_nodes(nodes, tmp_path):
    """Where nodes share nothing, the next run brings in what the one before wrote, and does not do it again."""
    settings = {"address": nodes.address, "count": 2, "shared": False}
    with ray_world.started(tmp_path / "cache", **settings) as process:
        ray_world.wait_until_done(process, 100)
        process.kill()
    wanted, notes = world.listing(4, 60), []
    folder = world.folder_at(tmp_path / "cache")
    report = world.cache(folder, wanted, worker=worker(notes.append, **settings), note=notes.append)
    assert (report.present, report.done) == (0, 240)
    assert any(note.startswith("took over") for note in notes)
    assert report.bytes < 700_000
    alone = world.folder_at(tmp_path / "alone")
    world.cache(alone, wanted)
    assert world.content(folder) == world.content(alone)
    assert not list(nodes.scratch.iterdir())
