"""The worker `threads`: sessions in threads of this process."""

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from pluto_basics.config import ThreadsConfig
from pluto_basics.workers.processes import usable_cores
from pluto_core.component import Context
from pluto_core.jobs import Batch
from pluto_core.pipeline.dealing import Deal
from pluto_core.protocols import Job, Session

Result = tuple[int, int, Any]


def make(config: ThreadsConfig, _context: Context) -> "Threads":
    """Return the worker of an experiment."""
    return Threads(config.count or usable_cores())


@attrs.frozen
class Threads:
    """Runs `count` sessions at a time, each in a thread."""

    count: int
    processes: bool = attrs.field(default=False, init=False)

    def run(self, job: Job, batches: Sequence[Batch]) -> Iterator[Result]:
        """Yield (batch, unit, result) as they come; closing the iterator ends every thread after its unit.

        Raises:
            RuntimeError: A session gave more or fewer results than there are units.
        """
        team = _Team(job, batches)
        try:
            team.start(min(self.count, len(batches)))
            yield from team.results()
        finally:
            team.end()


class _Team:
    """The threads of one run."""

    def __init__(self, job: Job, batches: Sequence[Batch]) -> None:
        self._job, self._deal = job, Deal(batches)
        self._dealing, self._stop = threading.Lock(), threading.Event()
        self._said: queue.SimpleQueue[Result | BaseException | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def start(self, count: int) -> None:
        """Start threads; they do not keep the program alive, so that a second Ctrl-C ends it."""
        for slot in range(count):
            thread = threading.Thread(target=self._serve, args=(slot,), name=f"worker-{slot}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def results(self) -> Iterator[Result]:
        """Yield every result, and raise the first error; return when all threads are through."""
        running = len(self._threads)
        while running:
            said = self._said.get()
            if isinstance(said, BaseException):
                raise said
            if said is None:
                running -= 1
            else:
                yield said

    def end(self) -> None:
        """Let every thread finish its unit and close its session."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _serve(self, slot: int) -> None:
        try:
            with self._job.open(slot) as session:
                self._work(session)
        except BaseException as error:  # noqa: BLE001 -- it is raised where the results are awaited
            self._said.put(error)
        finally:
            self._said.put(None)

    def _work(self, session: Session) -> None:
        group = None
        while not self._stop.is_set():
            with self._dealing:
                dealt = self._deal.take(group)
            if dealt is None:
                return
            number, batch = dealt
            group = batch.group
            self._batch(session, number, batch)

    def _batch(self, session: Session, number: int, batch: Batch) -> None:
        done = 0
        for unit, result in enumerate(session.run(batch)):
            self._said.put((number, unit, result))
            done = unit + 1
            if self._stop.is_set():
                return
        if done != len(batch.units):
            message = f"the session gave {done} results for {len(batch.units)} units of {batch.group}"
            raise RuntimeError(message)
