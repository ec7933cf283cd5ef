"""What the cache step of an experiment will take, from a sample that is really computed: time, bytes, memory, failures."""

import math
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from pluto_core.errors import PlutoError
from pluto_core.jobs import Batch
from pluto_core.listing import Listing
from pluto_core.pipeline.caching import Work
from pluto_core.pipeline.failures import Failures
from pluto_core.pipeline.folder import CacheFolder
from pluto_core.pipeline.listings import keys_of
from pluto_core.pipeline.maintenance import size_of_shards
from pluto_core.pipeline.parts import Part
from pluto_core.pipeline.session import CacheJob
from pluto_core.protocols import ScenarioSource, Worker
from pluto_core.run.measuring import Measured, measure
from pluto_core.run.outlook import existing_cache, scenarios_of
from pluto_core.run.sampling import TimedJob, sample
from pluto_core.run.workspace import Workspace

_LOGS = 20
"""A sample comes from so many logs at least, where there are so many and the sample is that large."""


@attrs.frozen(kw_only=True)
class Forecast:
    """What a cache step will take."""

    listed: int
    """Different scenarios that the filter takes."""
    present: int
    """Those of them that the cache holds already."""
    failed_before: int
    """Those that failed in earlier runs and are not tried again."""
    scenarios: int
    """Those to be computed."""
    sampled: int
    """Those that were computed to know."""
    logs: int
    """Logs that these are of."""
    processes: int
    """Processes that computed these at a time."""
    workers: int
    """Workers that will have something to do."""
    startup_s: float
    """Time until a worker has its first sample."""
    scenario_s: float
    """Time of one worker for one scenario."""
    seconds: float
    """Time of the step."""
    seconds_range: tuple[float, float] | None
    """Twice the standard error to both sides, from the differences among logs; None where the sample is of one log."""
    bytes: int
    """What will be written."""
    scenario_bytes: int
    free_bytes: int
    """What the disk of the cache has left."""
    memory_bytes: int
    """Memory of one worker."""
    failures: int
    """Scenarios that will fail."""
    sampled_failures: Mapping[str, int]
    """Those of the sample, by reason."""
    examples: Mapping[str, str]
    """One of them for each reason: where, and what was wrong."""
    max_failures: int | None
    problems: tuple[str, ...]
    """Why the step would be refused."""


