"""What workers give: scenarios a second of the cache step, memory, start-up, equality. `scaling.py` says what follows from it.

    python benchmarks/workers.py                       # writes a city of 8 logs first; 6 minutes on two free cores
    python benchmarks/workers.py --scenarios 96 --logs 2 --grid 3x3 --density 1    # a look, one minute
    python benchmarks/workers.py --data ../shared/data/golden/town

Every row is a cache step of PLUTO's features in a program of its own, over the same scenarios and into an empty cache. What it
does a second is taken between the first result and the last one, so that starting, which stands beside it, does not dilute it.
The row `two programs` is what the machine can give: two sequential steps at once that share nothing, each of half the logs.
Rounds alternate between the rows, and the best of each is shown: on a machine that others use, they only take away. The
processor's time a scenario is the measure that depends on them least.
"""

import argparse
import contextlib
import hashlib
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from pluto_core.experiment import read
from pluto_core.jobs import Batch
from pluto_core.pipeline.caching import cache_scenarios
from pluto_core.pipeline.parts import Part
from pluto_core.protocols import Job, Worker
from pluto_core.run.workspace import Workspace
from pluto_nuplan.synth.dataset import write_dataset

ROWS: Mapping[str, tuple[Mapping[str, object], tuple[str, ...]]] = {
    "sequential": ({"use": "sequential"}, ("",)),
    "threads, 2": ({"use": "threads", "count": 2}, ("",)),
    "processes, 1": ({"use": "processes", "count": 1}, ("",)),
    "processes, 2": ({"use": "processes", "count": 2}, ("",)),
    "two programs": ({"use": "sequential"}, ("0/2", "1/2")),
}
"""The worker of each row, and the parts that run at the same time."""


@attrs.frozen(kw_only=True)
class Step:
    """What one cache step did, in a program of its own."""

    scenarios: int
    logs: int
    bytes: int
    listing_s: float
    first_s: float
    """From the start of the worker to its first result."""
    rest_s: float
    """From the first result to the last one."""
    end_s: float
    """From the last result to the end: sealing, index."""
    processor_s: float
    """Of all processes, between the first result and the last one."""
    worker_mb: float
    """Most memory that a process with a session held, pages of mapped files included."""
    private_mb: float
    """Most of it that was its own."""
    driver_mb: float
    digest: str
    """Of all keys and values."""

    @property
    def processor_ms(self) -> float:
        """Return milliseconds of a processor a scenario."""
        return 1e3 * self.processor_s / (self.scenarios - 1)

    @property
    def rate(self) -> float:
        """Return scenarios a second."""
        return (self.scenarios - 1) / self.rest_s


class Timed:
    """A worker that notes when results come."""

    def __init__(self, worker: Worker) -> None:
        """Take the worker."""
        self._worker = worker
        self.count, self.processes = worker.count, worker.processes
        self.began = self.first = self.last = self.spent_first = self.spent_last = 0.0

    def run(self, job: Job, batches: Sequence[Batch]) -> Iterator[tuple[int, int, Any]]:
        """Yield what the worker yields."""
        self.began, left = time.perf_counter(), sum(len(batch.units) for batch in batches)
        for result in self._worker.run(job, batches):
            self.last = time.perf_counter()
            if not self.first:
                self.first, self.spent_first = self.last, spent_s()
            left -= 1
            if not left:
                self.spent_last = spent_s()
            yield result


