"""What each kind of component does, as protocols. A component is whatever its factory returns: no base class is asked for.

Read with `kinds.py` (which section selects what) and `hookspecs.py` (when a plugin is asked). Protocols of things that live
in torch say so; the core itself never imports it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from pluto_core.arrays import SampleSpec
from pluto_core.errors import Reason, SampleError
from pluto_core.filters import ScenarioFilter
from pluto_core.jobs import Batch, Evaluated, Identity, SampleBatch, StepResult, TrainingJob
from pluto_core.listing import Listing
from pluto_core.plan import Plan
from pluto_core.samples import Sample
from pluto_core.scene import ScenarioId, Scene, Window
from pluto_core.sketch import Sketch

Rows = npt.NDArray[np.int64]


@runtime_checkable
class ScenarioSource(Protocol):
    """Lists and loads scenarios. Must survive pickling, and then opens its files anew."""

    answers: frozenset[str]
    """Fields of `ScenarioFilter` that this source can apply or give columns for; others are refused, naming the field."""

    def list(self, wanted: ScenarioFilter) -> Listing:
        """Return the candidates: extraction and expansion, logs, types, tokens, maps and goals are applied, nothing else.

        Order: by log, then by time. A log that cannot be read is reported through `problems` and skipped.
        """
        ...

    def columns(self, listing: Listing, names: Sequence[str], wanted: ScenarioFilter) -> Mapping[str, npt.NDArray[Any]]:
        """Return one column of answers for each filter field in `names`.

        `ego_displacement_minimum_m`: metres driven. `ego_start_speed_threshold`, `ego_stop_speed_threshold`: whether the
        speed crosses it. `ego_route_radius`, `fraction_in_token_set_threshold`: whether the scenario satisfies it.
        """
        ...

    def load(self, scenario: ScenarioId, window: Window) -> Scene:
        """Return one scene.

        Raises:
            SampleError: The scenario cannot be read; with its reason.
        """
        ...

    def load_many(self, scenarios: Sequence[ScenarioId], window: Window) -> Iterator[Scene | SampleError]:
        """Yield the scenes of scenarios of one log, in order; in place of one that cannot be read, its error."""
        ...

    def identity(self) -> Identity:
        """Return what the source is."""
        ...

    def problems(self) -> Sequence[tuple[str, Reason, str]]:
        """Return (log, reason, detail) of every log that was refused so far."""
        ...


@runtime_checkable
class LogLister(Protocol):
    """What a source may offer besides: the names of its logs, so that several workers list them side by side."""

    def logs(self) -> Sequence[str]:
        """Return the names of all logs in the order of `list`, which takes any of them as `log_names`."""
        ...


@runtime_checkable
class SceneBuilder(Protocol):
    """Turns a scene into arrays: the kinds `features` and `targets`. Pure: no state between scenes."""

    version: str
    """Raised whenever the output changes for the same input; part of the cache's hard fingerprint."""
    window: Window
    """The span that `build` needs; it is given exactly that, whatever other builders ask for."""
    spec: SampleSpec

    def build(self, scene: Scene) -> Sample:
        """Return the arrays that `spec` describes.

        Raises:
            SampleError: The scene gives no valid sample; with its reason.
        """
        ...


@runtime_checkable
class Sketcher(Protocol):
    """What a builder may offer besides: a drawing of its samples."""

    def sketch(self, sample: Mapping[str, npt.NDArray[Any]]) -> Sketch:
        """Return what to draw of one sample (unpadded)."""
        ...


@runtime_checkable
class SampleChecker(Protocol):
    """What a builder may offer besides: proof of what a spec cannot say, for stored samples.

    It is asked where samples are read with `loader.verify`, and by `pluto cache verify`; `build` refuses such samples itself.
    """

    def check(self, sample: Mapping[str, npt.NDArray[Any]]) -> None:
        """Prove that a sample, in the dtypes at rest, is one that `build` could have returned.

        Raises:
            SampleError: It is not; with its reason.
        """
        ...


