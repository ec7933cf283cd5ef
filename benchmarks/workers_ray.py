"""What Ray gives on one machine, beside `processes`: scenarios a second of the cache step, start-up, memory.

    python benchmarks/workers_ray.py                   # writes a city of 8 logs first; 5 minutes on two free cores
    python benchmarks/workers_ray.py --scenarios 96 --logs 2 --grid 3x3 --density 1 --rounds 1    # a look
    python benchmarks/workers_ray.py --data ../shared/data/golden/town

Rows, rounds and rates are those of `workers.py`: each row is a cache step in a program of its own, whose rate is taken between
the first result and the last one. What Ray needs to start its cluster stands beside, and what its own processes (raylet …)
hold. Results come in spells of half a second, so a rate needs some hundred of them.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs
from workers import Timed, digest_of, experiment

from pluto_core.experiment import read
from pluto_core.pipeline.caching import cache_scenarios
from pluto_core.run.workspace import Workspace
from pluto_nuplan.synth.dataset import write_dataset

ROWS: Mapping[str, Mapping[str, object]] = {
    "processes, 2": {"use": "processes", "count": 2},
    "ray, 1": {"use": "ray", "count": 1},
    "ray, 2": {"use": "ray", "count": 2},
    "ray, 2, shared = false": {"use": "ray", "count": 2, "shared": False},
}


@attrs.frozen(kw_only=True)
class Step:
    """What one cache step did."""

    first_s: float
    """From the start of the worker to its first result."""
    rate: float
    """Scenarios a second, between the first result and the last one."""
    end_s: float
    """From the last result to the end of the worker: sealing, fetching, ending the cluster."""
    worker_mb: float
    """Most memory of its own that a process with a session held."""
    other_mb: float
    """Most that the other processes below this one held together."""
    digest: str


class Memory(threading.Thread):
    """Watches the processes below this one."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        super().__init__(daemon=True)
        self.worker_mb = self.other_mb = 0.0
        self.over = threading.Event()

    def run(self) -> None:
        """Look twice a second."""
        while not self.over.wait(0.5):
            other = 0.0
            for place in below(os.getpid()):
                with contextlib.suppress(OSError, StopIteration):  # it ended just now
                    held, command = own_mb(place), (place / "cmdline").read_bytes()
                    if b"ray::Serving" in command or b"multiprocessing-fork" in command:
                        self.worker_mb = max(self.worker_mb, held)
                    else:
                        other += held
            self.other_mb = max(self.other_mb, other)


def below(process: int) -> Iterator[Path]:
    """Yield the folders in /proc of a process's children, and of theirs."""
    children: dict[int, list[Path]] = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((place / "stat").read_text("ascii", "replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(place)
    wanted = [process]
    while wanted:
        found = children.get(wanted.pop(), [])
        wanted += [int(place.name) for place in found]
        yield from found


def own_mb(place: Path) -> float:
    """Return the memory that a process holds for itself."""
    lines = (place / "status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) * 1024 / 1e6


def measure(file: Path) -> Step:
    """Do the cache step of an experiment in this process."""
    workspace = Workspace(read(file, environment={}), lambda _text: None)
    assert workspace.source_recipe is not None
    listing = workspace.listing
    memory = Memory()
    memory.start()
    worker = Timed(workspace.experiment.make("worker", workspace.context()))
    report = cache_scenarios(
        listing=listing,
        tags=workspace.builders.tags,
        make_source=workspace.source_recipe,
        make_builders=workspace.builders,
        folder=workspace.folder,
        worker=worker,
    )
    memory.over.set()
    memory.join()
    return Step(
        first_s=worker.first - worker.began,
        rate=(report.done - 1) / (worker.last - worker.first),
        end_s=worker.began + report.seconds - worker.last,
        worker_mb=memory.worker_mb,
        other_mb=memory.other_mb,
        digest=digest_of(workspace),
    )


def run_row(folder: Path, root: Path, row: str, scenarios: int) -> Step:
    """Do the step of a row in a program of its own."""
    file = experiment(folder / "row", root, ROWS[row], scenarios)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--measure", str(file)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
    return Step(**json.loads(done.stdout.splitlines()[-1]))


def print_rows(steps: Mapping[str, Sequence[Step]]) -> None:
    """Print the table."""
    columns = ("worker", "scenarios/s", "median", "first result s", "end s", "MB a worker", "MB of Ray's own", "equal")
    print(f"\n| {' | '.join(columns)} |\n|---|--:|--:|--:|--:|--:|--:|---|")
    expected = steps["processes, 2"][0].digest
    for row, several in steps.items():
        cells = (
            row,
            f"{max(one.rate for one in several):.2f}",
            f"{statistics.median(one.rate for one in several):.2f}",
            f"{min(one.first_s for one in several):.1f}",
            f"{min(one.end_s for one in several):.1f}",
            f"{max(one.worker_mb for one in several):.0f}",
            f"{max(one.other_mb for one in several):.0f}" if row.startswith("ray") else "-",
            "yes" if all(one.digest == expected for one in several) else "NO",
        )
        print(f"| {' | '.join(cells)} |")


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
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(attrs.asdict(measure(options.measure))))
        return
    with tempfile.TemporaryDirectory() as name:
        folder, (columns, rows) = Path(name), map(int, options.grid.split("x"))
        root = options.data.resolve() if options.data else None
        if root is None:
            sizes = {"logs": options.logs, "seconds": options.seconds, "density": options.density}
            root = write_dataset(folder / "city", seed=1, grid=(columns, rows), **sizes).root
        run_row(folder, root, "processes, 2", 2)  # builds the map
        steps: dict[str, list[Step]] = {row: [] for row in ROWS}
        for _ in range(options.rounds):
            for row, several in steps.items():
                several.append(run_row(folder, root, row, options.scenarios))
        print_rows(steps)


if __name__ == "__main__":
    main()
