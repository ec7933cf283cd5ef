"""What each stage of the cache step takes: load, every builder, check, encode, write, and reading what was written.

A round does the same scenarios as the one before, with a source and builders made anew and into a cache of its own, as a
worker that begins would. The first one is not counted: it imports, converts maps and brings logs into memory.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs
import numpy as np

from pluto_core.errors import PlutoError
from pluto_core.jobs import Batch
from pluto_core.listing import Listing
from pluto_core.pipeline import codec
from pluto_core.pipeline.folder import CacheFolder
from pluto_core.pipeline.maintenance import size_of_shards
from pluto_core.pipeline.session import CacheJob, CacheSession, Unit
from pluto_core.run.figures import Figure
from pluto_core.run.workspace import Workspace
from pluto_core.samples import check
from pluto_core.scene import Scene

FEATURES, CACHE = "features", "cache"
_LOGS = 4
"""A sample is of so many logs: enough of each that opening it is shared, as in a real run."""
_READ = 32
"""Samples read at once, as a batch."""


@attrs.frozen(kw_only=True)
class Stages:
    """What the rounds gave."""

    figures: tuple[Figure, ...]
    folder: CacheFolder
    """The cache of the last round."""
    listing: Listing
    """Its scenarios; those that failed are not in the cache."""
    logs: int
    failures: dict[str, int]
    """Scenarios that gave no sample, by reason."""


def spread(listing: Listing, count: int) -> Listing:
    """Return so many scenarios, spread evenly over a few logs that are spread evenly over all."""
    logs, first = np.unique(listing.logs.codes, return_index=True)
    logs = logs[np.argsort(first)]
    chosen = logs[_evenly(len(logs), min(_LOGS, count))]
    rows: list[int] = []
    for place, log in enumerate(chosen):
        own = np.flatnonzero(listing.logs.codes == log)
        own = own[np.argsort(listing.start_us[own], kind="stable")]
        wanted = -(-(count - len(rows)) // (len(chosen) - place))
        rows += own[_evenly(len(own), wanted)].tolist()
    return listing.take(np.asarray(rows, np.int64))


def _evenly(count: int, wanted: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).round().astype(np.int64))


def measure(
    workspace: Workspace, listing: Listing, place: Path, *, rounds: int, progress: Callable[[], None] = lambda: None
) -> Stages:
    """Return what the stages take for some scenarios, in one process.

    Args:
        workspace: Of the experiment, with a source.
        listing: Scenarios to compute.
        place: Where a cache may be written; the last round's stays.
        rounds: Rounds that count.
        progress: Called after each round.

    Raises:
        PlutoError: No scenario gives a sample, or the source cannot be used.
    """
    batches = _batches(listing, workspace.builders.tags)
    spent: list[dict[str, float]] = []
    folder = CacheFolder(place / "cache", workspace.store)
    for number in range(rounds + 1):
        folder.open_or_create(workspace.fingerprint, fresh=True)
        done, size = _round(workspace, folder, batches, len(listing))
        if number:
            spent.append(done)
        progress()
    stored = len(folder.reader(workspace.builders.tags).keys)
    return Stages(
        figures=tuple(_figures(spent, workspace.builders.tags, size / max(stored, 1))),
        folder=folder,
        listing=listing,
        logs=len(batches),
        failures=_reasons(folder),
    )


def read_figure(folder: CacheFolder, tags: Sequence[str], keys: Sequence[str], rounds: int) -> Figure:
    """Return what reading and unpacking stored samples takes."""
    values = []
    for number in range(rounds + 1):
        reader = folder.reader(tags)
        began = time.perf_counter()
        for start in range(0, len(keys), _READ):
            reader.get_many(keys[start : start + _READ])
        if number:
            values.append(1e3 * (time.perf_counter() - began) / len(keys))
        reader.close()
    return Figure(part=CACHE, name="read and unpack", unit="ms a scenario", values=tuple(values))


def _batches(listing: Listing, tags: Sequence[str]) -> list[Batch]:
    units: dict[str, list[Unit]] = {}
    for one in listing.ids():
        units.setdefault(one.log, []).append(Unit(one, tuple(tags)))
    return [Batch(group=log, units=tuple(each)) for log, each in units.items()]


def _round(workspace: Workspace, folder: CacheFolder, batches: Sequence[Batch], count: int) -> tuple[dict[str, float], float]:
    """Return milliseconds a scenario by stage, and the bytes that were written."""
    assert workspace.source_recipe is not None
    job = CacheJob(
        folder=folder,
        make_source=workspace.source_recipe,
        make_builders=workspace.builders,
        profile=workspace.experiment.cache.profile,
    )
    session = StagedSession(job)
    size, began = 0, time.perf_counter()
    with session:
        for batch in batches:
            for done in session.run(batch):
                size += getattr(done, "size", 0)
    whole = time.perf_counter() - began
    folder.tidy()
    if not size:
        why = ", ".join(f"{number} {reason}" for reason, number in _reasons(folder).items())
        message = f"none of {count} scenarios gives a sample ({why}); see what is wrong: pluto run FILE --only cache"
        raise PlutoError(message)
    stages = dict(session.spent_s)
    stages["write and seal"] = whole - sum(stages.values())
    stages["all"] = whole
    written = size_of_shards(folder, folder.index()) if workspace.store.suffix else size
    return {name: 1e3 * seconds / count for name, seconds in stages.items()}, written


class StagedSession(CacheSession):
    """A worker's session that adds up what its stages take."""

    def __init__(self, job: CacheJob) -> None:
        super().__init__(job)
        self.spent_s: dict[str, float] = {}

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.spent_s[name] = self.spent_s.get(name, 0.0) + time.perf_counter() - began

    def _scenes(self, units: Sequence[Unit]) -> Iterator[Scene | Exception]:
        scenes = super()._scenes(units)
        while True:
            with self._timed("load"):
                scene = next(scenes, None)
            if scene is None:
                return
            yield scene

    def _value(self, tag: str, key: bytes, scene: Scene | Exception) -> bytes:
        if isinstance(scene, Exception):
            raise scene
        builder = self._builders[tag]
        with self._timed(f"build {tag}"):
            sample = builder.build(scene.narrow(builder.window))
        with self._timed("check"):
            check(sample, builder.spec)
        with self._timed("encode"):
            return codec.encode(sample, builder.spec, self._job.profile, key=key)


def _figures(spent: Sequence[dict[str, float]], tags: Sequence[str], size: float) -> Iterator[Figure]:
    def figure(part: str, name: str) -> Figure:
        return Figure(part=part, name=name, unit="ms a scenario", values=tuple(each.get(name, 0.0) for each in spent))

    yield figure(FEATURES, "load")
    for tag in tags:
        yield figure(FEATURES, f"build {tag}")
    yield figure(FEATURES, "check")
    rates = tuple(1e3 / each["all"] for each in spent)
    yield Figure(part=FEATURES, name="one worker, cache included", unit="scenarios/s", values=rates)
    yield figure(CACHE, "encode")
    yield figure(CACHE, "write and seal")
    yield Figure(part=CACHE, name="size", unit="kB a sample", values=(size / 1e3,))


def _reasons(folder: CacheFolder) -> dict[str, int]:
    found: dict[str, int] = {}
    for failure in folder.failures().values():
        found[failure.reason.value] = found.get(failure.reason.value, 0) + 1
    return found
