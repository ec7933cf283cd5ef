"""What a training step takes: the experiment's own trainer, given batches that lie in memory.

No trainer has to know of it: the time between a batch and the wish for the next one is its step, with all that it does
besides. Loggers and callbacks are left out, as some of them write elsewhere; nothing is kept of the training.
"""

import contextlib
import io
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import attrs

from pluto_core.arrays import SampleSpec
from pluto_core.errors import PlutoError
from pluto_core.jobs import SampleBatch
from pluto_core.protocols import BatchSource, Trainer
from pluto_core.run.assembly import training_job
from pluto_core.run.figures import Figure
from pluto_core.run.loading import endless
from pluto_core.run.workspace import Workspace

STEP, RATE = "step", "training at most"
_HELD = 8
"""Different batches that take turns."""
_WARM = 3
"""Steps that are not measured: the first ones make buffers, and choose how to compute."""
_ENDLESS = 1_000_000
"""Batches of the epoch that is never ended."""


class _Enough(Exception):  # noqa: N818 -- no error: it ends a training whose steps are measured
    """All rounds are done."""


def measure(
    workspace: Workspace,
    part: str,
    place: Path,
    *,
    rounds: int,
    seconds: float,
    progress: Callable[[], None] = lambda: None,
) -> tuple[Figure, ...]:
    """Return what a training step takes, and how long a training takes to begin.

    Args:
        workspace: Of the experiment; its cache must hold the samples.
        part: Whose batches to train on.
        place: A folder that the trainer may write into.
        rounds: How often to measure.
        seconds: About how long a round is; it has one step at least.
        progress: Called after each round, and once when the trainer is under way.

    Raises:
        PlutoError: The cache holds nothing for the part, or the trainer stops or trains in several processes.
    """
    source = workspace.batches(part, workers=0)
    try:
        held = [_copied(batch) for batch in itertools.islice(endless(source), min(_HELD, source.count()))]
    finally:
        workspace.release()
    largest = max(batch.size for batch in held)
    held = [batch for batch in held if batch.size == largest]  # the last one of an epoch may be smaller
    batches = TimedBatches(source.sample_spec, source.batch_size(), held, rounds, seconds, progress)
    began = time.perf_counter()
    job = training_job(workspace, place, {"train": batches}, interactive=False)
    context = attrs.evolve(workspace.context(run_dir=place), note=_silent)
    trainer: Trainer = workspace.experiment.make("trainer", context)
    with contextlib.suppress(_Enough), contextlib.redirect_stdout(io.StringIO()):
        trainer.fit(attrs.evolve(job, loggers=(), callbacks=()))
    return _figures(batches, held, batches.asked_at - began)


def _figures(batches: "TimedBatches", held: Sequence[SampleBatch], ready_s: float) -> tuple[Figure, ...]:
    if len(batches.steps_s) < batches.rounds:
        message = "the trainer stopped before its steps could be measured; let it train longer (trainer.max_steps, max_hours)"
        raise PlutoError(message)
    samples = held[0].size
    rows = samples * len(held[0].roles)
    name = f"batches of {samples}" + (f" ({rows} rows with variants)" if rows != samples else "")
    steps = tuple(1e3 * step for step in batches.steps_s)
    rates = tuple(samples / step for step in batches.steps_s)
    return (
        Figure(part=STEP, name=name, unit="ms a step", values=steps, more={"batch_size": samples, "rows": rows}),
        Figure(part=STEP, name=RATE, unit="samples/s", values=rates),
        Figure(part=STEP, name="until the first step", unit="s", values=(ready_s,), note="imports included"),
    )


def _silent(_text: str) -> None:
    """Say nothing: what the trainer tells belongs to trainings that are kept."""


def _copied(batch: SampleBatch) -> SampleBatch:
    return attrs.evolve(batch, arrays={name: array.copy() for name, array in batch.arrays.items()})


@attrs.define(eq=False)
class TimedBatches(BatchSource):
    """Batches in memory that note how long the trainer is busy with each, and end its training when all is measured."""

    sample_spec: SampleSpec
    samples: int
    """Of a full batch."""
    held: Sequence[SampleBatch]
    rounds: int
    seconds: float
    progress: Callable[[], None]
    asked_at: float = 0.0
    """When the first batch was asked for."""
    steps_s: list[float] = attrs.field(factory=list[float])
    """Mean time of a step, round by round."""

    def batch_size(self, *, world: int = 1) -> int:
        """Return the samples of a full batch."""
        del world
        return self.samples

    def count(self, *, world: int = 1) -> int:
        """Return the number of batches of the epoch."""
        del world
        return _ENDLESS

    def batches(self, epoch: int, *, rank: int = 0, world: int = 1, skip: int = 0) -> Iterator[SampleBatch]:
        """Yield the same batches again and again.

        Raises:
            PlutoError: Several processes train.
        """
        del epoch, rank, skip
        if world > 1:
            message = "a step is measured in one process: add --set trainer.devices=1"
            raise PlutoError(message)
        self.asked_at = time.perf_counter()
        turns = itertools.cycle(self.held)
        for _ in range(_WARM):
            yield next(turns)
        self.progress()
        while len(self.steps_s) < self.rounds:
            began, count = time.perf_counter(), 0
            while time.perf_counter() - began < self.seconds or not count:
                yield next(turns)
                count += 1
            self.steps_s.append((time.perf_counter() - began) / count)
            self.progress()
        raise _Enough
