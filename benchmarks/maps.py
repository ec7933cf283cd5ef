"""nuPlan maps: building from the GeoPackage, opening cold and warm, memory, and every query, per call.

Measures the recorded town (`--data`, by default ../shared/data/golden/town beside the repository, left out where there is none)
and a large synthetic city, which `--city DIR` names or which is made for the occasion (20 x 20 crossroads: a minute):

    python benchmarks/maps.py

Build and opens each run in a process of their own, so that nothing is warm by accident; "cold" has dropped the built file from
the page cache (`posix_fadvise`). Prints one markdown table for building and opening, and one for the queries.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from pluto_core.maps import Layer, MapView
from pluto_nuplan.maps import MapFile, find_map
from pluto_nuplan.maps.store import open_built
from pluto_nuplan.synth.dataset import write_dataset

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "data" / "golden" / "town"
LOCATION = "us-nv-las-vegas-strip"
RADIUS_M = 120.0
LAYERS = (Layer.LANE, Layer.LANE_CONNECTOR, Layer.CROSSWALK)
"""What PLUTO's features ask for around the ego vehicle."""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=GOLDEN, help="A dataset with the town's maps.")
    parser.add_argument("--city", type=Path, help="A large dataset; where not given, one is made.")
    parser.add_argument("--grid", type=int, nargs=2, default=(20, 20), help="Crossroads of the city that is made.")
    parser.add_argument("--repeats", type=int, default=5, help="Processes of which the median open is told.")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.child:
        task, root, home = wanted.child
        print(json.dumps(TASKS[task](find_map(Path(root), LOCATION), Path(home))))
        return
    with tempfile.TemporaryDirectory() as scratch:
        roots = {"town": wanted.data / "maps"} if (wanted.data / "maps").is_dir() else {}
        roots["city"] = _city(wanted.city, tuple(wanted.grid), Path(scratch)) / "maps"
        measured = {name: measure(root, Path(scratch) / f"home-{name}", wanted.repeats) for name, root in roots.items()}
    _print(measured)


def _city(given: Path | None, grid: tuple[int, int], scratch: Path) -> Path:
    if given is not None:
        return given
    root = scratch / "city"
    write_dataset(root, logs=1, seconds=4.0, grid=grid, density=0.1)
    return root


