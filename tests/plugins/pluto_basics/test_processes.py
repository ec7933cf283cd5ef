import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pluto_basics.config import ProcessesConfig
from pluto_basics.workers.processes import make, usable_cores
from pluto_core.component import Context, load
from pluto_core.errors import PlutoError, Reason
from pluto_core.jobs import Batch, Lost
from pluto_core.protocols import Worker

JOB = '''
import os, time
from pathlib import Path
import attrs
from pluto_core.errors import PlutoError, Reason
from pluto_core.jobs import Lost

class Odd(Exception):
    def __init__(self, one, two):
        super().__init__("odd")

@attrs.frozen
class Job:
    """Squares units; some units do other things. Notes each opened and closed session in a folder."""
    folder: str
    die_at: frozenset = frozenset()
    die_once_at: frozenset = frozenset()
    hang_once_at: frozenset = frozenset()
    hold_mb: int = 0
    hold_at: frozenset = frozenset()
    lose_at: frozenset = frozenset()
    say: str = ""
    open_fails: bool = False
    slow_s: float = 0.0

    def open(self, slot):
        if self.open_fails:
            os._exit(7)
        return Session(self, slot)

class Session:
    def __init__(self, job, slot):
        self.job, self.slot, self.held = job, slot, []
        (Path(job.folder) / f"open-{slot}-{os.getpid()}").touch()
    def __enter__(self):
        return self
    def __exit__(self, *error):
        (Path(self.job.folder) / f"close-{self.slot}").touch()
        if self.job.say == "close":
            raise PlutoError("the disk is full")
    def run(self, batch):
        for unit in batch.units:
            mark = Path(self.job.folder) / f"died-{unit}"
            if unit in self.job.die_at or (unit in self.job.die_once_at and not mark.exists()):
                mark.touch()
                os.kill(os.getpid(), 9)
            if unit in self.job.hang_once_at and not mark.exists():
                mark.touch()
                time.sleep(600)
            if self.job.hold_mb:
                self.held.append(bytearray(b"1") * (self.job.hold_mb * 1_000_000))
            if unit in self.job.hold_at:
                self.held.append(bytearray(b"1") * 300_000_000)
                time.sleep(600)
            if unit in self.job.lose_at:
                yield Lost(Reason.EXCEPTION, f"MemoryError: {os.getpid()}")
                continue
            if self.job.say == "mistake" and unit == 3:
                raise PlutoError("no map")
            if self.job.say == "odd" and unit == 3:
                raise Odd(1, 2)
            if self.job.say == "hang" and unit == 3:
                time.sleep(600)
            time.sleep(self.job.slow_s)
            yield unit * unit
'''

BATCHES = [Batch(group="a", units=(0, 1, 2, 3)), Batch(group="b", units=()), Batch(group="c", units=(4, 5, 6))]


@pytest.fixture
def make_job(tmp_path, monkeypatch):
    """Return what makes jobs that other processes can import."""
    (tmp_path / "worker_job.py").write_text(JOB)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "notes").mkdir()
    return lambda **settings: load("worker_job:Job")(str(tmp_path / "notes"), **settings)


def worker(count=2, **settings):
    return make(ProcessesConfig(count=count, **settings), Context())


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="this system does not tell what processes hold")


def places(batches):
    return [(number, unit, item * item) for number, batch in enumerate(batches) for unit, item in enumerate(batch.units)]


def notes(job, kind):
    return sorted(path.name for path in Path(job.folder).iterdir() if path.name.startswith(kind))


def assert_nothing_runs(job):
    for name in notes(job, "open"):
        with pytest.raises(ProcessLookupError):
            os.kill(int(name.split("-")[2]), 0)


def test_every_unit_comes_once_from_closed_sessions(make_job):
    """Results carry their places, no more processes start than there is work for, all end closed."""
    job = make_job()
    assert isinstance(worker(), Worker)
    assert sorted(worker().run(job, BATCHES)) == places(BATCHES)
    assert [name[:6] for name in notes(job, "open")] == ["open-0", "open-1"]
    assert notes(job, "close") == ["close-0", "close-1"]
    assert_nothing_runs(job)


def test_a_process_that_dies_once_costs_nothing(make_job):
    """The unit at which a process died is done by another one; nothing comes twice."""
    job = make_job(die_once_at=frozenset({1, 6}))
    assert sorted(worker().run(job, BATCHES)) == places(BATCHES)
    assert_nothing_runs(job)


def test_a_unit_that_kills_twice_is_lost_alone(make_job):
    """A deadly unit is told as lost, also at the end of a batch; all others are done."""
    job = make_job(die_at=frozenset({1, 6}))
    results = {(number, unit): result for number, unit, result in worker(count=1).run(job, BATCHES)}
    lost = {place: results.pop(place) for place in ((0, 1), (2, 2))}
    assert all(isinstance(one, Lost) and one.reason is Reason.WORKER_LOST for one in lost.values())
    assert "code -9" in lost[0, 1].detail
    assert [(*place, result) for place, result in sorted(results.items())] == [
        place for place in places(BATCHES) if place[2] not in (1, 36)
    ]


def test_a_unit_that_hangs_is_killed(make_job):
    """What hangs once is done by another process; what hangs twice is lost, and the rest of its batch goes on."""
    job = make_job(say="hang", hang_once_at=frozenset({5}))
    results = {(number, unit): result for number, unit, result in worker(count=1, timeout_s=0.8).run(job, BATCHES)}
    assert results.pop((0, 3)).reason is Reason.TIMEOUT
    assert sorted((*place, result) for place, result in results.items()) == [
        place for place in places(BATCHES) if place[:2] != (0, 3)
    ]
    assert len(notes(job, "open")) == 1 + 2 + 1
    assert_nothing_runs(job)


