"""What PLUTO's features cost, from the log to the cache, a scenario and in milliseconds of processor time.

Three tables: every part of the way in one process (load, the modules of the features, check, encode, write; scenarios are
spread evenly over the logs and each part is amortised over its log); whole cache steps as `pluto run` does them, with 1 and 2
workers; the first scenario after the start of the process. Processor time is the measure, for it is the same on a machine
that others use too; wall time stands beside it. The first scenarios of a log are in all figures, the map's conversion is not.
Scenarios that give no sample (no reference line) are left out of the first table, and are in the second.

    python benchmarks/features.py --data ../shared/data/golden/town --reference-ms 250
    python benchmarks/features.py --synth --reference-ms 560

The first reads a folder that holds nuPlan's folders `nuplan-v1.1` and `maps`, the second writes a large synthetic city
(a minute or two) with about 95 boxes a frame. `--reference-ms` is what the reference stack needs to load and build.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import numpy as np

from pluto_core.component import Context
from pluto_core.errors import SampleError
from pluto_core.filters import ScenarioFilter
from pluto_core.pipeline import codec
from pluto_core.pipeline.selection import select
from pluto_core.pipeline.shards import RollingWriter, Shards
from pluto_core.samples import Sample, check
from pluto_core.scene import ScenarioId, Scene
from pluto_lmdb.shard import LmdbShards
from pluto_nuplan.config import NuPlanConfig
from pluto_nuplan.source import NuPlanSource
from pluto_nuplan.synth.dataset import write_dataset
from pluto_planner.config import PlutoFeaturesConfig
from pluto_planner.features import (
    PlutoFeatures,
    agents,
    builder,
    causal,
    cost_map,
    drivable,
    ego,
    ego_path,
    interaction,
    make,
    map_polygons,
    obstacles,
    reference_lines,
    route,
    static_objects,
    validity,
)

MODULES: Mapping[str, tuple[tuple[ModuleType, str], ...]] = {
    "ego": ((ego, "present"), (ego, "current_state")),
    "drivable ground": ((drivable, "around"),),
    "route correction": ((route, "corrected"),),
    "agents": ((agents, "nearest_tracks"), (agents, "build")),
    "static objects": ((static_objects, "select"), (static_objects, "build")),
    "map polygons": ((map_polygons, "nearby"), (map_polygons, "build")),
    "reference lines": ((reference_lines, "find"), (reference_lines, "build")),
    "ego path": ((ego_path, "ahead"),),
    "leading objects": ((obstacles, "leading"),),
    "causal labels": ((causal, "obeyed_future"), (causal, "build"), (causal, "free_path")),
    "interaction labels": ((interaction, "labels"),),
    "cost map: mask": ((cost_map, "drivable_mask"),),
    "cost map: distance": ((cost_map, "signed_distance"),),
    "normalisation": ((builder, "normalise"), (builder, "within_radius"), (builder, "without_padding")),
    "validity": ((validity, "require_reference_line"), (validity, "require_valid")),
}
"""The functions of each part, as the builder calls them."""
COST_MAP = ("cost map: mask", "cost map: distance")


@attrs.define
class Stopwatch:
    """Processor seconds by name."""

    spent_s: dict[str, float] = attrs.field(factory=lambda: defaultdict(float))

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, its time counted under a name."""

        def measured(*args: object, **options: object) -> object:
            began = time.process_time()
            try:
                return function(*args, **options)
            finally:
                self.spent_s[name] += time.process_time() - began

        return measured


