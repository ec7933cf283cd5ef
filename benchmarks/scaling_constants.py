"""The constants of `scaling.py`: what one and two processes of this machine do."""

import datetime as dt
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs
from cache import fill, resume
from workers import Step, best, run_row

from pluto_basics.workers.processes import Processes
from pluto_core import machine
from pluto_core.component import Context
from pluto_core.experiment import read
from pluto_core.filters import ScenarioFilter
from pluto_core.jobs import Batch
from pluto_core.pipeline.selection import select
from pluto_core.pipeline.session import Done
from pluto_core.run import loading
from pluto_core.run.workspace import Workspace
from pluto_nuplan.config import NuPlanConfig
from pluto_nuplan.source import make
from pluto_nuplan.synth.dataset import write_dataset

WAYS = (("default", False), ("raw", False), ("default", True), ("raw", True))
"""Codec profile, and whether samples are varied."""
_DISK_MB = 256
_FRAMES_S = 20.0
"""Frames a second of a log, each of which may be a scenario."""


@attrs.frozen(kw_only=True)
class Loading:
    """What loading processes give."""

    one: float
    """Samples a second of one process."""
    two: float
    sample_kb: float
    """Of a stored sample."""
    row_mb: float
    """Of a batch, a sample; variants included."""


@attrs.frozen(kw_only=True)
class Constants:
    """What was measured, and where."""

    taken: str
    machine: Mapping[str, str]
    rate: float
    """Scenarios a second of one process."""
    rate_two: float
    """Of two at once."""
    start_s: float
    """From the start of the step to the first result."""
    driver_s: float
    """Processor time of the driver for one result."""
    scenario_kb: float
    """Written for one."""
    worker_mb: float
    """Private memory of a worker."""
    shared_mb: float
    """What workers map together: the map."""
    driver_mb: float
    """Memory of the driver, without what grows with the number of scenarios."""
    scenario_bytes: float
    """Memory of the driver for one scenario."""
    join_s: float
    """Processor time of the driver for one scenario that is in the cache already: listing, index, what is missing."""
    log_s: float
    """Listing of one log, whatever its length."""
    frame_s: float
    """Listing of one frame."""
    disk_mb_s: float
    """Written and synced."""
    copy_gb_s: float
    """Copied by one core from memory to memory."""
    loading: Mapping[str, Loading]
    """By `profile` or `profile, varied`."""

    @property
    def efficiency(self) -> float:
        """Return what is left of one process where two work."""
        return self.rate_two / self.rate / 2

    @classmethod
    def load(cls, path: Path) -> "Constants":
        """Return what `save` wrote."""
        told = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**told, "loading": {way: Loading(**one) for way, one in told["loading"].items()}})

    def save(self, path: Path) -> None:
        """Write all as one JSON object."""
        path.write_text(json.dumps(attrs.asdict(self), indent=2) + "\n", encoding="utf-8")


def measure(root: Path | None, scenarios: int, rounds: int) -> Constants:
    """Return the constants of this machine.

    Args:
        root: A folder with `nuplan-v1.1` and `maps`; None: a synthetic city that is written first.
        scenarios: Of a cache step.
        rounds: How often cache steps and loaders are measured.
    """
    with tempfile.TemporaryDirectory(prefix="pluto-scaling-") as name:
        folder = Path(name)
        if root is None:
            root = write_dataset(folder / "city", seed=1, grid=(12, 12), logs=8, seconds=40.0, density=2.8).root
        run_row(folder / "warm", root, "sequential", 1)
        one, two = (_best(folder, root, row, scenarios, rounds) for row in ("processes, 1", "processes, 2"))
        run_row(folder / "raw", root, "sequential", scenarios, "raw")
        caches = {"default": folder / "processes, 2-0" / "cache", "raw": folder / "raw" / "sequential-0" / "cache"}
        loaders = {_name(way): _loading(folder, caches[way[0]], way, rounds) for way in WAYS}
        log_s, frame_s = _listing(folder)
        join_s, scenario_bytes, driver_mb = _joining(folder)
        return Constants(
            taken=dt.datetime.now(dt.timezone.utc).date().isoformat(),
            machine=machine.describe(),
            rate=one.rate,
            rate_two=two.rate,
            start_s=two.first_s,
            driver_s=_driver_s(),
            scenario_kb=two.bytes / two.scenarios / 1e3,
            worker_mb=two.private_mb,
            shared_mb=max(two.worker_mb - two.private_mb, 0.0),
            driver_mb=driver_mb,
            scenario_bytes=scenario_bytes,
            join_s=join_s,
            log_s=log_s,
            frame_s=frame_s,
            disk_mb_s=max(_disk_mb_s(folder) for _ in range(3)),
            copy_gb_s=max(copied for _, copied in loaders.values()),
            loading={way: found for way, (found, _) in loaders.items()},
        )


