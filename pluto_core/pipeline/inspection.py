"""Reading every value of shards that may be damaged, in a process of its own.

A flipped bit in the tree of a memory-mapped shard can send its reader beyond the file, which no exception reports: the process
is killed. Here that ends a helper, and is a finding about the shard at which the helper was.
"""

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType

import attrs

from pluto_core.arrays import SampleSpec
from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.jobs import Batch
from pluto_core.pipeline import codec
from pluto_core.pipeline.checking import Check, MakeBuilders, checks_of
from pluto_core.pipeline.shards import Shards
from pluto_core.protocols import ShardReader, Worker
from pluto_core.samples import check
from pluto_core.scene import ScenarioId

_LAST_WORDS_S = 10.0
_AT_A_TIME = 64
_CRASHES = (signal.SIGBUS, signal.SIGSEGV, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)


@attrs.frozen
class Damage:
    """A value that is not what was, or should have been, stored."""

    key: bytes
    reason: Reason
    detail: str


@attrs.frozen(kw_only=True)
class Finding:
    """What is wrong with one shard."""

    shard: str
    values: int = 0
    """Values read."""
    damaged: tuple[Damage, ...] = ()
    unreadable: str = ""
    """Why the shard cannot be read at all; empty where it can."""


@attrs.frozen(kw_only=True)
class Inspection:
    """What is to be inspected; goes to the helper."""

    shards: Shards
    specs: Mapping[str, SampleSpec]
    """Specs of the builders by tag; a value of any other is damaged."""
    skip: Mapping[str, frozenset[bytes]]
    """Keys by shard that are known to be damaged and left out."""
    make_builders: MakeBuilders | None = None
    """Builders that are asked about their samples."""


def inspect(
    asked: Inspection, names: Sequence[str], progress: Callable[[int], None], worker: Worker | None = None
) -> Iterator[Finding]:
    """Yield what is wrong with each of some shards, in their order.

    Args:
        asked: How to read them.
        names: Sealed shards.
        progress: Called with the number of values read since it was called before.
        worker: Reads several at a time, if it has processes; those whose reader dies are then read by one that says how.
    """
    if worker is not None and worker.processes and min(worker.count, len(names)) > 1 and asked.shards.store.shared:
        found = _read_by(worker, asked, names, progress)
        for name in names:
            yield from [found[name]] if name in found else inspect(asked, [name], progress)
        return
    if not asked.shards.store.shared:
        yield from _findings(_said(asked, names), progress)
        return
    left = list(names)
    while left:
        with _helper(asked, left) as (pipe, process):
            for finding in _findings(_heard(pipe), progress):
                left.pop(0)
                yield finding
            process.join(_LAST_WORDS_S)
            if left:
                yield Finding(shard=left.pop(0), unreadable=f"reading it killed the process ({_crash(process)})")


def _read_by(worker: Worker, asked: Inspection, names: Sequence[str], progress: Callable[[int], None]) -> Mapping[str, Finding]:
    found: dict[str, Finding] = {}
    batches = [Batch(group=name, units=(name,)) for name in names]
    for number, _, finding in worker.run(_Reading(asked), batches):
        if isinstance(finding, Finding):
            found[names[number]] = finding
            progress(finding.values)
    return found


@attrs.frozen
class _Reading:
    """A job, and its sessions: each unit is the name of a shard."""

    asked: Inspection

    def open(self, slot: int) -> "_Reading":
        """Return a session, which has nothing to open."""
        del slot
        return self

    def run(self, batch: Batch) -> Iterator[Finding]:
        """Yield what is wrong with each shard."""
        return _findings(_said(self.asked, batch.units), lambda _more: None)

    def __enter__(self) -> "_Reading":
        """Return self."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Nothing was opened."""


def _findings(said: "Iterator[int | Finding]", progress: Callable[[int], None]) -> Iterator[Finding]:
    for message in said:
        if isinstance(message, Finding):
            yield message
        else:
            progress(message)


@contextlib.contextmanager
def _helper(asked: Inspection, names: Sequence[str]) -> Iterator[tuple[Connection, BaseProcess]]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(there, asked, tuple(names)), daemon=True)
    process.start()
    there.close()
    try:
        yield here, process
    finally:
        here.close()
        process.kill()
        process.join()


def _heard(pipe: Connection) -> "Iterator[int | Finding]":
    with contextlib.suppress(EOFError):
        while True:
            yield pipe.recv()


def _crash(process: BaseProcess) -> str:
    """Return the signal that bad memory access ends with.

    Raises:
        PlutoError: The helper ended otherwise, which says nothing about the shard.
    """
    code = process.exitcode
    if code is None or -code not in _CRASHES:
        message = f"the helper that reads the shards ended with code {code}; was there too little memory? Nothing was changed"
        raise PlutoError(message)
    return signal.Signals(-code).name


def _serve(pipe: Connection, asked: Inspection, names: Sequence[str]) -> None:
    """Be the helper; it ends when nobody listens any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError):
        for said in _said(asked, names):
            pipe.send(said)


def _said(asked: Inspection, names: Sequence[str]) -> "Iterator[int | Finding]":
    checks = checks_of(asked.make_builders)
    for name in names:
        yield from _read(asked, name, checks)


def _read(asked: Inspection, name: str, checks: Mapping[str, Check]) -> "Iterator[int | Finding]":
    """Yield numbers of values as they are read, and in the end what was found."""
    damaged: list[Damage] = []
    known = asked.skip.get(name, frozenset())
    try:
        reader = asked.shards.open(name)
    except (PlutoError, OSError) as error:
        yield Finding(shard=name, unreadable=str(error))
        return
    try:
        keys = sorted(set(reader.keys()) - known)
        for number, key in enumerate(keys, 1):
            found = _damage(reader, key, asked.specs, checks)
            damaged += [found] if found else []
            if number % _AT_A_TIME == 0:
                yield _AT_A_TIME
        yield len(keys) % _AT_A_TIME
        yield Finding(shard=name, values=len(keys), damaged=tuple(damaged))
    except (PlutoError, OSError) as error:
        yield Finding(shard=name, unreadable=str(error))
    finally:
        reader.close()


def _damage(reader: ShardReader, key: bytes, specs: Mapping[str, SampleSpec], checks: Mapping[str, Check]) -> Damage | None:
    """Return what is wrong with a value, or None."""
    raw_tag, _, scenario = key.partition(b"|")
    try:
        ScenarioId.from_key(scenario.decode())
        tag = raw_tag.decode()
        sample = codec.decode(reader.get(key), key=key, verify=True)
        check(sample, specs[tag], dtypes=False)
        if tag in checks:
            checks[tag](sample)
    except SampleError as error:
        return Damage(key, error.reason, error.detail)
    except (PlutoError, KeyError, OSError, UnicodeDecodeError) as error:
        return Damage(key, Reason.DAMAGED_VALUE, str(error))
    return None