@attrs.frozen(kw_only=True)
class World:
    """A dataset, and the scenarios that are measured."""

    data_root: Path
    map_root: Path
    source: NuPlanSource
    ids: list[ScenarioId]

    @classmethod
    def of(cls, root: Path, count: int) -> "World":
        """Return `count` scenarios spread evenly over the logs of a dataset, in the order of the logs."""
        config = NuPlanConfig(data_root=str(root / "nuplan-v1.1"), map_root=str(root / "maps"))
        source = NuPlanSource(config)
        chosen = select(source, ScenarioFilter(remove_invalid_goals=True, limit_total_scenarios=count), 0).listing
        ids = sorted(chosen.ids(), key=lambda one: (one.log, one.start_us))
        return cls(data_root=root / "nuplan-v1.1", map_root=root / "maps", source=source, ids=ids)

    def scenes(self, features: PlutoFeatures) -> Iterator[Scene]:
        """Yield the scenes, log by log."""
        by_log: dict[str, list[ScenarioId]] = {}
        for one in self.ids:
            by_log.setdefault(one.log, []).append(one)
        for ids in by_log.values():
            for scene in self.source.load_many(ids, features.window):
                if isinstance(scene, SampleError):
                    raise scene
                yield scene


def measure(world: World, folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Return milliseconds a scenario by part, and counts that say what the scenes hold."""
    features = make(PlutoFeaturesConfig(), Context())
    watch = Stopwatch()
    for name, parts in MODULES.items():
        for module, function in parts:
            setattr(module, function, watch.timed(name, getattr(module, function)))
    writer = RollingWriter(Shards(folder, LmdbShards()))
    scenes = world.scenes(features)
    size, held, refused = 0, [], 0
    while (scene := watch.timed("load", next)(scenes, None)) is not None:
        before = dict(watch.spent_s)
        try:
            sample: Sample = watch.timed("features", features.build)(scene)
        except SampleError:  # cheaper than others: left out
            refused += 1
            watch.spent_s = defaultdict(float, before)
            continue
        watch.timed("check", check)(sample, features.spec)
        value: bytes = watch.timed("encode", codec.encode)(sample, features.spec, "default")
        watch.timed("write", writer.put)(scene.id.key.encode(), value)
        writer.end_sample()
        size += len(value)
        held.append((int(scene.tracks.valid[:, scene.present].sum()) + len(scene.static_objects.token), len(scene.map.lanes)))
    watch.timed("write", writer.seal)()
    built = len(held)
    spent = {name: 1e3 * seconds / (built + refused * (name == "load")) for name, seconds in watch.spent_s.items()}
    boxes, lanes = np.mean(held, axis=0).tolist()
    counts = {
        "samples": built,
        "refused": refused,
        "boxes now": boxes,
        "lanes on the map": lanes,
        "kB a value": size / built / 1e3,
    }
    return spent, counts


def print_parts(spent: Mapping[str, float], counts: Mapping[str, float], reference_ms: float | None) -> None:
    """Print the table of parts."""
    print("\n" + ", ".join(f"{name}: {value:.0f}" for name, value in counts.items()) + "\n")
    print("| part | ms a scenario |\n|---|---:|")
    for name in ("load", *MODULES):
        print(f"| {name} | {spent.get(name, 0.0):.2f} |")
    without = spent["features"] - sum(spent[name] for name in COST_MAP)
    print(f"| *rest of the builder* | {spent['features'] - sum(spent.get(name, 0.0) for name in MODULES):.2f} |")
    for name in ("check", "encode", "write"):
        print(f"| {name} | {spent[name]:.2f} |")
    whole = sum(spent[name] for name in ("load", "features", "check", "encode", "write"))
    print(f"| **features without the cost map** | **{without:.2f}** |")
    print(f"| **features** | **{spent['features']:.2f}** |\n| **end to end** | **{whole:.2f}** |")
    if reference_ms is not None:
        print(f"| reference, load and features | {reference_ms:.0f} |")
        print(f"| reference / ours, load and features | {reference_ms / (spent['load'] + spent['features']):.1f} |")
        print(f"| reference / ours, ours with check, encode and write | {reference_ms / whole:.1f} |")


RUN = """
import pathlib, re, resource, sys
from pluto_core.cli.main import main
try:
    main(sys.argv[2:])
finally:
    own_kb = int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
    children_kb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    pathlib.Path(sys.argv[1]).write_text(str(max(own_kb, children_kb)))
"""
"""A process that writes down its peak memory itself: what `wait4` tells of a child begins with its parent's."""


@attrs.frozen(kw_only=True)
class Step:
    """One `pluto run --only cache`."""

    scenarios: int
    wall_s: float
    cpu_s: float
    peak_mb: float


def run_step(world: World, folder: Path, *, scenarios: int, workers: int) -> Step:
    """Run the cache step in a process of its own and measure it from start to end."""
    worker = {"use": "processes", "count": workers} if workers > 1 else {"use": "sequential"}
    sections: dict[str, dict[str, object]] = {
        "source": {"use": "nuplan", "data_root": str(world.data_root), "map_root": str(world.map_root)},
        "filter": {"remove_invalid_goals": True, "limit_total_scenarios": scenarios},
        "worker": worker,
        "cache": {"path": str(folder / "cache")},
    }
    text = ["name = 'features'", "steps = ['cache']", f"output_dir = {json.dumps(str(folder / 'runs'))}"]
    for name, values in sections.items():
        text += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    folder.mkdir(parents=True)
    (folder / "run.toml").write_text("\n".join([*text, "[[features]]", "use = 'pluto'"]) + "\n", encoding="utf-8")
    command = [sys.executable, "-c", RUN, str(folder / "peak_kb"), "run", str(folder / "run.toml"), "--no-progress"]
    before = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - before
    if process.returncode:
        raise SystemExit(f"the cache step ended with {process.returncode}")
    peak_kb = int((folder / "peak_kb").read_text(encoding="ascii"))
    return Step(scenarios=scenarios, wall_s=wall, cpu_s=usage.ru_utime + usage.ru_stime, peak_mb=peak_kb / 1024)


def print_steps(world: World, folder: Path, reference_ms: float | None) -> None:
    """Print the table of whole cache steps, and the first scenario."""
    run_step(world, folder / "warm", scenarios=1, workers=1)
    first = run_step(world, folder / "first", scenarios=1, workers=1)
    print("\n| cache step | wall s | scenarios/s | processor ms a scenario | peak MB of a process | reference / ours |")
    print("|---|---:|---:|---:|---:|---:|")
    for workers in (1, 2):
        step = run_step(world, folder / f"workers{workers}", scenarios=len(world.ids), workers=workers)
        each = 1e3 * (step.cpu_s - first.cpu_s) / (step.scenarios - 1)
        rate = step.scenarios / step.wall_s
        ratio = "" if reference_ms is None else f"{reference_ms / each:.1f}"
        cells = (f"{step.wall_s:.1f}", f"{rate:.1f}", f"{each:.1f}", f"{step.peak_mb:.0f}", ratio)
        print(f"| {workers} workers, {step.scenarios} scenarios | {' | '.join(cells)} |")
    print(f"\nOne scenario, start and end of the process included: {first.wall_s:.2f} s, {first.cpu_s:.2f} s of a processor.")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--data", type=Path, help="folder that holds nuplan-v1.1 and maps")
    where.add_argument("--synth", action="store_true", help="write a large synthetic city and measure on it")
    parser.add_argument("--scenarios", type=int, default=240, help="how many, spread evenly over the logs")
    parser.add_argument("--reference-ms", type=float, help="what the reference needs to load and build a scenario")
    parser.add_argument("--no-steps", action="store_true", help="measure parts only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = options.data
        if root is None:
            root = write_dataset(folder / "city", logs=4, seconds=60.0, seed=1, grid=(12, 12), density=2.8).root
        world = World.of(root.resolve(), options.scenarios)
        for scene in world.source.load_many(world.ids[:1], PlutoFeatures(PlutoFeaturesConfig()).window):
            assert isinstance(scene, Scene)  # The map is converted once, and kept.
        if not options.no_steps:
            print_steps(world, folder, options.reference_ms)
        print_parts(*measure(World.of(root.resolve(), options.scenarios), folder / "parts"), options.reference_ms)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"\nPeak memory of this process: {peak:.0f} MB.")


if __name__ == "__main__":
    main()
