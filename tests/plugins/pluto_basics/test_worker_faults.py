"""What may happen to workers while a cache is made: kills of the program and of its processes, too little memory, no /dev/shm.

In the end the cache holds key for key what an undisturbed run gives, and what cannot be computed is a failure with its reason.
"""

import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "core"))

import cache_world as world

from pluto_basics.workers.processes import Processes
from pluto_core.errors import ExitCode, Reason

PATIENCE_S = 120


def started(path, *, logs=3, scenarios=60, delay_s=0.002, before=(), **options):
    """Start a run of the cache step in a program of its own, with two processes."""
    options = {"worker": "processes", "count": 2, **options}
    arguments = [path, "lmdb", logs, scenarios, delay_s, *(f"{key}={value}" for key, value in options.items())]
    return subprocess.Popen(
        [*before, sys.executable, world.__file__, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_until(condition):
    """Wait for a condition."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def undisturbed(tmp_path, wanted):
    """Return what a run gives to which nothing happens."""
    folder = world.folder_at(tmp_path / "undisturbed")
    world.cache(folder, wanted)
    return world.content(folder)


class Watched(Processes):
    """Counts results, and lets a test do something at each."""

    def run(self, job, batches):
        """Yield results, telling `at` before each."""
        for number, result in enumerate(super().run(job, batches)):
            self.at(number)
            yield result


def kill_workers(tmp_path, times, seed):
    """Kill a process at random moments: those of the second run that the first one did not happen to lose are all there."""
    wanted = world.listing(4, 10 + 5 * times)
    chance = random.Random(seed)  # noqa: S311 -- moments, not secrets
    killed, progress, over = [], threading.Semaphore(0), threading.Event()

    def kill():
        for _ in range(times):
            for _ in range(chance.randint(1, 15)):
                progress.acquire()
            time.sleep(chance.uniform(0, 0.01))
            alive = multiprocessing.active_children()
            if over.is_set() or not alive:
                return
            victim = chance.choice(alive)
            os.kill(victim.pid, signal.SIGKILL)
            killed.append(victim.pid)

    worker = Watched(2)
    object.__setattr__(worker, "at", lambda _number: progress.release())
    killer = threading.Thread(target=kill)
    killer.start()
    folder = world.folder_at(tmp_path / "cache")
    try:
        report = world.cache(folder, wanted, source=world.Source(delay_s=0.003), worker=worker)
    finally:
        over.set()
        progress.release(1000)
        killer.join()
    assert report.done + sum(report.failed.values()) == len(wanted)
    assert set(report.failed) <= {"worker_lost"}
    assert len(killed) == times
    assert not multiprocessing.active_children()
    world.cache(folder, wanted, retry=True)
    assert world.content(folder) == undisturbed(tmp_path, wanted)


def test_killed_workers(tmp_path):
    """Processes killed at random moments cost nothing but their scenario in work, which another one does."""
    kill_workers(tmp_path, 2, seed=1)


@pytest.mark.slow
def test_workers_killed_twenty_times(tmp_path):
    """The same for twenty kills in one run."""
    kill_workers(tmp_path, 20, seed=2)


def kill_driver(tmp_path, times, seed):
    """Kill the program at random moments; each time its processes seal what they have and end."""
    wanted = world.listing(3, 60)
    folder = world.folder_at(tmp_path / "cache")
    chance = random.Random(seed)  # noqa: S311 -- moments, not secrets
    for _ in range(times):
        with started(folder.path, delay_s=0.01) as program:
            assert program.stdout.readline() == "ready\n"
            for line in program.stdout:
                if line.startswith("at ") and chance.random() < 0.3:
                    break
            time.sleep(chance.uniform(0, 0.3))
            program.kill()
            program.stdout.close()
        wait_until(lambda: not alive(program.pid))
    report = world.cache(folder, wanted)
    assert report.present + report.done == len(wanted)
    assert times == 0 or report.present > 0
    assert not report.failed
    assert world.content(folder) == undisturbed(tmp_path, wanted)
    assert not list(folder.shards.unsealed.iterdir())


def alive(group):
    """Return whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_driver(tmp_path):
    """When the program is killed its processes finish their scenario, seal, and end; the next run goes on."""
    kill_driver(tmp_path, 1, seed=1)


@pytest.mark.slow
def test_a_driver_killed_twenty_times(tmp_path):
    """The same for twenty programs in a row."""
    kill_driver(tmp_path, 20, seed=2)


@pytest.mark.parametrize(
    ("worker", "number"),
    [
        ("processes", signal.SIGINT),
        pytest.param("threads", signal.SIGINT, marks=pytest.mark.slow),
        pytest.param("processes", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("here", signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_ctrl_c(tmp_path, worker, number):
    """As in the sequential worker: the first Ctrl-C ends the run after the scenarios in work, sealed; the next one goes on.

    The same holds for a scheduler's SIGTERM to all processes of the job.
    """
    folder = world.folder_at(tmp_path / "cache")
    with started(folder.path, delay_s=0.05, worker=worker) as program:
        next(line for line in program.stdout if line.startswith("at "))
        os.killpg(program.pid, number)
        output, error = program.communicate(timeout=PATIENCE_S)
    assert program.returncode == ExitCode.INTERRUPTED, error
    assert "Ctrl-C again stops at once" in output
    assert not error
    wait_until(lambda: not alive(program.pid))
    count = len(folder.reader().keys)
    assert 0 < count < 180
    assert not list(folder.shards.unsealed.iterdir())
    assert world.cache(folder, world.listing(3, 60)).present == count


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS is not kept by this system")
def test_too_little_memory(tmp_path):
    """Under RLIMIT_AS, a scenario that needs too much is tried in two processes, then recorded; all others are computed."""
    with started(tmp_path / "cache", special="hog", logs=2, scenarios=10, memory_bytes=3 << 30) as program:
        output, error = program.communicate(timeout=PATIENCE_S)
    assert program.returncode == 0, error
    assert "done=20, failed={'exception': 2}" in output
    failures = world.folder_at(tmp_path / "cache").failures().values()
    assert {(one.scenario.token, one.reason) for one in failures} == {("hog", Reason.EXCEPTION)}
    assert all(one.detail.startswith(("MemoryError", "_ArrayMemoryError")) for one in failures)


@pytest.mark.slow
def test_a_machine_without_shared_memory(tmp_path):
    """The cache step writes nothing to /dev/shm: with 64 MB of it that nobody may write it gives the same."""
    script = 'mount -t tmpfs -o ro,size=64m none /dev/shm && exec "$@"'
    before = ["unshare", "-m", "sh", "-c", script, "sh"]
    if not shutil.which("unshare") or subprocess.run([*before, "true"], capture_output=True, check=False).returncode:
        pytest.skip("only root can give a process another /dev/shm")
    with started(tmp_path / "cache", before=before, logs=2, scenarios=10) as program:
        _, error = program.communicate(timeout=PATIENCE_S)
    assert program.returncode == 0, error
    assert world.content(world.folder_at(tmp_path / "cache")) == undisturbed(tmp_path, world.listing(2, 10))
