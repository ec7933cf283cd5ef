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
from ray_world import world

pytestmark = pytest.mark.slow

OPEN = {"RAY_AUTH_MODE": "disabled"}
WANTED = world.listing(4, 60)


class TwoNodes:
    """A cluster of one core here, and nodes of one core that may die."""

    def __init__(self, folder):
        variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **OPEN}
        variables |= {"RAY_TMPDIR": str(folder), "TMPDIR": str(folder), "RAY_USAGE_STATS_ENABLED": "0"}
        self.folder = folder
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


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Return what the cache is to hold."""
    folder = world.folder_at(tmp_path_factory.mktemp("alone") / "cache")
    world.cache(folder, WANTED)
    return world.content(folder)


@pytest.mark.parametrize(("whole", "shared"), [(True, True), (True, False), (False, True)])
def test_a_node_dies(nodes, tmp_path, expected, whole, shared):
    """Each scenario of a node that dies is done again elsewhere, also those that only its disk held; none is blamed."""
    with ray_world.started(tmp_path / "cache", OPEN, address=nodes.address, shared=shared) as process:
        ray_world.wait_until_done(process, 80)
        nodes.kill(whole=whole)
        output, _ = process.communicate()
    assert process.returncode == 0
    assert "done=240, failed={}" in output
    if whole:
        assert "was lost (its node is gone)" in output
        assert ("scenarios were lost with the node that held them" in output) != shared
    folder = world.folder_at(tmp_path / "cache")
    assert world.content(folder) == expected
    assert folder.failures() == {}
    assert world.cache(folder, WANTED).present == 240


def test_what_a_killed_run_left_on_nodes(nodes, tmp_path, expected):
    """Where nodes share nothing, the next run brings in what the one before wrote, and does not do it again."""
    settings = {"address": nodes.address, "shared": False}
    with ray_world.started(tmp_path / "cache", OPEN, **settings) as process:
        ray_world.wait_until_done(process, 100)
        process.kill()
    ray_world.wait_until(lambda: not any(map(ray_world.is_held, nodes.folder.rglob("*.owner"))))
    with ray_world.started(tmp_path / "cache", OPEN, **settings) as process:
        output, _ = process.communicate()
    assert "present=0, done=240, failed={}" in output
    assert "took over" in output
    written = int(output.partition("bytes=")[2].partition(",")[0])
    assert written < 0.8 * sum(map(len, expected.values()))
    assert world.content(world.folder_at(tmp_path / "cache")) == expected
    assert not list(nodes.folder.rglob("pluto-cache-*"))