def _best(folder: Path, root: Path, row: str, scenarios: int, rounds: int) -> Step:
    return best([run_row(folder, root, row, scenarios) for _ in range(rounds)])


def _name(way: tuple[str, bool]) -> str:
    return way[0] + (", varied" if way[1] else "")


def _loading(folder: Path, cache: Path, way: tuple[str, bool], rounds: int) -> tuple[Loading, float]:
    """Return what loading from a cache gives, and the gigabytes a second of plain copying."""
    profile, varied = way
    text = [
        "name = 'loading'",
        "steps = ['cache']",
        f"output_dir = {json.dumps(str(folder / 'runs'))}",
        "[splitter]\nuse = 'one_part'\npart = 'train'",
    ]
    text += ["[cache]", f"path = {json.dumps(str(cache))}", "only = true", f"profile = {json.dumps(profile)}"]
    text += ["[[features]]\nuse = 'pluto'", *(["[[augmentations]]\nuse = 'contrastive'"] if varied else [])]
    file = folder / "loading.toml"
    file.write_text("\n".join(text) + "\n", encoding="utf-8")
    found = []
    for workers in (1, 2):
        workspace = Workspace(read(file, environment={}), lambda _text: None)
        found.append(loading.measure(workspace, "train", workers=workers, rounds=rounds, seconds=1.0))
    size = workspace.experiment.loader.batch_size
    stored = sum(path.stat().st_blocks * 512 for path in cache.rglob("*.lmdb")) / len(workspace.stored)
    row_bytes = found[0].more["batch_bytes"] / size
    copied = max(figure.more["copied_samples_per_s"] for figure in found) * row_bytes / 1e9
    rates = [figure.median for figure in found]
    return Loading(one=rates[0], two=rates[1], sample_kb=stored / 1e3, row_mb=row_bytes / 1e6), copied


def _listing(folder: Path) -> tuple[float, float]:
    """Return a processor's seconds a log and a frame, from logs of two lengths."""
    took: list[tuple[float, float]] = []
    for seconds, logs in ((20.0, 6), (120.0, 6)):
        root = write_dataset(folder / f"logs-{seconds:.0f}", logs=logs, seconds=seconds, seed=2, density=0.3).root
        config = NuPlanConfig(data_root=str(root / "nuplan-v1.1"), map_root=str(root / "maps"))
        fastest = float("inf")
        for _ in range(3):
            source = make(config, Context())
            began = time.process_time()
            select(source, ScenarioFilter(), 0)
            fastest = min(fastest, time.process_time() - began)
        took.append((seconds * _FRAMES_S, fastest / logs))
    (few, short_s), (many, long_s) = took
    frame_s = max(long_s - short_s, 0.0) / (many - few)
    return max(short_s - few * frame_s, 0.0), frame_s


def _joining(folder: Path) -> tuple[float, float, float]:
    """Return seconds and bytes of the driver a scenario, and its megabytes without scenarios."""
    told: list[tuple[int, Mapping[str, float]]] = []
    for count in (10_000, 100_000):
        place = folder / f"full-{count}"
        fill(place, count)
        told.append((count, resume(place)))
    (few, small), (many, large) = told
    grown = 1e6 * max(large["mb"] - small["mb"], 0.0) / (many - few)
    return max(large["seconds"] - small["seconds"], 0.0) / (many - few), grown, small["mb"] - few * grown / 1e6


@attrs.frozen
class Idle:
    """A job, and its sessions, that does nothing."""

    def open(self, slot: int) -> "Idle":
        """Return a session."""
        del slot
        return self

    def run(self, batch: Batch) -> Iterator[Done]:
        """Yield a result a unit."""
        return (Done(0) for _ in batch.units)

    def __enter__(self) -> "Idle":
        """Return self."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Do nothing."""


def _driver_s() -> float:
    """Return the processor's time that the driver of two processes needs for one result."""
    batches: Sequence[Batch] = [Batch(group=str(number), units=tuple(range(256))) for number in range(80)]
    results = Processes(2).run(Idle(), batches)
    next(results)
    before, count = time.thread_time(), sum(1 for _ in results)
    return (time.thread_time() - before) / count


def _disk_mb_s(folder: Path) -> float:
    """Return how fast the disk of a folder takes a file and its sync."""
    block = os.urandom(1 << 20)
    began = time.perf_counter()
    with (folder / "block").open("wb") as file:
        for _ in range(_DISK_MB):
            file.write(block)
        os.fsync(file.fileno())
    (folder / "block").unlink()
    return _DISK_MB * (1 << 20) / 1e6 / (time.perf_counter() - began)
