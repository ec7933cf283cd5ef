"""The worker `processes`: sessions in processes of their own, which may die without taking the run along.

Every process is started anew (`spawn`), so that no thread, lock or open file of this one is copied. A process holds one end
of one pipe: when this process is gone, it sees the end of the pipe, finishes its unit, closes its session and exits.
"""

import contextlib
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

import attrs

from pluto_basics.config import ProcessesConfig
from pluto_basics.workers.serving import Message, serve
from pluto_core.component import Context
from pluto_core.errors import Reason
from pluto_core.jobs import Batch, Lost
from pluto_core.protocols import Job

Result = tuple[int, int, Any]

_CLOSING_S = 120.0
"""How long a session may take to close (to seal a shard on a slow disk) before its process is killed."""


def make(config: ProcessesConfig, _context: Context) -> "Processes":
    """Return the worker of an experiment."""
    return Processes(config.count or usable_cores(), config.timeout_s)


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@attrs.frozen
class Processes:
    """Runs `count` sessions at a time, each in a process."""

    count: int
    timeout_s: float | None = None
    """How long a unit may take before its process is killed; None for ever."""
    processes: bool = attrs.field(default=True, init=False)

    def run(self, job: Job, batches: Sequence[Batch]) -> Iterator[Result]:
        """Yield (batch, unit, result or `Lost`) as they come; closing the iterator ends every process after its unit.

        Raises:
            RuntimeError: A process died before it could begin, or lost units.
        """
        crew = _Crew(job, self.timeout_s)
        try:
            for _ in range(min(self.count, len(batches))):
                crew.hire()
            yield from crew.results(batches)
            crew.dismiss()
        finally:
            crew.end()


@attrs.define
class _Task:
    """What is left of a batch."""

    number: int
    batch: Batch
    next: int = 0
    """First unit without a result."""
    deaths: int = 0
    """Processes that died at that unit."""

    def rest(self) -> Batch:
        return attrs.evolve(self.batch, units=self.batch.units[self.next :])

    def advance(self) -> None:
        self.next, self.deaths = self.next + 1, 0


@attrs.define(eq=False)
class _Hand:
    """One process, seen from here."""

    process: Any
    pipe: Connection
    task: _Task | None = None
    since: float = 0.0
    ready: bool = False
    """Whether its session is open and waits for a batch."""


