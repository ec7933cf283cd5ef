"""What the cache costs: values, shards, index, resume, and whether `pluto plan` tells the truth.

Five tables. `codec`: time and bytes of PLUTO's samples by profile (medians of the samples, each the best of a few), beside
the reference stack's way, gzip level 1 of pickled float64. `stores`: values of one size
through every store. `index`: an index of a million scenarios and two builders. `resume`: the cache step on a full cache, in a
process of its own, from the end of the imports to the report. `plan`: what `pluto plan` said beside what the run then took.
The samples are those of a synthetic town that the program writes; `--data` adds a folder that holds nuPlan's folders
`nuplan-v1.1` and `maps`, and may hold `features`: what the reference stack recorded of some of its scenarios, whose bytes are
then compared with those of our samples of the same scenarios.

    python benchmarks/cache.py --data ../shared/data/golden/town
    python benchmarks/cache.py --only resume --samples 100000
"""

import argparse
import gzip
import json
import os
import pickle
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import attrs
import numpy as np
from peer_files import widened

from pluto_basics.stores_files import FileShards
from pluto_basics.stores_memory import MemoryShards
from pluto_core.arrays import ArraySpec
from pluto_core.component import Context
from pluto_core.errors import SampleError
from pluto_core.filters import ScenarioFilter
from pluto_core.jobs import Identity
from pluto_core.listing import Listing, Names
from pluto_core.pipeline import codec, index, listings
from pluto_core.pipeline.caching import cache_scenarios
from pluto_core.pipeline.fingerprint import fingerprint
from pluto_core.pipeline.folder import CacheFolder
from pluto_core.pipeline.profiles import PROFILES
from pluto_core.pipeline.selection import select
from pluto_core.pipeline.shards import RollingWriter
from pluto_core.protocols import ShardStore
from pluto_core.run.measuring import peak_memory
from pluto_core.samples import Sample
from pluto_core.scene import Window
from pluto_lmdb.shard import LmdbShards
from pluto_nuplan.config import NuPlanConfig
from pluto_nuplan.source import NuPlanSource
from pluto_nuplan.synth.dataset import write_dataset
from pluto_planner.config import PlutoFeaturesConfig
from pluto_planner.features import make

TABLES = ("codec", "stores", "index", "resume", "plan")
STORES: dict[str, type] = {"lmdb": LmdbShards, "files": FileShards, "memory": MemoryShards}
MAP = "cost_maps"


