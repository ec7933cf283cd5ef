"""`WorkerSuite`: every unit is done once, errors say where, and nothing keeps running."""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pluto_core.jobs import Batch, Lost
from pluto_core.protocols import Worker
from pluto_core.testing.components import ComponentSuite
from pluto_core.testing.labour import Labour, Trace, UnitError

_PATIENCE_S = 10.0


class WorkerSuite(ComponentSuite, suite=True):
    """Tests of a worker. Give it two sessions in `settings`, if it can have several."""

    kinds: ClassVar[tuple[str, ...]] = ("workers",)
    subject: ClassVar[str] = "worker"
    survives_death: ClassVar[bool] = True
    """Whether it goes on when a session's process dies; asked only where sessions have processes of their own."""

    @pytest.fixture
    def worker(self, request: pytest.FixtureRequest) -> Worker:
        """Return the worker."""
        made: Worker = self.make(request)
        return made

    @pytest.fixture
    def labour(self, tmp_path: Path) -> Labour:
        """Return a job whose sessions leave traces."""
        return Labour(tmp_path)

    def test_keeps_the_protocol(self, worker: Worker) -> None:
        """It says how many sessions run at a time, and where."""
        assert isinstance(worker, Worker)
        assert worker.count >= 1
        assert isinstance(worker.processes, bool)

    def test_every_unit_is_done_once(self, worker: Worker, labour: Labour) -> None:
        """Each unit gives one result, in order inside its batch, and an empty batch gives none."""
        batches = _batches(["a0", "a1", "a2"], [], ["b0"], ["c0", "c1"])
        results = list(worker.run(labour, batches))
        for number, batch in enumerate(batches):
            own = [(unit, result.unit) for at, unit, result in results if at == number]
            assert own == list(enumerate(batch.units))
        assert len(results) == sum(len(batch.units) for batch in batches)

    def test_sessions_are_few_and_closed(self, worker: Worker, labour: Labour) -> None:
        """At most `count` sessions are opened, numbered from 0, in other processes where it says so, and all are closed."""
        results = [result for _, _, result in worker.run(labour, _batches(*[["one", "two"]] * 6))]
        slots = {result.slot for result in results}
        assert slots <= set(range(worker.count))
        assert all((result.process != os.getpid()) == worker.processes for result in results)
        assert _opened(labour) == _closed(labour)
        assert 1 <= len(_opened(labour)) <= worker.count

    def test_nothing_to_do(self, worker: Worker, labour: Labour) -> None:
        """No batches give no results, and leave no process behind."""
        assert list(worker.run(labour, [])) == []
        assert _opened(labour) == _closed(labour)

    def test_an_error_carries_its_unit(self, worker: Worker, labour: Labour) -> None:
        """An error of a session reaches the caller as it is, naming its unit; all sessions are closed, no process stays."""
        with pytest.raises(UnitError, match="cannot do group-1/fail"):
            list(worker.run(labour, _batches(["a"], ["b", "fail", "never"], ["c"])))
        _assert_over(labour)

    @pytest.mark.parametrize("how", ["closed", "interrupted"])
    def test_stopped_midway(self, worker: Worker, labour: Labour, how: str) -> None:
        """A closed or interrupted run lets every session finish its unit and close; no process stays."""
        results = worker.run(labour, _batches(*[["slow"] * 50] * 4))
        next(results)
        if how == "closed":
            _close(results)
        else:
            with pytest.raises(KeyboardInterrupt):
                _throw(results)
        _assert_over(labour)

    def test_runs_again(self, worker: Worker, labour: Labour) -> None:
        """A worker can be used for one job after the other."""
        for _ in range(2):
            assert len(list(worker.run(labour, _batches(["a", "b"])))) == len("ab")

    def test_a_session_may_give_up_a_unit(self, worker: Worker, labour: Labour) -> None:
        """What a session itself calls lost is told as that, if another one cannot do it either; all other units are done."""
        results = list(worker.run(labour, _batches(["a", "lost", "b"], ["lost", "c"])))
        lost = {(number, unit): result.detail for number, unit, result in results if isinstance(result, Lost)}
        assert lost == {(0, 1): "MemoryError at lost", (1, 0): "MemoryError at lost"}
        assert sorted(result.unit for _, _, result in results if isinstance(result, Trace)) == ["a", "b", "c"]

    def test_a_dead_process_costs_one_unit(self, worker: Worker, labour: Labour) -> None:
        """Where sessions have processes, a unit that kills them is lost, and every other one is done."""
        if not worker.processes:
            pytest.skip("sessions live in this process")
        if not self.survives_death:
            pytest.skip("a dead process ends the run (survives_death = False)")
        results = list(worker.run(labour, _batches(["a", "die", "b"], ["c"])))
        lost = [(number, unit) for number, unit, result in results if isinstance(result, Lost)]
        done = sorted(result.unit for _, _, result in results if isinstance(result, Trace))
        assert lost == [(0, 1)]
        assert done == ["a", "b", "c"]


def _batches(*units: Sequence[str]) -> list[Batch]:
    return [Batch(group=f"group-{number}", units=tuple(some)) for number, some in enumerate(units)]


def _close(results: Iterator[Any]) -> None:
    close = getattr(results, "close", None)
    assert close is not None, "`run` must return a generator, which can be closed"
    close()


def _throw(results: Iterator[Any]) -> None:
    throw = getattr(results, "throw", None)
    assert throw is not None, "`run` must return a generator, in which an interrupt can arrive"
    throw(KeyboardInterrupt())


def _opened(labour: Labour) -> set[str]:
    return {path.name.removeprefix("open-") for path in labour.folder.glob("open-*")}


def _closed(labour: Labour) -> set[str]:
    return {path.name.removeprefix("closed-") for path in labour.folder.glob("closed-*")}


def _assert_over(labour: Labour) -> None:
    """Every session that was opened is closed, and no process of one is left."""
    assert _opened(labour) == _closed(labour)
    others = {int(name.partition("-")[2]) for name in _opened(labour)} - {os.getpid()}
    deadline = time.monotonic() + _PATIENCE_S
    while any(map(_alive, others)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [process for process in others if _alive(process)], "processes are left"


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True
