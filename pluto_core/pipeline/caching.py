"""The cache step: compute the samples that are missing, with any worker, and lose none."""

import bisect
import contextlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.errors import PlutoError, TooManyFailuresError
from pluto_core.jobs import Batch, Lost
from pluto_core.listing import Listing
from pluto_core.pipeline.checking import MakeBuilders
from pluto_core.pipeline.durable import ReadOnlyError
from pluto_core.pipeline.failures import Failure, FailureLog
from pluto_core.pipeline.folder import CacheFolder
from pluto_core.pipeline.index import Index
from pluto_core.pipeline.interrupts import Interrupts
from pluto_core.pipeline.listings import keys_of
from pluto_core.pipeline.progress import Meter, Progress
from pluto_core.pipeline.session import CacheJob, Done, MakeSource, Unit
from pluto_core.protocols import Worker

Rows = npt.NDArray[np.int64]

_LONGEST_BATCH = 256
"""Scenarios of one log in a batch: enough to read the log well, few enough to share long logs among workers."""


@attrs.frozen(kw_only=True)
class CacheReport:
    """What a cache step did."""

    asked: int
    """Different scenarios of the listing."""
    present: int
    """Scenarios that were there before with all builders."""
    done: int
    """Scenarios computed now."""
    failed: Mapping[str, int]
    """Scenarios that failed now, by reason."""
    failed_before: int
    """Scenarios that failed in earlier runs and were not tried again."""
    bytes: int
    seconds: float
    per_second: float


def _nothing(_anything: object) -> None:
    """Do nothing."""


def cache_scenarios(  # noqa: PLR0913 -- one step, all of whose inputs the caller owns
    *,
    listing: Listing,
    tags: Sequence[str],
    make_source: MakeSource,
    make_builders: MakeBuilders,
    folder: CacheFolder,
    worker: Worker,
    max_failures: int | None = None,
    retry: bool = False,
    profile: str = "default",
    part: str = "all",
    progress: Callable[[Progress], None] = _nothing,
    note: Callable[[str], None] = _nothing,
) -> CacheReport:
    """Compute what the cache lacks of a listing; one that lacks nothing need not be writable.

    Args:
        listing: Scenarios that are to be there in the end; an array job passes its share.
        tags: Builders that are to be there for each, as `make_builders` names them.
        make_source: Picklable; called once in every worker.
        make_builders: Picklable; called once in every worker.
        folder: A cache that `open_or_create` made ready.
        worker: Runs the sessions.
        max_failures: Scenarios of the listing that may fail, those of earlier runs included; None for any number.
        retry: Whether to compute again what failed in earlier runs.
        profile: Codec profile of the new values.
        part: `all`, or `i-of-n` where other runs compute the other parts at the same time.
        progress: Shown a few times a second, and in the end.
        note: Says one line to the user.

    Raises:
        PlutoError: Another run computes the same, the disk is full, or it cannot be written and something is to be computed.
        TooManyFailuresError: Too many scenarios failed; the others are sealed.
        KeyboardInterrupt: Ctrl-C was pressed; what was computed is sealed.
    """
    if worker.processes and not folder.store.shared:
        message = f"cache.use = {folder.name!r} lives in one process and the worker uses several; change one of them"
        raise PlutoError(message)
    try:
        held = folder.hold(part)
    except ReadOnlyError as error:
        work = Work(listing, folder.missing(listing, tags, retry=retry), tags)
        if work.total:
            message = f"{error} (scenarios to be computed: {work.total:,})"
            raise ReadOnlyError(message) from error
        note(f"the cache {folder.path} cannot be written and lacks nothing of this experiment: it is used as it is")
        return _as_it_is(folder, work, max_failures)
    with held as lock, lock.alive():
        known = folder.tidy(note)
        work = Work(listing, folder.missing(listing, tags, retry=retry), tags)
        asked, present, failed_before = _state(folder, known, work, max_failures)
        job = CacheJob(folder=folder, make_source=make_source, make_builders=make_builders, profile=profile)
        meter = Meter(work.total, progress)
        reasons: Counter[str] = Counter()
        try:
            _run(worker, job, work, meter, reasons, limit=max_failures, failed_before=failed_before, note=note)
        except BaseException:
            with contextlib.suppress(OSError, PlutoError):  # a full disk is what is reported, not that it is still full
                folder.tidy(note)
            raise
        finally:
            meter.show()
        folder.tidy(note)
    state = meter.state()
    return CacheReport(
        asked=asked,
        present=present,
        done=state.done - state.failed,
        failed=dict(reasons),
        failed_before=failed_before,
        bytes=state.bytes,
        seconds=state.seconds,
        per_second=state.per_second,
    )


