"""The processes of one run: who does what, who died, who took too long or too much, and who takes over."""

import contextlib
import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

import attrs

from pluto_basics.workers.serving import HELD_BACK, Limits, Message, serve
from pluto_core.errors import Reason
from pluto_core.jobs import Batch, Lost
from pluto_core.machine import held_bytes
from pluto_core.pipeline.dealing import Deal
from pluto_core.protocols import Job

Result = tuple[int, int, Any]

_CLOSING_S = 120.0
"""How long a session may take to close (to seal a shard on a slow disk) before its process is killed."""
_LOOK_S = 0.5
"""Time between two looks at the memory of processes."""
_FALSE_STARTS = 3
"""Processes that may die in a row before they begin, while none does anything: the reason will not go away."""
_TRIES = 2
"""How often a unit is begun before it is given up."""


@attrs.define
class _Task:
    """What is left of a batch."""

    number: int
    batch: Batch
    next: int = 0
    """First unit without a result."""
    tries: int = 0
    """Processes that were lost at that unit."""

    @property
    def done(self) -> bool:
        return self.next == len(self.batch.units)

    def rest(self) -> Batch:
        return attrs.evolve(self.batch, units=self.batch.units[self.next :])

    def result(self, content: Any) -> Result:
        """Return a result of the next unit, and go on to the one behind it."""
        place = self.next
        self.next, self.tries = place + 1, 0
        return self.number, place, content


@attrs.define(eq=False)
class _Hand:
    """One process, seen from here."""

    process: Any
    pipe: Connection
    task: _Task | None = None
    group: str | None = None
    """Of the last task."""
    since: float = 0.0
    begun: bool = False
    """Whether its session was opened."""
    idle: bool = False
    """Whether it waits for a batch."""