class _Crew:
    """The processes of one run."""

    def __init__(self, job: Job, timeout_s: float | None) -> None:
        self._job, self._timeout_s = job, timeout_s
        self._spawn = multiprocessing.get_context("spawn")
        self._hands: list[_Hand] = []
        self._hired = 0
        self._left: deque[_Task] = deque()

    def hire(self) -> None:
        """Start one more process; Ctrl-C reaches none of them, for it is this process that ends them in order."""
        ours, theirs = self._spawn.Pipe()
        process = self._spawn.Process(target=serve, args=(theirs, self._job, self._hired), daemon=True)
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        theirs.close()
        self._hired += 1
        self._hands.append(_Hand(process, ours, since=time.monotonic()))

    def results(self, batches: Sequence[Batch]) -> Iterator[Result]:
        """Yield every result; return when all batches are done."""
        coming = enumerate(batches)
        while True:
            for hand in self._hands:
                if hand.ready and hand.task is None:
                    self._assign(hand, coming)
            if not self._left and all(hand.ready and hand.task is None for hand in self._hands):
                return
            for pipe in wait([hand.pipe for hand in self._hands], self._patience()):
                yield from self._hear(next(hand for hand in self._hands if hand.pipe is pipe))
            yield from self._overdue()

    def _assign(self, hand: _Hand, coming: Iterator[tuple[int, Batch]]) -> None:
        task = self._next_task(coming)
        if task is None:
            return
        hand.task, hand.since = task, time.monotonic()
        with contextlib.suppress(OSError):  # it died just now; its pipe says so when it is read
            hand.pipe.send(task.rest())

    def _next_task(self, coming: Iterator[tuple[int, Batch]]) -> _Task | None:
        while self._left:
            task = self._left.popleft()
            if task.next < len(task.batch.units):
                return task
        return next((_Task(number, batch) for number, batch in coming if batch.units), None)

    def _patience(self) -> float | None:
        if self._timeout_s is None:
            return None
        begun = [hand.since for hand in self._hands if hand.task is not None]
        return max(0.0, min(begun) + self._timeout_s - time.monotonic()) if begun else None

    def _hear(self, hand: _Hand) -> Iterator[Result]:
        try:
            message, content = hand.pipe.recv()
        except (EOFError, OSError):
            yield from self._died(hand)
            return
        hand.since = time.monotonic()
        if message is Message.FAILED:
            raise _told(*content)
        if message is Message.READY:
            self._check_complete(hand.task)
            hand.ready, hand.task = True, None
        elif hand.task is not None:
            yield hand.task.number, hand.task.next, content
            hand.task.advance()

    def _check_complete(self, task: _Task | None) -> None:
        if task is not None and task.next != len(task.batch.units):
            found = f"{task.next} results for {len(task.batch.units)} units of {task.batch.group}"
            message = f"the session gave {found}"
            raise RuntimeError(message)

    def _died(self, hand: _Hand) -> Iterator[Result]:
        """Replace a dead process; the unit it was at is tried once more."""
        self._remove(hand)
        task = hand.task
        if task is None:
            message = f"a worker process ended with code {hand.process.exitcode} before it could begin"
            raise RuntimeError(message)
        task.deaths += 1
        if task.deaths > 1:
            code = hand.process.exitcode
            yield task.number, task.next, Lost(Reason.WORKER_LOST, f"two processes died at it, the last with code {code}")
            task.advance()
        self._left.appendleft(task)
        self.hire()

    def _overdue(self) -> Iterator[Result]:
        """Kill processes whose unit takes too long."""
        limit = self._timeout_s
        if limit is None:
            return
        for hand in list(self._hands):
            task = hand.task
            if task is not None and time.monotonic() - hand.since > limit and not hand.pipe.poll():
                hand.process.kill()
                self._remove(hand)
                yield task.number, task.next, Lost(Reason.TIMEOUT, f"it took longer than {limit:g} s")
                task.advance()
                self._left.appendleft(task)
                self.hire()

    def _remove(self, hand: _Hand) -> None:
        self._hands.remove(hand)
        hand.pipe.close()
        hand.process.join()

    def dismiss(self) -> None:
        """Let every session close, and raise what goes wrong there."""
        failed: list[BaseException] = []
        self._say_stop()
        deadline = time.monotonic() + _CLOSING_S
        while self._hands and time.monotonic() < deadline:
            for pipe in wait([hand.pipe for hand in self._hands], max(0.0, deadline - time.monotonic())):
                hand = next(hand for hand in self._hands if hand.pipe is pipe)
                try:
                    message, content = hand.pipe.recv()
                except (EOFError, OSError):
                    self._remove(hand)
                else:
                    failed += [_told(*content)] if message is Message.FAILED else []
        if failed:
            raise failed[0]

    def end(self) -> None:
        """Leave no process behind: let sessions close in order; at a second interrupt, kill."""
        try:
            with contextlib.suppress(Exception):  # what ended the run is told, not what followed
                self.dismiss()
        finally:
            for hand in list(self._hands):
                hand.process.kill()
                self._remove(hand)

    def _say_stop(self) -> None:
        for hand in self._hands:
            with contextlib.suppress(OSError):
                hand.pipe.send(None)


def _told(error: BaseException, trace: str) -> BaseException:
    """Return an error of another process with the place where it happened as its cause."""
    error.__cause__ = RuntimeError(f"in a worker process:\n{trace}")
    return error