def _as_it_is(folder: CacheFolder, work: "Work", limit: int | None) -> CacheReport:
    """Return the report of a step that had nothing to do."""
    asked, present, failed = _state(folder, folder.index(), work, limit)
    return CacheReport(
        asked=asked, present=present, done=0, failed={}, failed_before=failed, bytes=0, seconds=0.0, per_second=0.0
    )


def _state(folder: CacheFolder, known: Index, work: "Work", limit: int | None) -> tuple[int, int, int]:
    """Return how many scenarios are asked for, how many of them an index knows, and how many failed in earlier runs.

    Raises:
        TooManyFailuresError: More of them failed than `limit`.
    """
    asked = np.unique(work.keys)
    present = int(np.isin(asked, known.keys[known.complete(work.tags)], assume_unique=True).sum())
    failed_before = len(asked) - present - work.total
    _check_failures(failed_before, limit, folder)
    return len(asked), present, failed_before


def _run(
    worker: Worker,
    job: CacheJob,
    work: "Work",
    meter: Meter,
    reasons: "Counter[str]",
    *,
    limit: int | None,
    failed_before: int,
    note: Callable[[str], None],
) -> None:
    if not work.total:
        return
    log = FailureLog(job.folder.path)
    with Interrupts(note) as interrupts, contextlib.closing(log), _closing(worker.run(job, work)) as results:
        for number, place, result in results:
            done = _recorded(result, work[number].units[place], log) if isinstance(result, Lost) else result
            meter.add(failed=bool(done.failed), size=done.size)
            reasons.update(reason.value for reason in done.failed[:1])
            _check_failures(failed_before + meter.failed, limit, job.folder)
            if interrupts.asked:
                raise KeyboardInterrupt


@contextlib.contextmanager
def _closing(results: "Iterator[tuple[int, int, Done | Lost]]") -> "Iterator[Iterator[tuple[int, int, Done | Lost]]]":
    """Close a worker's iterator in every case, so that its sessions seal their shards."""
    try:
        yield results
    finally:
        close = getattr(results, "close", None)
        if close is not None:
            close()


def _recorded(lost: Lost, unit: Unit, log: FailureLog) -> Done:
    for tag in unit.tags:
        log.add(Failure(scenario=unit.scenario, builder=tag, reason=lost.reason, detail=lost.detail))
    return Done(0, (lost.reason,))


def _check_failures(failed: int, limit: int | None, folder: CacheFolder) -> None:
    if limit is not None and failed > limit:
        scenarios = "1 scenario" if failed == 1 else f"{failed:,} scenarios"
        message = (
            f"{scenarios} failed, and max_failures allows {limit}; {folder.path / 'failures.jsonl'} says why. "
            "Raise max_failures to go on without them, or mend the cause and run `pluto cache retry`"
        )
        raise TooManyFailuresError(message)


class Work(Sequence[Batch]):
    """The batches of a step, made when they are asked for: a million scenarios stay columns."""

    def __init__(self, listing: Listing, missing: Mapping[str, Rows], tags: Sequence[str]) -> None:
        self.keys = keys_of(listing)
        self._listing = listing
        self.tags = tuple(tags)
        self._lacks = np.zeros((len(self.tags), len(listing)), np.bool_)
        for row, tag in enumerate(self.tags):
            self._lacks[row, missing[tag]] = True
        rows = np.flatnonzero(self._lacks.any(axis=0))
        self._rows = rows[np.argsort(listing.logs.codes[rows], kind="stable")]
        self._starts = _batch_starts(listing.logs.codes[self._rows])

    @property
    def total(self) -> int:
        """Return the number of scenarios."""
        return len(self._rows)

    def number_of(self, place: int) -> int:
        """Return the number of the batch that holds the scenario at `place` (0 to `total` - 1) of the step's order."""
        return bisect.bisect_right(self._starts, place) - 1

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self._starts) - 1

    def __getitem__(self, number: int) -> Batch:  # type: ignore[override]
        """Return one batch."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        rows = self._rows[self._starts[number] : self._starts[number + 1]].tolist()
        units = tuple(Unit(self._listing.id(row), self._tags_of(row)) for row in rows)
        return Batch(group=units[0].scenario.log, units=units)

    def _tags_of(self, row: int) -> tuple[str, ...]:
        return tuple(tag for tag, lacks in zip(self.tags, self._lacks[:, row].tolist(), strict=True) if lacks)


def _batch_starts(logs: npt.NDArray[np.int32]) -> list[int]:
    """Return where batches start, and the end: at every new log, and within long ones."""
    changes = [0, *(np.flatnonzero(np.diff(logs)) + 1).tolist(), len(logs)]
    starts = [start for first, last in itertools.pairwise(changes) for start in range(first, last, _LONGEST_BATCH)]
    return [*starts, len(logs)]
