"""The cache step within a worker: load scenes, build, check, encode, put."""

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType

import attrs

from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.jobs import Batch, Lost
from pluto_core.pipeline import codec
from pluto_core.pipeline.checking import MakeBuilders
from pluto_core.pipeline.failures import Failure, FailureLog
from pluto_core.pipeline.folder import CacheFolder
from pluto_core.pipeline.index import shard_key
from pluto_core.pipeline.shards import SEAL_SAMPLES, RollingWriter
from pluto_core.protocols import ScenarioSource, SceneBuilder
from pluto_core.samples import check
from pluto_core.scene import ScenarioId, Scene, Window

MakeSource = Callable[[], ScenarioSource]


@attrs.frozen
class Unit:
    """One scenario, and the builders whose samples it lacks."""

    scenario: ScenarioId
    tags: tuple[str, ...]


@attrs.frozen
class Done:
    """What became of one scenario; small, for it goes through queues."""

    size: int
    """Bytes written."""
    failed: tuple[Reason, ...] = ()
    """Why builders gave no sample; empty when all is well."""


@attrs.frozen(kw_only=True)
class CacheJob:
    """What every worker of a cache step does."""

    folder: CacheFolder
    make_source: MakeSource
    make_builders: MakeBuilders
    profile: str = "default"
    seal_samples: int = SEAL_SAMPLES
    seal_seconds: float = 300.0

    def open(self, slot: int) -> "CacheSession":
        """Return the session of one worker."""
        del slot
        return CacheSession(self)


class CacheSession:
    """One worker's source, builders and shard."""

    def __init__(self, job: CacheJob) -> None:
        self._job = job
        self._source = job.make_source()
        self._builders: Mapping[str, SceneBuilder] = dict(job.make_builders())
        self._writer = RollingWriter(job.folder.shards, samples=job.seal_samples, seconds=job.seal_seconds)
        self._failures = FailureLog(job.folder.path)

    def run(self, batch: Batch) -> Iterator[Done | Lost]:
        """Yield what became of each scenario, in order; `Lost` where this process has too little memory for it.

        Raises:
            PlutoError: The disk is full or gone, or the source cannot be used at all.
        """
        units: tuple[Unit, ...] = batch.units
        for unit, scene in zip(units, self._scenes(units), strict=True):
            try:
                yield self._store(unit, scene)
            except MemoryError as error:
                yield Lost(Reason.EXCEPTION, f"{type(error).__name__}: {error}")

    def __enter__(self) -> "CacheSession":
        """Return self."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Seal the shard; what cannot be sealed is taken over by the next run."""
        try:
            self._failures.close()
        finally:
            try:
                self._writer.seal()
            except OSError as broken:
                if error is None:
                    raise self._stopped(broken) from broken

    def _scenes(self, units: Sequence[Unit]) -> Iterator[Scene | Exception]:
        """Yield the scene of each unit or what went wrong; a source that raises goes on behind that scenario."""
        window = Window.union(self._builders[tag].window for tag in sorted({tag for unit in units for tag in unit.tags}))
        place = 0
        while place < len(units):
            problem: Exception = RuntimeError("the source gave fewer scenes than scenarios were asked for")
            try:
                for scene in self._source.load_many([unit.scenario for unit in units[place:]], window):
                    place += 1
                    yield scene
            except PlutoError:
                raise
            except Exception as error:  # noqa: BLE001 -- whatever it is, it becomes a row of failures.jsonl
                problem = error
            if place < len(units):
                place += 1
                yield problem

    def _store(self, unit: Unit, scene: Scene | Exception) -> Done:
        values: list[tuple[bytes, bytes]] = []
        failed: list[Reason] = []
        for tag in unit.tags:
            try:
                key = shard_key(tag, unit.scenario.key)
                values.append((key, self._value(tag, key, scene)))
            except (PlutoError, MemoryError):
                raise
            except Exception as error:  # noqa: BLE001 -- whatever it is, it becomes a row of failures.jsonl
                failed.append(self._fail(unit.scenario, tag, error))
        try:
            for key, value in values:
                self._writer.put(key, value)
            self._writer.end_sample()
        except OSError as error:
            raise self._stopped(error) from error
        return Done(sum(len(value) for _, value in values), tuple(failed))

    def _value(self, tag: str, key: bytes, scene: Scene | Exception) -> bytes:
        if isinstance(scene, Exception):
            raise scene
        builder = self._builders[tag]
        sample = builder.build(scene.narrow(builder.window))
        check(sample, builder.spec)
        return codec.encode(sample, builder.spec, self._job.profile, key=key)

    def _fail(self, scenario: ScenarioId, tag: str, error: Exception) -> Reason:
        if isinstance(error, SampleError):
            failure = Failure(scenario=scenario, builder=tag, reason=error.reason, detail=error.detail)
        else:
            trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
            detail = f"{type(error).__name__}: {error}"
            failure = Failure(scenario=scenario, builder=tag, reason=Reason.EXCEPTION, detail=detail, traceback=trace)
        try:
            self._failures.add(failure)
        except OSError as broken:
            raise self._stopped(broken) from broken
        return failure.reason

    def _stopped(self, error: OSError) -> PlutoError:
        return PlutoError(
            f"cannot write to {self._job.folder.shards.unsealed}: {error}; what was written before is kept: "
            "make room (or choose another cache.path) and run the same command again"
        )
