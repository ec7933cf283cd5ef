"""The worker `processes`: sessions in processes of their own, which may die without taking the run along.

Every process is started anew (`spawn`), so that no thread, lock or open file of this one is copied. A process holds one end
of one pipe: when this process is gone, it sees the end of the pipe, finishes its unit, closes its session and exits.
"""

import os
from collections.abc import Iterator, Sequence

import attrs

from pluto_basics.config import ProcessesConfig
from pluto_basics.workers.crew import Crew, Result
from pluto_core.component import Context
from pluto_core.jobs import Batch
from pluto_core.machine import held_bytes
from pluto_core.protocols import Job


def make(config: ProcessesConfig, context: Context) -> "Processes":
    """Return the worker of an experiment."""
    if config.memory_mb is not None and held_bytes() is None:
        context.note("this system does not tell what processes hold: worker.memory_mb has no effect")
    return Processes(config.count or usable_cores(), config.timeout_s, config.memory_mb, config.max_units)


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
    memory_mb: float | None = None
    """What a process may hold between two units; with twice as much it is killed. None: anything."""
    max_units: int | None = None
    """Units after which a process makes room for a new one; None: as many as there are."""
    processes: bool = attrs.field(default=True, init=False)

    def run(self, job: Job, batches: Sequence[Batch]) -> Iterator[Result]:
        """Yield (batch, unit, result or `Lost`) as they come; closing the iterator ends every process after its unit.

        Raises:
            RuntimeError: Processes die before they can begin, or lost units.
        """
        memory = None if self.memory_mb is None else round(self.memory_mb * 1e6)
        crew = Crew(job, batches, timeout_s=self.timeout_s, held_bytes=memory, max_units=self.max_units)
        try:
            crew.hire(min(self.count, len(batches)))
            yield from crew.results()
            crew.dismiss()
        finally:
            crew.end()