class ShardWriter(Protocol):
    """A shard being written; nobody else touches it."""

    def put(self, key: bytes, value: bytes) -> None:
        """Store a value. After a SIGKILL, values put before are there, or are noticed to be missing.

        Raises:
            OSError: The disk is full or gone; what was put before stays readable.
        """
        ...

    def seal(self) -> None:
        """Make everything durable and close; the shard can then be opened, moved and copied."""
        ...


class ShardReader(Protocol):
    """A sealed (or rescued) shard."""

    def keys(self) -> Iterable[bytes]:
        """Return all keys, ascending."""
        ...

    def get(self, key: bytes) -> bytes:
        """Return a value that stays valid whatever happens to the shard.

        Raises:
            KeyError: There is no such key.
        """
        ...

    def get_many(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return values in the order of `keys`; faster than one by one.

        Raises:
            KeyError: One of the keys is missing.
        """
        ...

    def close(self) -> None:
        """Let go of files; a second call does nothing."""
        ...


@runtime_checkable
class ShardStore(Protocol):
    """The kind `caches`: how one shard is stored. Folder, index, codec and resume belong to the core."""

    shared: bool
    """Whether other processes can open a shard."""
    suffix: str
    """File name ending of a shard, such as `.lmdb`; empty for stores without files."""

    def create(self, path: Path) -> ShardWriter:
        """Return a writer of a new shard.

        Raises:
            FileExistsError: There is something at `path`.
        """
        ...

    def open(self, path: Path) -> ShardReader:
        """Return a reader of a shard, sealed or left behind by a killed writer.

        Raises:
            PlutoError: It is no shard of this store, or damaged beyond reading.
        """
        ...


@runtime_checkable
class ForeignCache(Protocol):
    """A cache that another program wrote, as `pluto cache import` reads it. Must survive pickling."""

    use: str
    """Name of the feature builder under which its samples are stored, and which experiments then name."""
    config: Any
    """That builder's config."""

    def list(self) -> Listing:
        """Return what the cache holds, by log."""
        ...

    def read(self, scenario: ScenarioId) -> Sample:
        """Return one sample, as the spec of the builder `use` describes it.

        Raises:
            SampleError: What is stored of it is damaged, or refused.
        """
        ...


class CacheImporter(Protocol):
    """What `pluto_cache_importers` names: knows the layout of another program's caches."""

    def open(self, path: Path) -> ForeignCache | None:
        """Return the cache in a folder; None: it is no such cache.

        Raises:
            PlutoError: It is one, and cannot be taken as the settings ask.
        """
        ...


@runtime_checkable
class Splitter(Protocol):
    """Divides a listing; a scenario may belong to no part, never to two."""

    def split(self, listing: Listing) -> Mapping[str, Rows]:
        """Return ascending row numbers for `train`, `val` and `test`; the same for any order of the listing."""
        ...


@runtime_checkable
class Augmentation(Protocol):
    """Makes variants of a sample for training. Pure: all chance comes from `rng`, and two threads may call it at a time."""

    def output_spec(self, spec: SampleSpec) -> Mapping[str, SampleSpec]:
        """Return the roles it gives and the spec of each, from the spec of its input.

        Raises:
            PlutoError: The input lacks a key that the augmentation needs.
        """
        ...

    def augment(
        self, sample: Mapping[str, npt.NDArray[Any]], rng: np.random.Generator, epoch: int
    ) -> Mapping[str, Sample | None]:
        """Return the sample of every role (`anchor` always); None where it could not be varied. The input is not changed."""
        ...


class Session(Protocol):
    """One worker's life in a job: what it opened and writes."""

    def run(self, batch: Batch) -> Iterator[Any]:
        """Yield exactly one small picklable result a unit, in order, as soon as the unit is done.

        A `Lost` says that this process has too little memory for the unit: a worker may try it again in another process, or
        pass it on.
        """
        ...

    def __enter__(self) -> "Session":
        """Return self."""
        ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Finish what was written (seal the shard), also after an interrupt."""
        ...


class Job(Protocol):
    """What workers do; pickled once a worker."""

    def open(self, slot: int) -> Session:
        """Return a session; `slot` numbers the workers of this run from 0."""
        ...


@runtime_checkable
class Worker(Protocol):
    """Runs jobs: here, in threads, in processes, on a cluster."""

    count: int
    """How many sessions run at a time."""
    processes: bool
    """Whether sessions live in other processes (then shards must be `shared`)."""

    def run(self, job: Job, batches: Sequence[Batch]) -> Iterator[tuple[int, int, Any]]:
        """Yield (batch, unit, result or `Lost`) in any order, each unit once.

        Closing the iterator (or KeyboardInterrupt inside) lets every session finish its unit and exit; no process stays.
        """
        ...


class PlannerModel(Protocol):
    """The kind `models`: a `torch.nn.Module` that plans."""

    def forward(self, batch: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return outputs by name from a nested batch of tensors (`batch["agent"]["position"]`), padded rows masked."""
        ...

    def plan(self, outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> Plan:
        """Return the outputs as a plan, on the CPU, in float32 or wider."""
        ...


class Objective(Protocol):
    """The kind `objectives`: what training minimises."""

    def __call__(self, outputs: Mapping[str, Any], batch: Mapping[str, Any], *, training: bool) -> Mapping[str, Any]:
        """Return scalar tensors by name; `loss` is the one to minimise.

        Where there is an augmentation, `batch["role"]` holds the role of every row (0 anchor, then in the order of the
        augmentation's roles) and `batch["role_valid"]` whether the row could be varied.
        """
        ...


class OptimizerMaker(Protocol):
    """The kind `optimizers`."""

    def __call__(self, module: Any, *, batch_size: int) -> Any:
        """Return a torch optimizer over the module's parameters; `batch_size` is the global one, for those that scale by it."""
        ...


class ScheduleMaker(Protocol):
    """The kind `schedules`."""

    def __call__(self, optimizer: Any, *, epochs: int, steps_per_epoch: int) -> tuple[Any, str]:
        """Return a torch learning-rate scheduler and when to step it: `step` or `epoch`."""
        ...


class BatchSource(Protocol):
    """The batches of one part (train, val, test), as a function of seed, epoch, rank and position."""

    sample_spec: SampleSpec

    def batch_size(self, *, world: int = 1) -> int:
        """Return the samples in a full batch of each of `world` ranks."""
        ...

    def count(self, *, world: int = 1) -> int:
        """Return the number of batches of an epoch on each of `world` ranks."""
        ...

    def batches(self, epoch: int, *, rank: int = 0, world: int = 1, skip: int = 0) -> Iterator[SampleBatch]:
        """Yield the batches of an epoch from the one numbered `skip` on; no sample on two ranks, none left out."""
        ...


class RunLogger(Protocol):
    """The kind `loggers`: takes what the trainer's own library calls a logger."""

    def make(self, run_dir: Path, name: str) -> Any:
        """Return the logger for a run."""
        ...


class RunCallback(Protocol):
    """The kind `callbacks`."""

    def make(self, run_dir: Path) -> Any:
        """Return the callback for a run."""
        ...


class Trainer(Protocol):
    """The kind `trainers`: fits a model and evaluates it."""

    def fit(self, job: TrainingJob) -> StepResult:
        """Train, or go on from the run's last checkpoint; write checkpoints and logs under `job.run_dir`."""
        ...

    def evaluate(self, job: TrainingJob, part: str, checkpoint: Path | None) -> Iterator[Evaluated]:
        """Plan for every sample of a part with the weights of a checkpoint (None: untrained, as `fit` would begin).

        Needs the arrays `truth/trajectory`, `truth/valid`, `truth/speed` and `truth/acceleration` (target `ego_trajectory`).
        """
        ...
