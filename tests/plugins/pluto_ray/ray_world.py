"""A cluster of several nodes on this machine, jobs for its actors, and cache steps of a process that is killed.

Run as `python ray_world.py cluster FOLDER` it starts a cluster, prints its address, and answers lines: `add` starts a node and
prints the process of its raylet and its folder for temporary files. It ends when its input does. Run as
`python ray_world.py cache FOLDER SETTINGS` it makes a cache.
"""

import fcntl
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import attrs

sys.path.insert(0, str(Path(__file__).parents[2] / "core"))

import cache_world as world

from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_ray.config import RayConfig
from pluto_ray.serving import Order
from pluto_ray.worker import make

HEALTH = {"health_check_initial_delay_ms": 500, "health_check_period_ms": 500, "health_check_failure_threshold": 6}
STORE_BYTES = 80 << 20


def worker(note=print, **settings):
    """Return the worker."""
    return make(RayConfig(**settings), Context(note=note))


def packed(job, **settings):
    """Return the order for an actor."""
    return pickle.dumps(Order(job=job, **settings))


def say(*words):
    """Print a line at once."""
    print(*words, flush=True)  # noqa: T201


def started(path, variables=None, **settings):
    """Return a process, with a process group of its own, that makes a cache of four logs."""
    command = [sys.executable, __file__, "cache", str(path), json.dumps({"count": 2, **settings})]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **(variables or {})}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, bufsize=1, start_new_session=True)


def wait_until_done(process, count):
    """Wait until a process that makes a cache has done so many scenarios."""
    for line in process.stdout:
        if line.startswith("at ") and int(line.split()[1]) >= count:
            return
    raise AssertionError(process.wait())


def is_held(path):
    """Return whether a process still has the lock of a shard."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def wait_until(condition):
    """Wait for what must come."""
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.1)


@attrs.frozen
class Job:
    """Squares units; some units do other things. Notes what happened in a folder."""

    folder: str
    die_at: frozenset = frozenset()
    die_once_at: frozenset = frozenset()
    hang_at: frozenset = frozenset()
    swell_at: frozenset = frozenset()
    odd_at: frozenset = frozenset()
    closing: str = ""
    slow_s: float = 0.0

    def open(self, slot):
        """Return a session."""
        (Path(self.folder) / f"open-{slot}-{os.getpid()}").touch()
        return Session(self)


class OddError(Exception):
    """Cannot be pickled: it takes other arguments than it keeps."""

    def __init__(self, one, two):
        super().__init__("odd")


class Session:
    """What does a `Job`."""

    def __init__(self, job):
        self.job, self.held = job, []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.job.closing:
            raise PlutoError(self.job.closing)

    def run(self, batch):
        """Yield the squares."""
        for unit in batch.units:
            mark = Path(self.job.folder) / f"died-{unit}"
            if unit in self.job.die_at or (unit in self.job.die_once_at and not mark.exists()):
                mark.touch()
                os.kill(os.getpid(), 9)
            if unit in self.job.hang_at:
                time.sleep(600)
            if unit in self.job.odd_at:
                raise OddError(1, 2)
            if unit in self.job.swell_at:
                self.held.append(os.urandom(300 << 20))
            time.sleep(self.job.slow_s)
            yield unit * unit


def run_cluster(folder):
    """Be a cluster of one core, and add nodes of one core when asked to."""
    from ray.cluster_utils import Cluster  # noqa: PLC0415 -- only the process that is the cluster needs it

    common = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "plasma_directory": folder, "temp_dir": folder}
    cluster = Cluster()
    cluster.add_node(include_dashboard=False, _system_config=HEALTH, **common)
    say("address", cluster.address)
    for _ in sys.stdin:
        scratch = tempfile.mkdtemp(dir=folder)
        node = cluster.add_node(env_vars={"TMPDIR": scratch}, **common)
        say("node", node.all_processes["raylet"][0].process.pid, scratch)
    cluster.shutdown()


def run_cache(path, settings):
    """Make a cache of four logs."""
    say("ready")
    try:
        report = world.cache(
            world.folder_at(path),
            world.listing(4, 60),
            source=world.Source(delay_s=0.02),
            worker=worker(say, **json.loads(settings)),
            note=say,
            progress=lambda state: say(f"at {state.done}"),
        )
    except KeyboardInterrupt:
        sys.exit(130)
    say(report)


if __name__ == "__main__":
    {"cluster": run_cluster, "cache": run_cache}[sys.argv[1]](*sys.argv[2:])