def spent_s() -> float:
    """Return the processor's time of this process and of its children that live."""
    total = time.process_time()
    for child in multiprocessing.active_children():
        fields = Path(f"/proc/{child.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def status_mb(process: int | None, name: str) -> float:
    """Return a field of what the system tells about the memory of a process."""
    lines = Path(f"/proc/{process or 'self'}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024 / 1e6


class Memory(threading.Thread):
    """Watches the processes of this program, or this one alone."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        super().__init__(daemon=True)
        self.peak_mb = self.private_mb = 0.0
        self.over = threading.Event()

    def run(self) -> None:
        """Look ten times a second."""
        while not self.over.wait(0.1):
            for child in multiprocessing.active_children() or [multiprocessing.current_process()]:
                with contextlib.suppress(OSError, StopIteration):  # it ended just now
                    self.peak_mb = max(self.peak_mb, status_mb(child.pid, "VmHWM"))
                    self.private_mb = max(self.private_mb, status_mb(child.pid, "RssAnon"))


def measure(file: Path, part: str) -> Step:
    """Do the cache step of an experiment in this process."""
    workspace = Workspace(read(file, environment={}), lambda _text: None)
    assert workspace.source_recipe is not None
    before = time.perf_counter()
    listing = workspace.listing
    listing_s = time.perf_counter() - before
    listing = listing.take(Part.read(part).rows(listing)) if part else listing
    worker, memory = Timed(workspace.experiment.make("worker", workspace.context())), Memory()
    memory.start()
    report = cache_scenarios(
        listing=listing,
        tags=workspace.builders.tags,
        make_source=workspace.source_recipe,
        make_builders=workspace.builders,
        folder=workspace.folder,
        worker=worker,
        profile=workspace.experiment.cache.profile,
    )
    end = time.perf_counter()
    memory.over.set()
    memory.join()
    return Step(
        scenarios=report.done + sum(report.failed.values()),
        logs=len(set(listing.logs.codes.tolist())),
        bytes=report.bytes,
        listing_s=listing_s,
        first_s=worker.first - worker.began,
        rest_s=worker.last - worker.first,
        end_s=end - worker.last,
        processor_s=worker.spent_last - worker.spent_first,
        worker_mb=memory.peak_mb,
        private_mb=memory.private_mb,
        driver_mb=status_mb(None, "VmHWM"),
        digest=digest_of(workspace),
    )


def digest_of(workspace: Workspace) -> str:
    """Return a hash of every key and value of a cache, whatever shards they are in."""
    values: dict[bytes, bytes] = {}
    for stamp in workspace.folder.shards.sealed():
        reader = workspace.folder.shards.open(stamp.name)
        for key in list(reader.keys()):
            values[key] = hashlib.blake2b(reader.get(key)).digest()
        reader.close()
    return hashlib.blake2b(b"".join(key + values[key] for key in sorted(values)), digest_size=8).hexdigest()


def experiment(folder: Path, root: Path, worker: Mapping[str, object], scenarios: int, profile: str = "default") -> Path:
    """Write an experiment into an empty folder."""
    sections: dict[str, Mapping[str, object]] = {
        "source": {"use": "nuplan", "data_root": str(root / "nuplan-v1.1"), "map_root": str(root / "maps")},
        "filter": {"remove_invalid_goals": True, "limit_total_scenarios": scenarios},
        "worker": worker,
        "cache": {"path": str(folder / "cache"), "profile": profile},
    }
    text = ["name = 'workers'", "steps = ['cache']", f"output_dir = {json.dumps(str(folder / 'runs'))}"]
    for name, values in sections.items():
        text += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "run.toml").write_text("\n".join([*text, "[[features]]", "use = 'pluto'"]) + "\n", encoding="utf-8")
    return folder / "run.toml"


def joined(steps: Sequence[Step], wall_s: float) -> Step:
    """Return steps that ran at the same time as one."""
    if len(steps) == 1:
        return steps[0]
    total = sum(step.scenarios for step in steps)
    return attrs.evolve(
        steps[0],
        scenarios=total,
        rest_s=(total - 1) / sum(step.rate for step in steps),
        processor_s=sum(step.processor_s for step in steps),
        end_s=wall_s,
        digest="".join(sorted(step.digest for step in steps)),
    )


def run_row(folder: Path, root: Path, row: str, scenarios: int, profile: str = "default") -> Step:
    """Do the step of a row, its parts in as many programs at once."""
    worker, parts = ROWS[row]
    running = []
    for number, part in enumerate(parts):
        file = experiment(folder / f"{row}-{number}", root, worker, scenarios, profile)
        command = [sys.executable, __file__, "--measure", str(file), "--part", part]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
    began = time.perf_counter()
    said = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise SystemExit(f"a cache step of {row} failed")
    return joined([Step(**json.loads(text)) for text in said], time.perf_counter() - began)


def best(steps: Sequence[Step]) -> Step:
    """Return the figures that were disturbed least."""
    fastest = max(steps, key=lambda step: step.rate)
    low = {name: min(getattr(step, name) for step in steps) for name in ("first_s", "processor_s", "listing_s")}
    return attrs.evolve(fastest, **low)


def print_rows(steps: Mapping[str, Sequence[Step]]) -> None:
    """Print the table of workers, and the ratios."""
    columns = (
        "worker",
        "scenarios/s",
        "median",
        "processor ms a scenario",
        "first result s",
        "MB a worker (its own)",
        "MB driver",
    )
    print(f"\n| {' | '.join(columns)} | equal |\n|---|--:|--:|--:|--:|--:|--:|---|")
    expected = steps["sequential"][0].digest
    for row, several in steps.items():
        step = best(several)
        shared = len(ROWS[row][1]) > 1
        cells = (
            row,
            f"{step.rate:.2f}",
            f"{statistics.median(one.rate for one in several):.2f}",
            f"{step.processor_ms:.1f}",
            f"{step.first_s:.1f}",
            f"{step.worker_mb:.0f} ({step.private_mb:.0f})",
            f"{step.driver_mb:.0f}" if ROWS[row][0]["use"] == "processes" else "-",
            "-" if shared else "yes" if all(one.digest == expected for one in several) else "NO",
        )
        print(f"| {' | '.join(cells)} |")
    one, two, machine, alone = (best(steps[row]) for row in ("processes, 1", "processes, 2", "two programs", "sequential"))
    by_time, machine_by_time = 2 * one.processor_ms / two.processor_ms, 2 * alone.processor_ms / machine.processor_ms
    print("\n| ratio | times | from the processor's time |\n|---|--:|--:|")
    print(f"| two processes / one | {two.rate / one.rate:.2f} | {by_time:.2f} |")
    print(f"| two programs / sequential | {machine.rate / alone.rate:.2f} | {machine_by_time:.2f} |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder that holds nuplan-v1.1 and maps, instead of a synthetic city")
    parser.add_argument("--scenarios", type=int, default=480, help="how many, spread evenly over the logs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--logs", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=40.0, help="length of a synthetic log")
    parser.add_argument("--grid", default="12x12", help="crossroads of the synthetic city")
    parser.add_argument("--density", type=float, default=2.8, help="traffic of the synthetic city")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--part", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(attrs.asdict(measure(options.measure, options.part))))
        return
    with tempfile.TemporaryDirectory() as name:
        folder, (columns, rows) = Path(name), map(int, options.grid.split("x"))
        root = options.data.resolve() if options.data else None
        if root is None:
            sizes = {"logs": options.logs, "seconds": options.seconds, "density": options.density}
            root = write_dataset(folder / "city", seed=1, grid=(columns, rows), **sizes).root
        run_row(folder / "warm", root, "sequential", 1)
        steps: dict[str, list[Step]] = {row: [] for row in ROWS}
        for _ in range(options.rounds):
            for row, several in steps.items():
                several.append(run_row(folder, root, row, options.scenarios))
        one = steps["sequential"][0]
        print(f"{one.scenarios} scenarios of {one.logs} logs; listing {1e3 * one.listing_s / one.logs:.0f} ms a log.")
        print_rows(steps)


if __name__ == "__main__":
    main()
