"""How long a training of a million samples takes to its first batch, and how much memory: from the start of the process.

The cache is one in name: its index and listing hold a million scenarios in 200 shards, but only the samples of the first two
batches are there, PLUTO's of a synthetic town (or of `--data`, as in `loader.py`). A process of its own then imports what
training imports, torch and Lightning included, opens cache and listing, weights scenarios by type, and takes its first batch as
tensors, while the second one is being read.

    python benchmarks/first_batch.py
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from cache import made_up_listing
from loader import TAG, samples_of, town

from pluto_core.component import Context
from pluto_core.jobs import Identity
from pluto_core.listing import Listing
from pluto_core.pipeline import codec, index, listings
from pluto_core.pipeline.fingerprint import fingerprint
from pluto_core.pipeline.folder import CacheFolder
from pluto_core.pipeline.loader import BatchLoader
from pluto_core.run.measuring import peak_memory
from pluto_core.settings import LoaderSettings
from pluto_lightning.batches import as_tensors
from pluto_lightning.trainer import LightningTrainer
from pluto_lmdb.shard import LmdbShards
from pluto_planner.config import PlutoFeaturesConfig
from pluto_planner.features import make

BUILDER = make(PlutoFeaturesConfig(), Context())
SHARD = 5000
PARTS = "listing", "index", "batch"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="A folder with nuplan-v1.1 and maps.")
    parser.add_argument("--entries", type=int, default=1_000_000, help="Scenarios of the index.")
    parser.add_argument("--take", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.take:
        print(json.dumps(first_batch(options.take)))
        return
    with tempfile.TemporaryDirectory(prefix="pluto-first-") as name:
        place = Path(name) / "cache"
        fill(place, options.data.resolve() if options.data else town(Path(name)), options.entries)
        columns = (
            f"first batch of {options.entries:,} samples",
            "processor, s",
            "process, s",
            "of it imports",
            *PARTS,
            "peak memory, MB",
        )
        print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
        for run in ("first run", "again"):
            began, before = time.perf_counter(), processor_s()
            line = [sys.executable, __file__, "--take", str(place)]
            told = json.loads(subprocess.run(line, stdout=subprocess.PIPE, check=True).stdout)
            whole, worked = time.perf_counter() - began, processor_s() - before
            parts = [told[part] for part in PARTS]
            seconds = " | ".join(f"{each:.2f}" for each in (worked, whole, whole - sum(parts), *parts))
            print(f"| {run} | {seconds} | {told['mb']:.0f} |", flush=True)


def processor_s() -> float:
    """Return the processor time of all processes that this one awaited, which says more than the clock where others run."""
    used = os.times()
    return used.children_user + used.children_system


def opened(place: Path) -> CacheFolder:
    """Return the cache."""
    folder = CacheFolder(place, LmdbShards())
    folder.open_or_create(fingerprint(Identity(reader="any/1", settings={}, dataset={"a.db": 1}), [(TAG, BUILDER, {})]))
    return folder


def loader(folder: CacheFolder, listing: Listing) -> BatchLoader:
    """Return what gives the batches of all scenarios, weighted by type."""
    settings = LoaderSettings(batch_size=32, type_weights={"type-3": 5.0})
    return BatchLoader(folder.reader((TAG,)), listing, spec=BUILDER.spec, settings=settings, part="train", seed=0)


def fill(place: Path, root: Path, count: int) -> None:
    """Write the cache."""
    samples, _ = samples_of(root, 32)
    listing = made_up_listing(count)
    folder = opened(place)
    folder.save_listing("full", listing, {})
    batches = loader(folder, listing)._sampler.batch_rows(0)  # noqa: SLF001 -- which samples must be there
    rows = np.concatenate([*itertools.islice(batches, 2)])  # the second one is read ahead
    first = [listing.id(row).key for row in rows.tolist()]
    shards = place / "shards"
    shards.mkdir()
    held = {"first.lmdb": [index.shard_key(TAG, key) for key in first]}
    writer = LmdbShards().create(shards / "first.lmdb")
    for number, key in enumerate(held["first.lmdb"]):
        writer.put(key, codec.encode(samples[number % len(samples)], BUILDER.spec, key=key))
    writer.seal()
    others = np.setdiff1d(listings.keys_of(listing), np.asarray([key.encode() for key in first]))
    for start in range(0, len(others), SHARD):
        name = f"{start:09d}.lmdb"
        (shards / name).touch()
        held[name] = [b"%b|%b" % (TAG.encode(), key) for key in others[start : start + SHARD].tolist()]
    stamps = folder.shards.sealed()
    index.joined(index.EMPTY, stamps, lambda stamp: held[stamp.name], {}, "").write(place)


def first_batch(place: Path) -> dict[str, float]:
    """Take the first batch, and return seconds of its parts and the peak of memory."""
    assert LightningTrainer  # imported as for a training
    times = [time.perf_counter()]
    folder = opened(place)
    stored = folder.load_listing("full")
    assert stored is not None
    times.append(time.perf_counter())
    folder.index()
    times.append(time.perf_counter())
    batch = as_tensors(next(loader(folder, stored[0]).batches(0)))
    times.append(time.perf_counter())
    assert batch.size == 32
    return dict(zip(PARTS, np.diff(times).tolist(), strict=True)) | {"mb": peak_memory() / 1e6}


if __name__ == "__main__":
    main()
