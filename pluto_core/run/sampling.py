"""A few batches of the cache step by the experiment's worker, with the time and memory of each scenario.

Sessions run side by side as they will, so that what they take from each other is in the figures.
"""

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType

import attrs

from pluto_core.jobs import Batch, Lost
from pluto_core.pipeline.session import CacheJob, CacheSession, Done
from pluto_core.protocols import Worker
from pluto_core.run.measuring import Measured, peak_memory

_SEALED = "sealed-"


@attrs.frozen
class Took(Done):
    """What became of one scenario, and what it took."""

    seconds: float = 0.0
    memory_bytes: int = 0
    """Most memory that its process held so far."""
    warm: tuple[Done, ...] = ()
    """What became of the scenarios with which its session began; told with the first one only."""


@attrs.frozen(kw_only=True)
class TimedJob(CacheJob):
    """A cache step whose sessions measure themselves."""

    warm: tuple[Batch, ...] = ()
    """What each session does first, to load what is loaded once."""

    def open(self, slot: int) -> "TimedSession":
        """Return the session of one worker."""
        del slot
        return TimedSession(self)


class TimedSession(CacheSession):
    """One worker's session."""

    def __init__(self, job: TimedJob) -> None:
        super().__init__(job)
        self._place = job.folder.path
        begun = [done for batch in job.warm for done in CacheSession.run(self, batch)]
        self._warm = tuple(done for done in begun if isinstance(done, Done))

    def run(self, batch: Batch) -> Iterator[Done | Lost]:
        """Yield what became of each scenario, in order, and what it took."""
        began = time.perf_counter()
        for done in super().run(batch):
            if isinstance(done, Lost):
                yield done
            else:
                seconds, warm, self._warm = time.perf_counter() - began, self._warm, ()
                yield Took(done.size, done.failed, seconds=seconds, memory_bytes=peak_memory(), warm=warm)
            began = time.perf_counter()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Seal the shard, and note how long that took."""
        began = time.perf_counter()
        super().__exit__(kind, error, trace)
        with contextlib.suppress(OSError):  # on another machine, which does not see the folder
            (self._place / f"{_SEALED}{uuid.uuid4().hex}").write_text(repr(time.perf_counter() - began), "ascii")


def sample(worker: Worker, job: TimedJob, batches: Sequence[Batch], progress: Callable[[int], None]) -> Measured:
    """Return what a worker does with some batches.

    Args:
        worker: Of the experiment.
        job: Writes into a folder of its own.
        batches: Those to measure.
        progress: Called with the number of scenarios done.

    Raises:
        PlutoError: The job refuses its source.
    """
    began, startup_s, memory, count = time.monotonic(), 0.0, 0, 0
    taken: list[list[Took]] = [[] for _ in batches]
    for number, _, result in worker.run(job, batches):
        took = result if isinstance(result, Took) else Took(0, (result.reason,))
        startup_s = startup_s or time.monotonic() - began - took.seconds
        memory, count = max(memory, took.memory_bytes), count + 1
        taken[number].append(took)
        progress(count)
    return Measured(
        startup_s=startup_s,
        batches=tuple((sum(took.seconds for took in batch), tuple(batch)) for batch in taken if batch),
        warm=tuple(done for batch in taken for took in batch for done in took.warm),
        sealing_s=sum(float(path.read_text("ascii")) for path in job.folder.path.glob(f"{_SEALED}*")),
        memory_bytes=memory,
        processes=min(worker.count, len(batches)),
    )