def plan(
    workspace: Workspace,
    *,
    samples: int = 200,
    part: Part | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Forecast:
    """Measure a sample of what the cache lacks. The cache is read and never written.

    Args:
        workspace: Of the experiment.
        samples: Scenarios to compute.
        part: Part of an array job to forecast; None: the whole.
        progress: Called with scenarios computed and scenarios of the sample.

    Raises:
        PlutoError: There is no source, the filter takes nothing, or the source cannot be used.
    """
    source = workspace.lister
    if source is None:
        message = f"{workspace.experiment.path}: a plan needs a [source], and cache.only must be false"
        raise PlutoError(message)
    folder, problems = existing_cache(workspace)
    listing = scenarios_of(workspace, source, folder)
    listing = listing.take(part.rows(listing)) if part else listing
    work = _work(workspace, listing, folder)
    warm, batches = _sample(work, listing, samples)
    total = sum(len(batch.units) for batch in (*warm, *batches))
    with tempfile.TemporaryDirectory(prefix="pluto-plan-") as place:
        beside = CacheFolder(Path(place), workspace.store)
        job = TimedJob(
            folder=beside,
            make_source=workspace.source_recipe or _no_source,
            make_builders=workspace.builders,
            profile=workspace.experiment.cache.profile,
            warm=tuple(warm),
        )
        measured = _measured(workspace, job, batches, lambda done: progress(done, total)) if total else None
        written = size_of_shards(beside, beside.index()) if measured and workspace.store.suffix else None
        failures = beside.failures()
    there = _Counts.of(work, folder, workspace.builders.tags)
    return _forecast(workspace, there, measured, written, failures, problems)


@attrs.frozen(kw_only=True)
class _Counts:
    """Scenarios by what is to be done with them."""

    listed: int
    present: int
    scenarios: int
    batches: int

    @classmethod
    def of(cls, work: Work, folder: CacheFolder | None, tags: Sequence[str]) -> "_Counts":
        keys = np.unique(work.keys)
        present = 0
        if folder is not None:
            index = folder.index()
            present = int(np.isin(keys, index.keys[index.complete(tags)], assume_unique=True).sum())
        return cls(listed=len(keys), present=present, scenarios=work.total, batches=len(work))


def _measured(workspace: Workspace, job: TimedJob, batches: Sequence[Batch], progress: Callable[[int], None]) -> Measured:
    """Return what a sample takes: with the experiment's worker where it has several processes, else in one process."""
    worker: Worker = workspace.experiment.make("worker", workspace.context())
    if worker.processes and min(worker.count, len(batches)) > 1 and workspace.store.shared:
        return sample(worker, job, batches, progress)
    alone = CacheJob(folder=job.folder, make_source=job.make_source, make_builders=job.make_builders, profile=job.profile)
    return measure(alone, job.warm, batches, progress)


def _no_source() -> ScenarioSource:
    message = "the experiment has no source"
    raise PlutoError(message)


def _work(workspace: Workspace, listing: Listing, folder: CacheFolder | None) -> Work:
    """Return the batches that the cache step would do."""
    tags = workspace.builders.tags
    if folder is not None:
        return Work(listing, folder.missing(listing, tags, retry=workspace.experiment.cache.retry_failures), tags)
    rows = np.sort(np.unique(keys_of(listing), return_index=True)[1])
    return Work(listing, dict.fromkeys(tags, rows), tags)


def _sample(work: Work, listing: Listing, samples: int) -> tuple[list[Batch], list[Batch]]:
    """Return one scenario of each map that occurs, to warm up with, and parts of batches that are spread evenly.

    Scenarios of one log share the time that it takes to open it, so whole batches are taken where the sample has room for
    some, else parts of them as large as the number of logs allows.
    """
    if not work.total:
        return [], []
    share = max(1, samples // _LOGS, math.ceil(samples / len(work)))
    points = np.linspace(0, work.total - 1, math.ceil(samples / share)).round().astype(np.int64)
    numbers = dict.fromkeys(work.number_of(point) for point in points.tolist())
    codes, rows = np.unique(listing.logs.codes, return_index=True)
    map_of = {
        listing.logs.values[code]: listing.maps.text(row) for code, row in zip(codes.tolist(), rows.tolist(), strict=True)
    }
    warm: dict[str, Batch] = {}
    batches = []
    for number in numbers:
        units = work[number].units
        kept = np.unique(np.linspace(0, len(units) - 1, min(share, len(units))).round().astype(np.int64)).tolist()
        batch = Batch(group=work[number].group, units=tuple(units[place] for place in kept))
        name = map_of[batch.group]
        if name not in warm:
            warm[name] = attrs.evolve(batch, units=batch.units[-1:])
            batch = attrs.evolve(batch, units=batch.units[:-1])
        if batch.units:
            batches.append(batch)
    return list(warm.values()), batches


def _forecast(
    workspace: Workspace,
    counts: _Counts,
    measured: Measured | None,
    written: int | None,
    failures: Failures,
    problems: tuple[str, ...],
) -> Forecast:
    done = [*measured.warm, *(one for _, results in measured.batches for one in results)] if measured else []
    reasons = Counter(one.failed[0].value for one in done if one.failed)
    size = (sum(one.size for one in done) if written is None else written) / max(len(done), 1)
    worker: Worker = workspace.experiment.make("worker", workspace.context())
    workers = max(1, min(worker.count, counts.batches))
    startup_s = measured.startup_s if measured else 0.0
    scenario_s, error_s = _scenario_time(measured) if measured else (0.0, None)
    seconds, *ends = (
        (startup_s + counts.scenarios * max(each, 0.0) / workers) if counts.scenarios else 0.0
        for each in (scenario_s, scenario_s - 2 * (error_s or 0.0), scenario_s + 2 * (error_s or 0.0))
    )
    return Forecast(
        listed=counts.listed,
        present=counts.present,
        failed_before=counts.listed - counts.present - counts.scenarios,
        scenarios=counts.scenarios,
        sampled=len(done),
        logs=len(measured.batches) if measured else 0,
        processes=measured.processes if measured else 0,
        workers=workers,
        startup_s=startup_s,
        scenario_s=scenario_s,
        seconds=seconds,
        seconds_range=None if error_s is None else (ends[0], ends[1]),
        bytes=round(size * counts.scenarios),
        scenario_bytes=round(size),
        free_bytes=shutil.disk_usage(_nearest(workspace.cache_path)).free,
        memory_bytes=measured.memory_bytes if measured else 0,
        failures=round(reasons.total() / max(len(done), 1) * counts.scenarios),
        sampled_failures=dict(reasons),
        examples=_examples(failures),
        max_failures=workspace.experiment.max_failures,
        problems=problems,
    )


def _scenario_time(measured: Measured) -> tuple[float, float | None]:
    """Return the seconds of a scenario and their standard error, taking batches as drawn at random."""
    sizes = np.asarray([len(done) for _, done in measured.batches], np.float64)
    times = np.asarray([seconds for seconds, _ in measured.batches], np.float64)
    if not len(sizes):
        return measured.startup_s / max(len(measured.warm), 1), None
    all_done = sizes.sum() + len(measured.warm)
    mean = times.sum() / sizes.sum()
    error = None
    if len(sizes) > 1:
        spread = len(sizes) / (len(sizes) - 1) * ((times - mean * sizes) ** 2).sum()
        error = float(np.sqrt(spread) / sizes.sum())
    return float(mean + measured.sealing_s / all_done), error


def _examples(failures: Failures) -> dict[str, str]:
    found: dict[str, str] = {}
    for failure in failures.values():
        found.setdefault(failure.reason.value, f"{failure.builder} {failure.scenario.key}: {failure.detail}")
    return found


def _nearest(path: Path) -> Path:
    """Return a path or the nearest folder above it that is there."""
    return next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.is_dir())


def plain(forecast: Forecast) -> dict[str, Any]:
    """Return a forecast as plain values, with hours and gigabytes for people."""
    told = attrs.asdict(forecast)
    hours = forecast.seconds / 3600
    return {**told, "hours": hours, "gb": forecast.bytes / 1e9, "cores": os.cpu_count()}
