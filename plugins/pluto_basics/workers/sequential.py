"""The worker `sequential`: one session, in this process."""

from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from pluto_basics.config import SequentialConfig
from pluto_core.component import Context
from pluto_core.jobs import Batch
from pluto_core.protocols import Job


def make(_config: SequentialConfig, _context: Context) -> "Sequential":
    """Return the worker of an experiment."""
    return Sequential()


@attrs.frozen
class Sequential:
    """Does batch after batch, unit after unit, where it is called."""

    count: int = attrs.field(default=1, init=False)
    processes: bool = attrs.field(default=False, init=False)

    def run(self, job: Job, batches: Sequence[Batch]) -> Iterator[tuple[int, int, Any]]:
        """Yield (batch, unit, result) in order. Closing the iterator, or any error, closes the session.

        Raises:
            RuntimeError: The session gave more or fewer results than there are units.
        """
        if not len(batches):
            return
        with job.open(0) as session:
            for number, batch in enumerate(batches):
                done = 0
                for unit, result in enumerate(session.run(batch)):
                    yield number, unit, result
                    done = unit + 1
                if done != len(batch.units):
                    message = f"the session gave {done} results for {len(batch.units)} units of {batch.group}"
                    raise RuntimeError(message)
