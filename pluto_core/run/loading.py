"""How fast a loader gives batches, beside a plain copy of as many bytes."""

import itertools
import time
from collections.abc import Iterator

import attrs
import numpy as np

from pluto_core.errors import PlutoError
from pluto_core.jobs import SampleBatch
from pluto_core.pipeline.ring import Ring
from pluto_core.protocols import BatchSource
from pluto_core.run.measuring import peak_memory
from pluto_core.run.workspace import Workspace

_WARM = 10
"""Batches that are not measured: buffers grow, shards are opened, processes get ahead."""


@attrs.frozen(kw_only=True)
class Speed:
    """What one loader did."""

    workers: int
    first_batch_s: float
    """Opening shards, and starting processes where there are any, included."""
    batches: int
    """Batches measured."""
    seconds: float
    samples_per_s: float
    batch_bytes: float
    """Mean size of a batch."""
    copied_samples_per_s: float
    """What copying as many bytes into buffers that are used again gives: no loader is faster in one process."""
    memory_bytes: int
    """Most memory that this process held so far."""


def measure(workspace: Workspace, part: str, *, workers: int, seconds: float) -> Speed:
    """Return how fast the batches of a part come, epoch after epoch.

    Args:
        workspace: Of the experiment; its cache is read and must hold the samples.
        part: `train`, `val` or `test`.
        workers: In place of `loader.workers`.
        seconds: About how long to measure, besides starting and warming up.

    Raises:
        PlutoError: There is no cache, or nothing in it for the part.
    """
    if not workspace.cache_path.is_dir():
        message = f"there is no cache at {workspace.cache_path} to load from; do the step first: pluto run FILE --only cache"
        raise PlutoError(message)
    source = workspace.batches(part, workers=workers)
    try:
        return _measured(source, workers, seconds)
    finally:
        workspace.release()


def _measured(source: BatchSource, workers: int, seconds: float) -> Speed:
    began = time.perf_counter()
    batches = _endless(source)
    next(batches)
    first_batch_s = time.perf_counter() - began
    for _ in range(_WARM):
        next(batches)
    samples = nbytes = count = 0
    began = time.perf_counter()
    while (taken := time.perf_counter() - began) < seconds:
        batch = next(batches)
        count += 1
        samples += batch.size
        nbytes += sum(array.nbytes for array in batch.arrays.values())
    mean = nbytes / count
    return Speed(
        workers=workers,
        first_batch_s=first_batch_s,
        batches=count,
        seconds=taken,
        samples_per_s=samples / taken,
        batch_bytes=mean,
        copied_samples_per_s=samples / count / _copy_s(int(mean)),
        memory_bytes=peak_memory(),
    )


def _endless(source: BatchSource) -> Iterator[SampleBatch]:
    for epoch in itertools.count():
        yield from source.batches(epoch)


def _copy_s(nbytes: int, times: int = 20) -> float:
    """Return the median time of copying so many bytes."""
    ring, data = Ring(4), np.ones(nbytes, np.uint8)
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        ring.take(nbytes)[:] = data
        seconds.append(time.perf_counter() - began)
    return max(float(np.median(seconds)), 1e-9)
