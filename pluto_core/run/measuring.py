"""Running a few batches of the cache step in a process of its own, as a worker would, and measuring time and memory."""

import contextlib
import multiprocessing
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import attrs

from pluto_core.errors import PlutoError
from pluto_core.jobs import Batch, Lost
from pluto_core.pipeline.session import CacheJob, Done

_KIB = 1024
_LAST_WORDS_S = 10.0


@attrs.frozen(kw_only=True)
class Measured:
    """What a worker did."""

    startup_s: float
    """From the start of the process to its first sample: imports, opening the dataset, maps."""
    batches: tuple[tuple[float, tuple[Done, ...]], ...]
    """Seconds and results of each batch."""
    warm: tuple[Done, ...]
    """Results of the scenarios that belong to the start."""
    sealing_s: float
    """Time to bring what was written to the disk."""
    memory_bytes: int
    """Most memory that the process held."""
    processes: int = 1
    """Those that worked side by side."""


def measure(job: CacheJob, warm: Sequence[Batch], batches: Sequence[Batch], progress: Callable[[int], None]) -> Measured:
    """Return what a fresh worker does with some batches.

    Args:
        job: Writes into a folder of its own.
        warm: Batches to begin with, which load what is loaded once.
        batches: Those to measure.
        progress: Called with the number of scenarios done.

    Raises:
        PlutoError: The job refuses its source, or the process was killed.
        RuntimeError: The job has a bug; with its traceback.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(there, job, tuple(warm), tuple(batches)), daemon=True)
    began = time.monotonic()
    process.start()
    there.close()
    try:
        return _collected(_messages(here, process), len(warm), began, progress)
    finally:
        here.close()
        process.join(_LAST_WORDS_S)
        if process.is_alive():
            process.kill()
            process.join()


def _collected(messages: Iterator[Any], warm: int, began: float, progress: Callable[[int], None]) -> Measured:
    startup_s = 0.0
    done: list[Done] = []
    first: list[Done] = []
    batches: list[tuple[float, tuple[Done, ...]]] = []
    count = 0
    for message in messages:
        if isinstance(message, Done):
            count += 1
            done.append(message)
            progress(count)
        elif isinstance(message, float):
            if warm:
                warm, startup_s = warm - 1, time.monotonic() - began
                first += done
            else:
                batches.append((message, tuple(done)))
            done = []
        else:
            sealing_s, memory_bytes = message
    return Measured(
        startup_s=startup_s,
        batches=tuple(batches),
        warm=tuple(first),
        sealing_s=sealing_s,
        memory_bytes=memory_bytes,
    )


def _messages(pipe: Connection, process: BaseProcess) -> Iterator[Any]:
    """Yield what the process says, to its last message, a pair of numbers."""
    while True:
        try:
            message = pipe.recv()
        except EOFError:
            process.join(_LAST_WORDS_S)
            text = f"the measuring process was killed (exit code {process.exitcode}); was there too little memory?"
            raise PlutoError(text) from None
        if isinstance(message, PlutoError):
            raise message
        if isinstance(message, str):
            raise RuntimeError(message)  # noqa: TRY004 -- the text is a traceback of the other process
        yield message
        if isinstance(message, tuple):
            return


def _work(pipe: Connection, job: CacheJob, warm: Sequence[Batch], batches: Sequence[Batch]) -> None:
    """Be the process: say each result, the seconds of each batch, and in the end time to seal and memory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError):
        try:
            with job.open(0) as session:
                for batch in (*warm, *batches):
                    began = time.perf_counter()
                    for done in session.run(batch):
                        pipe.send(Done(0, (done.reason,)) if isinstance(done, Lost) else done)
                    pipe.send(time.perf_counter() - began)
                began = time.perf_counter()
            pipe.send((time.perf_counter() - began, peak_memory()))
        except PlutoError as error:
            pipe.send(PlutoError(str(error)))
        except BrokenPipeError:
            raise
        except Exception:  # noqa: BLE001 -- it is raised where the results are awaited
            pipe.send(traceback.format_exc())


def peak_memory() -> int:
    """Return the most memory that this process held, in bytes."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        # Not getrusage: what that tells on Linux begins with the memory of the process that started this one.
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * _KIB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * _KIB