class Crew:
    """The processes of one run. First `hire`, then `results`, then `dismiss`; `end` in every case."""

    def __init__(
        self,
        job: Job,
        batches: Sequence[Batch],
        *,
        timeout_s: float | None = None,
        held_bytes: int | None = None,
        max_units: int | None = None,
    ) -> None:
        self._job, self._timeout_s, self._held_bytes = job, timeout_s, held_bytes
        self._limits = Limits(units=max_units, held_bytes=held_bytes)
        self._spawn = multiprocessing.get_context("spawn")
        self._hands: list[_Hand] = []
        self._hired = self._false_starts = 0
        self._looked = 0.0
        self._deal = Deal(batches)
        self._left: deque[_Task] = deque()

    def hire(self, count: int = 1) -> None:
        """Start more processes; Ctrl-C reaches none of them, for it is this process that ends them in order."""
        resource_tracker.ensure_running()  # which, if it came with the first process, would let signals through to that one
        for _ in range(count):
            ours, theirs = self._spawn.Pipe()
            process = self._spawn.Process(target=serve, args=(theirs, self._job, self._hired, self._limits), daemon=True)
            before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
            try:
                process.start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
            self._hired += 1
            self._hands.append(_Hand(process, ours, since=time.monotonic()))

    def results(self) -> Iterator[Result]:
        """Yield every result; return when all batches are done.

        Raises:
            RuntimeError: Processes die before they can begin, or a session gave too few results.
        """
        while True:
            for hand in self._hands:
                if hand.idle:
                    self._assign(hand)
            if not self._left and all(hand.idle for hand in self._hands):
                return
            for pipe in wait([hand.pipe for hand in self._hands], self._patience()):
                yield from self._hear(next(hand for hand in self._hands if hand.pipe is pipe))
            yield from self._slow()
            yield from self._greedy()

    def _assign(self, hand: _Hand) -> None:
        task = self._next_task(hand.group)
        if task is None:
            return
        hand.task, hand.group, hand.idle, hand.since = task, task.batch.group, False, time.monotonic()
        with contextlib.suppress(OSError):  # it died just now; its pipe says so when it is read
            hand.pipe.send(task.rest())

    def _next_task(self, group: str | None) -> _Task | None:
        if self._left:
            return self._left.popleft()
        dealt = self._deal.take(group)
        return None if dealt is None else _Task(*dealt)

    def _patience(self) -> float | None:
        working = [hand.since for hand in self._hands if hand.task is not None]
        if not working:
            return None
        limits = []
        if self._timeout_s is not None:
            limits.append(max(0.0, min(working) + self._timeout_s - time.monotonic()))
        if self._held_bytes is not None:
            limits.append(_LOOK_S)
        return min(limits, default=None)

    def _hear(self, hand: _Hand) -> Iterator[Result]:
        try:
            message, content = hand.pipe.recv()
        except (EOFError, OSError):
            yield from self._ended(hand)
            return
        hand.since = time.monotonic()
        if message is Message.FAILED:
            raise _told(*content)
        self._false_starts = 0
        if message is Message.RESULT and hand.task is not None:
            yield from self._result(hand.task, content)
        elif message is Message.RETIRING:
            self._put_back(hand)
        elif message is Message.READY:
            _check_complete(hand.task)
            hand.task, hand.idle, hand.begun = None, True, True

    def _result(self, task: _Task, content: Any) -> Iterator[Result]:
        """Yield a result; of a unit that its process has too little memory for, only after another one tried."""
        if isinstance(content, Lost):
            yield from self._strike(task, content)
        else:
            yield task.result(content)

    @staticmethod
    def _strike(task: _Task, lost: Lost) -> Iterator[Result]:
        task.tries += 1
        if task.tries == _TRIES:
            yield task.result(lost)

    def _put_back(self, hand: _Hand) -> None:
        if hand.task is not None and not hand.task.done:
            self._left.appendleft(hand.task)
        hand.task = None

    def _ended(self, hand: _Hand) -> Iterator[Result]:
        """Take leave of a process that died or retired; the unit at which it died is tried once more."""
        self._remove(hand)
        if not hand.begun:
            self._false_starts += 1
            if self._false_starts == _FALSE_STARTS:
                message = f"a worker process ended with code {hand.process.exitcode} before it could begin"
                raise RuntimeError(message)
        if hand.task is not None:
            detail = f"{_TRIES} processes died at it, the last with code {hand.process.exitcode}"
            yield from self._strike(hand.task, Lost(Reason.WORKER_LOST, detail))
        self._replace(hand)

    def _replace(self, hand: _Hand) -> None:
        """Hire a process for what is left, if anything is."""
        self._put_back(hand)
        task = self._next_task(hand.group)
        if task is not None:
            self._left.appendleft(task)
            self.hire()

    def _slow(self) -> Iterator[Result]:
        limit = self._timeout_s
        if limit is not None:
            late = [hand for hand in self._hands if time.monotonic() - hand.since > limit]
            yield from self._kill(late, Lost(Reason.TIMEOUT, f"it took longer than {limit:g} s, and so did the try before"))

    def _greedy(self) -> Iterator[Result]:
        limit = 2 * self._held_bytes if self._held_bytes is not None else None
        if limit is not None and time.monotonic() - self._looked >= _LOOK_S:
            self._looked = time.monotonic()
            greedy = [hand for hand in self._hands if hand.task and (held_bytes(hand.process.pid) or 0) > limit]
            detail = f"its process held more than {limit / 1e6:g} MB, and so did the one before"
            yield from self._kill(greedy, Lost(Reason.WORKER_LOST, detail))

    def _kill(self, hands: Sequence[_Hand], why: Lost) -> Iterator[Result]:
        """Kill processes over their unit, unless they are done with it by now."""
        for hand in hands:
            if hand.task is not None and not hand.pipe.poll():
                hand.process.kill()
                self._remove(hand)
                yield from self._strike(hand.task, why)
                self._replace(hand)

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


def _check_complete(task: _Task | None) -> None:
    if task is not None and not task.done:
        message = f"the session gave {task.next} results for {len(task.batch.units)} units of {task.batch.group}"
        raise RuntimeError(message)


def _told(error: BaseException, trace: str) -> BaseException:
    """Return an error of another process with the place where it happened as its cause."""
    error.__cause__ = RuntimeError(f"in a worker process:\n{trace}")
    return error