def measure(root: Path, home: Path, repeats: int) -> dict[str, Any]:
    """Return every figure of one map."""
    file = find_map(root, LOCATION)

    def child(task: str) -> dict[str, Any]:
        command = [sys.executable, __file__, "--child", task, str(root), str(home)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    figures = {"GeoPackage, MB": file.path.stat().st_size / 1e6} | child("build")
    (built,) = (home / "maps").glob("*.map")
    cold = []
    for _ in range(repeats):
        _drop(built)
        cold.append(child("open"))
    warm = [child("open") for _ in range(repeats)]
    figures |= {
        "built file, MB": built.stat().st_size / 1e6,
        "open, cold, ms": _median(cold, "open_ms"),
        "open and first query, cold, ms": _median(cold, "first_ms"),
        "open, warm, ms": _median(warm, "open_ms"),
        "open and first query, warm, ms": _median(warm, "first_ms"),
        "private memory of a process that has asked, MB": _median(warm, "private_mb"),
        "shared with other processes, MB": _median(warm, "shared_mb"),
    }
    return {"figures": figures, "queries": child("query")}


def _median(rows: list[dict[str, Any]], name: str) -> float:
    return statistics.median(row[name] for row in rows)


def _drop(path: Path) -> None:
    """Drop a file from the page cache."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def build(file: MapFile, home: Path) -> dict[str, Any]:
    """Return how long it takes to build and store a map, and what it holds."""
    before_mb = _status_mb("VmRSS")
    began = time.perf_counter()
    view = open_built(file, home)
    seconds = time.perf_counter() - began
    return {
        "lanes and connectors": float(len(view.lanes)),
        "other objects": float(len(view.blocks) + sum(map(len, view.areas.values()))),
        "build and store, s": seconds,
        "memory while building, MB": _status_mb("VmHWM") - before_mb,
    }


def opening(file: MapFile, home: Path) -> dict[str, Any]:
    """Return how long opening takes, and how much memory is held after a round of queries."""
    before = _memory_mb()
    began = time.perf_counter()
    view = open_built(file, home)
    opened = time.perf_counter()
    _proximal(view, view.lanes.baselines.points[0])
    asked = time.perf_counter()
    for place in _places(view, 200):
        _proximal(view, place)
    private_mb, shared_mb = (after - earlier for after, earlier in zip(_memory_mb(), before, strict=True))
    return {
        "open_ms": (opened - began) * 1e3,
        "first_ms": (asked - began) * 1e3,
        "private_mb": private_mb,
        "shared_mb": shared_mb,
    }


def _status_mb(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024 / 1e6


def _memory_mb() -> tuple[float, float]:
    """Return private and shareable resident memory; anonymous pages are private, pages of mapped files shareable."""
    return _status_mb("RssAnon"), _status_mb("RssFile")


def _places(view: MapView, count: int) -> np.ndarray:
    """Return places a few metres off baselines, over the whole map."""
    rng = np.random.default_rng(0)
    points = view.lanes.baselines.points
    places: np.ndarray = points[rng.integers(0, len(points), count)] + rng.normal(0, 5, (count, 2))
    return places


def _proximal(view: MapView, place: np.ndarray) -> None:
    for layer in LAYERS:
        view.near(layer, place, RADIUS_M)


@attrs.frozen
class _Drive:
    """What the queries are asked with."""

    view: MapView
    places: np.ndarray
    rows: list[int]


def query(file: MapFile, home: Path) -> dict[str, float]:
    """Return microseconds a call of every query."""
    view = open_built(file, home)
    drive = _Drive(view, _places(view, 200), np.random.default_rng(1).integers(0, len(view.lanes), 200).tolist())
    return {name: _per_call_us(lambda i, ask=ask: ask(drive, i)) for name, ask in QUERIES.items()}


def _line(drive: _Drive, i: int) -> np.ndarray:
    return drive.view.lanes.baselines.line(drive.rows[i])


QUERIES: dict[str, Callable[[_Drive, int], Any]] = {
    "`near`: lanes, connectors and crosswalks at 120 m (three calls)": lambda d, i: _proximal(d.view, d.places[i]),
    "`near`: lanes at 120 m": lambda d, i: d.view.near(Layer.LANE, d.places[i], RADIUS_M),
    "`near`: connectors at 120 m": lambda d, i: d.view.near(Layer.LANE_CONNECTOR, d.places[i], RADIUS_M),
    "`near`: roadblocks at 120 m": lambda d, i: d.view.near(Layer.ROADBLOCK, d.places[i], RADIUS_M),
    "`near`: drivable area (intersections) at 120 m": lambda d, i: d.view.near(Layer.INTERSECTION, d.places[i], RADIUS_M),
    "`near`: all eleven layers at 120 m": lambda d, i: [d.view.near(layer, d.places[i], RADIUS_M) for layer in Layer],
    "`containing`: lanes, 1 point": lambda d, i: d.view.containing(Layer.LANE, d.places[i : i + 1]),
    "`containing`: roadblocks, 200 points over the whole map": lambda d, _: d.view.containing(Layer.ROADBLOCK, d.places),
    "`nearest`: lane": lambda d, i: d.view.nearest(Layer.LANE, d.places[i]),
    "`nearest`: crosswalk": lambda d, i: d.view.nearest(Layer.CROSSWALK, d.places[i]),
    "`row`: a lane by its id": lambda d, i: d.view.row(Layer.LANE, 1 + i),
    "`walk`: along one baseline": lambda d, i: d.view.walk(_line(d, i)),
    "`baselines.project`: 1 point": lambda d, i: d.view.lanes.baselines.project(d.rows[i], d.places[i : i + 1]),
    "`baselines.along`: 1 arc length": lambda d, i: d.view.lanes.baselines.along(d.rows[i], np.array([3.0])),
    "`baselines.curvature`: 1 arc length": lambda d, i: d.view.lanes.baselines.curvature(d.rows[i], np.array([3.0])),
    "`edges`: 21 points a line, of 100 lanes": lambda d, _: d.view.edges()[d.rows[:100]],
    "`neighbors`": lambda d, i: d.view.neighbors()[d.rows[i]],
    "`lanes.successors.row`": lambda d, i: d.view.lanes.successors.row(d.rows[i]),
}


def _per_call_us(ask: Callable[[int], Any], rounds: int = 5, calls: int = 200) -> float:
    """Return the time of a call: the best of some rounds over many places."""
    ask(0)
    spent = []
    for _ in range(rounds):
        began = time.perf_counter()
        for i in range(calls):
            ask(i)
        spent.append((time.perf_counter() - began) / calls)
    return min(spent) * 1e6


TASKS: dict[str, Callable[[MapFile, Path], dict[str, Any]]] = {"build": build, "open": opening, "query": query}


def _print(measured: dict[str, dict[str, Any]]) -> None:
    for title, key, digits in (("", "figures", ".3g"), ("query, us a call", "queries", ".3g")):
        print(f"| {title} | {' | '.join(measured)} |")
        print(f"|---|{'---:|' * len(measured)}")
        for name in next(iter(measured.values()))[key]:
            values = [one[key][name] for one in measured.values()]
            print(f"| {name} | {' | '.join(f'{value:,.0f}' if value >= 100 else f'{value:{digits}}' for value in values)} |")
        print()


if __name__ == "__main__":
    main()
