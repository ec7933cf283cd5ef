"""How fast a loader gives batches, beside a plain copy of as many bytes."""

import itertools
import time
from collections.abc import Callable, Iterator

import numpy as np

from pluto_core.jobs import SampleBatch
from pluto_core.pipeline.ring import Ring
from pluto_core.protocols import BatchSource
from pluto_core.run.display import size_of
from pluto_core.run.figures import Figure
from pluto_core.run.workspace import Workspace

LOADER = "loader"
_WARM = 10
"""Batches that are not measured: buffers grow, shards are opened, processes get ahead."""


def measure(
    workspace: Workspace, part: str, *, workers: int, rounds: int, seconds: float, progress: Callable[[], None] = lambda: None
) -> Figure:
    """Return how fast the batches of a part come, epoch after epoch.

    Args:
        workspace: Of the experiment; its cache is read and must hold the samples.
        part: `train`, `val` or `test`.
        workers: In place of `loader.workers`.
        rounds: How often to measure.
        seconds: About how long a round is.
        progress: Called after each round, and once when the loader is under way.

    Raises:
        PlutoError: The cache holds nothing for the part.
    """
    source = workspace.batches(part, workers=workers)
    try:
        began = time.perf_counter()
        batches = endless(source)
        next(batches)
        first_s = time.perf_counter() - began
        for _ in range(_WARM):
            next(batches)
        progress()
        return _measured(batches, _way(workers), workers, first_s, rounds, seconds, progress)
    finally:
        workspace.release()


def _measured(
    batches: Iterator[SampleBatch],
    name: str,
    workers: int,
    first_s: float,
    rounds: int,
    seconds: float,
    progress: Callable[[], None],
) -> Figure:
    rates, copied, sizes = [], [], []
    for _ in range(rounds):
        samples = nbytes = count = 0
        began = time.perf_counter()
        while (taken := time.perf_counter() - began) < seconds or not count:
            batch = next(batches)
            count += 1
            samples += batch.size
            nbytes += sum(array.nbytes for array in batch.arrays.values())
        rates.append(samples / taken)
        sizes.append(nbytes / count)
        copied.append(samples / count / _copy_s(nbytes // count))
        progress()
    mean, copy = float(np.median(sizes)), float(np.median(copied))
    share = float(np.median(rates)) / copy
    return Figure(
        part=LOADER,
        name=name,
        unit="samples/s",
        values=tuple(rates),
        note=f"{share:.0%} of plain copying, {size_of(mean)} a batch, first batch after {first_s:.2f} s",
        more={"workers": workers, "first_batch_s": first_s, "batch_bytes": mean, "copied_samples_per_s": copy},
    )


def _way(workers: int) -> str:
    return {0: "in this process", 1: "1 process"}.get(workers, f"{workers:,} processes")


def endless(source: BatchSource) -> Iterator[SampleBatch]:
    """Yield the batches of one epoch after another."""
    for epoch in itertools.count():
        yield from source.batches(epoch)


def _copy_s(nbytes: int, times: int = 20) -> float:
    """Return the median time of copying so many bytes into buffers that are used again: no loader is faster in one process."""
    ring, data = Ring(4), np.ones(nbytes, np.uint8)
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        ring.take(nbytes)[:] = data
        seconds.append(time.perf_counter() - began)
    return max(float(np.median(seconds)), 1e-9)