def main() -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", default=[], help="A folder with nuplan-v1.1 and maps.")
    parser.add_argument("--only", choices=TABLES, action="append", help="Print these tables.")
    parser.add_argument("--scenes", type=int, default=60, help="Scenes of each dataset.")
    parser.add_argument("--samples", type=int, default=100_000, help="Samples of the full cache that is resumed.")
    parser.add_argument("--entries", type=int, default=1_000_000, help="Scenarios of the index.")
    parser.add_argument("--resume", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.resume:
        print(json.dumps(resumed(options.resume)))
        return
    wanted = options.only or TABLES
    with tempfile.TemporaryDirectory(prefix="pluto-cache-") as name:
        place = Path(name)
        if {"codec", "plan"} & set(wanted):
            town = write_dataset(place / "synthetic town", logs=3, seconds=40.0, seed=3, grid=(4, 4)).root
            roots = [town, *(root.resolve() for root in options.data)]
        if "codec" in wanted:
            print_codec(roots, options.scenes)
        if "stores" in wanted:
            print_stores(place / "stores")
        if "index" in wanted:
            print_index(place / "index", options.entries)
        if "resume" in wanted:
            print_resume(place / "full", options.samples)
        if "plan" in wanted:
            print_plan(roots, place)


def print_codec(roots: Sequence[Path], scenes: int) -> None:
    """Print time and bytes of samples by profile."""
    columns = (
        "samples",
        "form",
        "kB",
        "of gzip",
        "encode ms",
        "decode ms",
        "decode and verify ms",
        "decode all but the cost map ms",
    )
    print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for root in roots:
        recorded = recorded_samples(root)
        samples, spec = samples_of(root, scenes, tuple(recorded))
        trees = list(recorded.values()) or [widened(sample, spec) for sample in samples]
        pickled = [pickled_figures(tree) for tree in trees]
        peer = float(np.median([row[0] for row in pickled]))
        name = f"{root.name}, {len(samples)}"
        whose = "the reference's arrays" if recorded else "our arrays in the reference's types"
        print_figures(name, f"{whose}, pickled, gzip 1", pickled, peer)
        for profile in PROFILES:
            print_figures(name, profile, [figures(sample, spec, profile) for sample in samples], peer)


def pickled_figures(sample: Any) -> tuple[float, ...]:
    """Return bytes, and seconds of writing and reading, of a sample as the reference stack stores it."""
    packed = gzip.compress(pickle.dumps(sample), 1)
    write = fastest(lambda: gzip.compress(pickle.dumps(sample), 1), 3)
    return len(packed), write, fastest(lambda: pickle.loads(gzip.decompress(packed)), 3)  # noqa: S301 -- written just now


def figures(sample: Sample, spec: Any, profile: str) -> tuple[float, ...]:
    """Return bytes of a sample, and seconds of encoding, decoding, decoding with proof, decoding without the cost map."""
    value = codec.encode(sample, spec, profile)
    actions = (
        partial(codec.encode, sample, spec, profile),
        partial(codec.decode, value),
        partial(codec.decode, value, verify=True),
        partial(codec.decode, value, names=spec.keys() - {MAP}),
    )
    return (len(value), *map(fastest, actions))


def print_figures(name: str, form: str, rows: Sequence[tuple[float, ...]], peer: float) -> None:
    """Print medians."""
    size, *times = np.median(np.array(rows), axis=0)
    cells = [f"{each * 1e3:.2f}" for each in times] + ["-"] * (4 - len(times))
    print(f"| {name} | {form} | {size / 1e3:.0f} | {size / peer:.2f} | {' | '.join(cells)} |", flush=True)


def recorded_samples(root: Path) -> dict[str, Any]:
    """Return what the reference stack recorded of a dataset, where the folder holds that: samples with a cost map, nested."""
    found = {}
    for path in sorted((root / "features").glob("*.npz")):
        with np.load(path) as arrays:
            if MAP not in arrays.files:
                continue
            nested: dict[str, Any] = {}
            for key in arrays.files:
                *parents, last = key.split("/")
                inner = nested
                for parent in parents:
                    inner = inner.setdefault(parent, {})
                inner[last] = arrays[key]
        found[path.stem] = nested
    return found


def samples_of(root: Path, count: int, tokens: tuple[str, ...]) -> tuple[list[Sample], Any]:
    """Return PLUTO's samples of some tokens (none: of scenarios spread evenly over a dataset), and their spec."""
    builder = make(PlutoFeaturesConfig(), Context())
    source = NuPlanSource(NuPlanConfig(data_root=str(root / "nuplan-v1.1"), map_root=str(root / "maps")))
    wanted = ScenarioFilter(scenario_tokens=tokens) if tokens else ScenarioFilter(limit_total_scenarios=count)
    samples = []
    for scenario in select(source, wanted, 0).listing.ids():
        try:
            samples.append(builder.build(source.load(scenario, builder.window)))
        except SampleError:
            continue
    return samples, builder.spec


def fastest(action: Callable[[], object], times: int = 5) -> float:
    """Return the least time that an action took, in seconds."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def print_stores(place: Path, values: int = 800, size: int = 311_000) -> None:
    """Print how fast each store takes and gives values of one size, warm, in batches of 32 in random order."""
    print("\n| store | put | put and seal | get_many(32), warm | files | disk, of content |")
    print("|---|---|---|---|---|---|")
    chance = random.Random(0)  # noqa: S311 -- an order, no secret
    keys = [b"pluto|log/%016x@%d" % (chance.getrandbits(62), number) for number in range(values)]
    content = os.urandom(size)
    for name, kind in STORES.items():
        store: ShardStore = kind()
        path = place / f"shard{store.suffix}"
        place.mkdir(exist_ok=True)
        began = time.perf_counter()
        writer = store.create(path)
        for key in keys:
            writer.put(key, content)
        put_s = time.perf_counter() - began
        writer.seal()
        sealed_s = time.perf_counter() - began
        reader = store.open(path)
        order = chance.sample(keys, values)
        read_s = fastest(
            lambda reader=reader, order=order: [reader.get_many(order[at : at + 32]) for at in range(0, values, 32)]
        )
        files = [path] if path.is_file() else sorted(path.glob("*")) if path.exists() else []
        share = sum(file.stat().st_blocks * 512 for file in files) / (values * size)
        rates = " | ".join(f"{values / seconds:.0f}/s" for seconds in (put_s, sealed_s, read_s))
        print(f"| {name} | {rates} | {len(files)} | {share:.3f} |", flush=True)


def made_up_listing(count: int) -> Listing:
    """Return so many scenarios of 1300 logs with names of nuPlan's form."""
    chance = np.random.default_rng(0)
    logs = tuple(
        f"2021.{log // 100 + 1:02d}.{log % 28 + 1:02d}.10.20.30_veh-{log % 60}_0{log:04d}_0{log + 300:04d}"
        for log in range(1300)
    )
    start_us = 1_620_000_000_000_000 + chance.integers(0, 10**12, count)
    return Listing(
        logs=Names(values=logs, codes=np.sort(chance.integers(0, 1300, count)).astype(np.int32)),
        tokens=np.array([b"%016x" % token for token in chance.integers(0, 2**62, count).tolist()]),
        start_us=start_us,
        types=Names(
            values=tuple(f"type-{number}" for number in range(14)), codes=chance.integers(0, 14, count).astype(np.int32)
        ),
        maps=Names(values=("boston", "vegas"), codes=chance.integers(0, 2, count).astype(np.int32)),
        anchor_us=start_us,
    )


class Speed:
    """A builder in name: its one array is made up."""

    version = "1"
    window = Window(history_s=2.0)
    spec: ClassVar = {"speed": ArraySpec(dims=(21,), dtype="float32")}


def full_folder(place: Path, tags: Sequence[str] = ("speed",)) -> CacheFolder:
    """Return a cache for builders without settings."""
    folder = CacheFolder(place, LmdbShards())
    identity = Identity(reader="made up/1", settings={}, dataset={"a.db": 1})
    folder.open_or_create(fingerprint(identity, [(tag, Speed(), {}) for tag in tags]))
    return folder


def print_index(place: Path, count: int) -> None:
    """Print what an index of `count` scenarios and two builders costs."""
    listing = made_up_listing(count)
    folder = full_folder(place, ("features", "targets"))
    keys = listings.keys_of(listing)
    (place / "shards").mkdir()
    held: dict[str, list[bytes]] = {}
    for start in range(0, count, 5000):
        name = f"{start:09d}.lmdb"
        (place / "shards" / name).touch()
        held[name] = [b"%b|%b" % (tag, key) for tag in (b"features", b"targets") for key in keys[start : start + 5000].tolist()]
    stamps = folder.shards.sealed()
    rows: dict[str, float] = {}
    began = time.perf_counter()
    made = index.joined(index.EMPTY, stamps, lambda stamp: held[stamp.name], {}, "")
    rows["made from the keys of its shards, which were read before"] = time.perf_counter() - began
    rows["written"] = fastest(lambda: made.write(place), 1)
    rows["opened, checksum compared, complete scenarios found"] = fastest(lambda: folder.reader(("features",)).keys)
    reader = folder.reader(("features",))
    some = keys[np.random.default_rng(1).integers(0, count, 32)]
    rows["32 places looked up"] = fastest(lambda: reader.index.places_of("features", some))
    rows["what is missing of as many scenarios"] = fastest(lambda: folder.missing(listing, ["features", "targets"]), 1)
    size = (place / index.NAME).stat().st_size
    print(f"\n| index of {count:,} scenarios, 2 builders, {len(stamps)} shards, {size / 1e6:.0f} MB | ms |\n|---|---|")
    for name, seconds in rows.items():
        print(f"| {name} | {seconds * 1e3:.{0 if seconds > 0.001 else 2}f} |", flush=True)


def fill(place: Path, count: int) -> None:
    """Write a cache of so many scenarios with tiny samples, and their listing."""
    listing = made_up_listing(count)
    folder = full_folder(place)
    folder.save_listing("full", listing, {})
    writer = RollingWriter(folder.shards)
    sample = {"speed": np.zeros(21, np.float32)}
    for scenario in listing.ids():
        key = index.shard_key("speed", scenario.key)
        writer.put(key, codec.encode(sample, Speed.spec, key=key))
        writer.end_sample()
    writer.seal()


def resume(place: Path) -> dict[str, float]:
    """Return what the cache step on a full cache takes, in a process of its own."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, __file__, "--resume", place], stdout=subprocess.PIPE, check=True)
    told: dict[str, float] = json.loads(done.stdout)
    return {**told, "process": time.perf_counter() - began}


def print_resume(place: Path, count: int) -> None:
    """Print what the cache step on a full cache takes, the first time and again."""
    fill(place, count)
    print(f"\n| cache step on a full cache of {count:,} | s after imports | of it the listing | process, s | peak memory, MB |")
    print("|---|---|---|---|---|")
    for name in ("first time: the index is made", "again"):
        told = resume(place)
        print(
            f"| {name} | {told['seconds']:.2f} | {told['listing']:.2f} | {told['process']:.2f} | {told['mb']:.0f} |", flush=True
        )


@attrs.frozen
class Nobody:
    """A worker for a step that has nothing to do."""

    count: int = 1
    processes: bool = False

    def run(self, _job: Any, batches: Any) -> Iterator[Any]:
        """Prove that there is nothing to do."""
        assert not len(batches)
        return iter(())


def resumed(place: Path) -> dict[str, float]:
    """Run the cache step on a full cache and return what it took."""
    began = time.perf_counter()
    folder = full_folder(place)
    stored = folder.load_listing("full")
    assert stored is not None
    listed = time.perf_counter()
    report = cache_scenarios(
        listing=stored[0], tags=("speed",), make_source=list, make_builders=list, folder=folder, worker=Nobody()
    )
    assert report.present == report.asked == len(stored[0])
    return {"seconds": time.perf_counter() - began, "listing": listed - began, "mb": peak_memory() / 1e6}


EXPERIMENT = """
name = "plan"
steps = ["cache"]
output_dir = "{place}/runs"
[source]
use = "nuplan"
data_root = "{root}/nuplan-v1.1"
map_root = "{root}/maps"
[cache]
path = "{place}/cache"
[[features]]
use = "pluto"
"""


def print_plan(roots: Sequence[Path], place: Path) -> None:
    """Print what `pluto plan` said and what the cache step then took; worker `sequential`, samples of PLUTO."""
    print(
        "\n| dataset | scenarios | sampled | said s | took s | said MB | took MB | said failures | failed | said memory, MB |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for number, root in enumerate(roots):
        folder = place / f"plan-{number}"
        folder.mkdir()
        file = folder / "plan.toml"
        file.write_text(EXPERIMENT.format(root=root, place=folder), encoding="utf-8")
        plan = json.loads(pluto("plan", file, "--json"))
        began = time.perf_counter()
        pluto("run", file, "--no-progress")
        took_s = time.perf_counter() - began
        info = json.loads(pluto("cache", "info", folder / "cache", "--json"))
        low_s, high_s = plan["seconds_range"]
        cells = (
            root.name,
            plan["scenarios"],
            plan["sampled"],
            f"{plan['seconds']:.0f} ({low_s:.0f} to {high_s:.0f})",
            f"{took_s:.0f}",
            f"{plan['bytes'] / 1e6:.0f}",
            f"{info['bytes'] / 1e6:.0f}",
            plan["failures"],
            sum(info["failures"].values()),
            f"{plan['memory_bytes'] / 1e6:.0f}",
        )
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


def pluto(*arguments: object) -> str:
    """Return what a command says."""
    line = [sys.executable, "-m", "pluto_core.cli.main", *map(str, arguments)]
    return subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout


if __name__ == "__main__":
    main()