def test_processes_are_replaced_after_so_many_units(make_job):
    """A process that did its share closes its session, and another one goes on with the batch; nothing comes twice."""
    job = make_job()
    assert sorted(worker(count=1, max_units=3).run(job, BATCHES)) == places(BATCHES)
    assert len(notes(job, "open")) == len(notes(job, "close")) == 3
    assert_nothing_runs(job)


@linux
def test_processes_that_hold_too_much_are_replaced(make_job):
    """A process over its memory finishes its unit and closes its session; the next one begins with nothing held."""
    job = make_job(hold_mb=40)
    assert sorted(worker(count=1, memory_mb=150).run(job, BATCHES)) == places(BATCHES)
    assert 2 <= len(notes(job, "open")) == len(notes(job, "close")) < len(places(BATCHES))
    assert_nothing_runs(job)


@pytest.mark.slow
@linux
def test_a_unit_that_takes_too_much_memory(make_job):
    """A unit for which two processes hold twice what they may is lost alone."""
    job = make_job(hold_at=frozenset({6}))
    results = {(number, unit): result for number, unit, result in worker(count=1, memory_mb=140).run(job, BATCHES)}
    lost = results.pop((2, 2))
    assert (lost.reason, lost.detail[:31]) == (Reason.WORKER_LOST, "its process held more than 280 ")
    assert sorted(results.values()) == [0, 1, 4, 9, 16, 25]


@linux
def test_too_little_memory_is_said(make_job):
    """A limit below what a process needs to begin is refused with a number, not worked around by one process a scenario."""
    with pytest.raises(PlutoError, match=r"worker.memory_mb = 1: a process holds \d+ MB before its first"):
        list(worker(count=1, memory_mb=1).run(make_job(), BATCHES))


@pytest.mark.slow
def test_what_a_session_gives_up_is_tried_in_another_process(make_job):
    """A session's own `Lost` is believed only when it comes from a second process."""
    job = make_job(lose_at=frozenset({1, 6}))
    results = {(number, unit): result for number, unit, result in worker(count=1).run(job, BATCHES)}
    told = [results.pop(place).detail for place in ((0, 1), (2, 2))]
    assert sorted(results.values()) == [0, 4, 9, 16, 25]
    processes = {name.split("-")[2] for name in notes(job, "open")}
    assert {detail.removeprefix("MemoryError: ") for detail in told} <= processes
    assert len(processes) == 4
    assert len(notes(job, "close")) == 4


def test_closing_lets_sessions_finish_their_unit(make_job):
    """Whoever stops asking leaves closed sessions and no process, long before the work is done."""
    job = make_job(slow_s=0.05)
    many = [Batch(group=str(number), units=tuple(range(1000))) for number in range(2)]
    began = time.monotonic()
    with contextlib.closing(worker().run(job, many)) as results:
        next(results)
    assert time.monotonic() - began < 40
    assert len(notes(job, "close")) == 2
    assert_nothing_runs(job)


@pytest.mark.parametrize(
    ("say", "error", "message"),
    [("mistake", PlutoError, "no map"), ("odd", RuntimeError, "Odd: odd"), ("close", PlutoError, "the disk is full")],
)
def test_errors_of_sessions_are_raised_here(make_job, say, error, message):
    """An error in a process ends the run as what it is, with its traceback as the cause; also one on closing."""
    job = make_job(say=say)
    with pytest.raises(error, match=message) as raised:
        list(worker(count=1).run(job, BATCHES))
    assert "Traceback" in str(raised.value.__cause__)
    assert_nothing_runs(job)


def test_processes_that_cannot_begin_end_the_run(make_job):
    """Dying while opening is not retried for ever."""
    with pytest.raises(RuntimeError, match="ended with code 7 before it could begin"):
        list(worker(count=1).run(make_job(open_fails=True), BATCHES))


def test_nothing_to_do_starts_nothing(make_job):
    """No batches, no processes."""
    job = make_job()
    assert list(worker().run(job, [])) == []
    assert notes(job, "open") == []


def test_without_a_count_every_core_works():
    """0 means the cores that this process may use."""
    assert worker(count=0).count == usable_cores() >= 1


def test_ctrl_c_at_a_terminal_ends_in_order(make_job, tmp_path, repository):
    """SIGINT to the whole process group: sessions close, processes end, the interrupt is not swallowed."""
    job = make_job()
    (tmp_path / "program.py").write_text(
        "import sys\n"
        f"sys.path[:0] = {[str(repository), str(repository / 'plugins'), str(tmp_path)]!r}\n"
        "from pluto_basics.workers.processes import Processes\n"
        "from pluto_core.jobs import Batch\n"
        "from worker_job import Job\n"
        "if __name__ == '__main__':\n"
        f"    job = Job({job.folder!r}, slow_s=0.02)\n"
        "    for _ in Processes(2).run(job, [Batch(group=str(n), units=tuple(range(5000))) for n in range(2)]):\n"
        "        print('.', flush=True)\n"
    )
    command = [sys.executable, str(tmp_path / "program.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as running:
        running.stdout.readline()
        while len(notes(job, "open")) < 2:
            time.sleep(0.01)
        os.killpg(running.pid, signal.SIGINT)
        _, error = running.communicate(timeout=60)
    assert running.returncode == -signal.SIGINT
    assert error.decode().count("KeyboardInterrupt") == 1
    assert notes(job, "close") == ["close-0", "close-1"]
    assert_nothing_runs(job)
