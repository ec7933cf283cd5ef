"""What batches cost: ours, by profile and number of processes, beside the reference stack's way and a plain copy of the bytes.

One table, one run, PLUTO's samples in batches of 32, without augmentation and with the contrastive one, which makes three rows
of a sample. `reference` is the way of `peer.py`. `memcpy` copies the bytes of a batch into buffers that are used again, which
is the least that any loader could do: from one source, of which much stays in the processor's caches, and from half a gigabyte
of them in turn, which is how samples lie. Without processes ours uses two threads unless told otherwise, where there are two
processors, and without augmentation the second one is a batch ahead; one thread is measured beside it. Before anything is
measured, batches of all ways are compared, value by value (without augmentation: random numbers differ). Every way is measured
in turn, several rounds long, after a round that does not count; medians are printed, with the spread of the rounds. The samples
are those of a synthetic town that the program writes; `--data` names a folder that holds nuPlan's folders `nuplan-v1.1` and
`maps` instead. Few distinct samples are stored under many keys. `--shards 32` spreads them, so that a batch reaches into twenty
shards, as it does in a cache of a million samples.

    python benchmarks/loader.py --data ../shared/data/golden/town
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import numpy as np
import torch
from peer import Collate, Contrast, Files, Spec, pickled
from torch.utils.data import DataLoader

from pluto_augment.config import ContrastiveConfig
from pluto_augment.contrastive import Contrastive
from pluto_core.component import Context
from pluto_core.errors import SampleError
from pluto_core.filters import ScenarioFilter
from pluto_core.jobs import Identity
from pluto_core.listing import Listing
from pluto_core.pipeline import codec, index
from pluto_core.pipeline.fingerprint import fingerprint
from pluto_core.pipeline.folder import CacheFolder
from pluto_core.pipeline.loader import BatchLoader
from pluto_core.pipeline.ring import Ring
from pluto_core.pipeline.selection import select
from pluto_core.pipeline.shards import RollingWriter
from pluto_core.samples import Sample
from pluto_core.scene import ScenarioId
from pluto_core.settings import LoaderSettings
from pluto_lmdb.shard import LmdbShards
from pluto_nuplan.config import NuPlanConfig
from pluto_nuplan.source import NuPlanSource
from pluto_nuplan.synth.dataset import write_dataset
from pluto_planner.config import PlutoFeaturesConfig
from pluto_planner.features import make

TAG = "pluto"
COLD = 512 << 20
"""Bytes that no processor's cache holds."""
PROFILES = ("default", "raw")
COPIES = ("memcpy", "memcpy, sources in turn")


class Way(NamedTuple):
    """One row of the table."""

    name: str
    contrastive: bool
    processes: int = 0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="A folder with nuplan-v1.1 and maps.")
    parser.add_argument("--samples", type=int, default=512, help="Stored samples.")
    parser.add_argument("--shards", type=int, default=1, help="Files of a cache.")
    parser.add_argument("--batch-size", type=int, default=32, help="Samples in a batch.")
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 1, 2], help="Numbers of processes.")
    parser.add_argument("--rounds", type=int, default=5, help="How often each way is measured.")
    parser.add_argument("--seconds", type=float, default=2.0, help="About how long a way is measured in a round.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="pluto-loader-") as name:
        place = Path(name)
        root = options.data.resolve() if options.data else town(place)
        distinct, spec = samples_of(root)
        data = Stored.write(place, distinct, spec, options.samples, options.shards, options.batch_size)
        data.compare()
        ways = data.ways(options.workers)
        rates: dict[Way, list[float]] = {way: [] for way in ways}
        for counts in [False] + [True] * options.rounds:
            for way, batches in ways.items():
                found = rate(batches, options.batch_size, options.seconds)
                rates[way] += [found] if counts else []
        sizes = " and ".join(f"{data.batch_bytes(contrastive=each) / 1e6:.1f}" for each in (False, True))
        keys = f"{options.samples} keys, shards: {options.shards}"
        print(f"\n{root.name}, {len(distinct)} distinct samples under {keys}; a batch has {sizes} MB")
        show(rates)
        data.close()


def show(rates: Mapping[Way, Sequence[float]]) -> None:
    """Print the medians as a table."""
    figures = "samples/s", "lowest to highest", "of the reference's way", "of memcpy", "of it in turn"
    columns = "way", "augmentation", "processes", *figures
    print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    medians = {way: float(np.median(found)) for way, found in rates.items()}
    for way, found in rates.items():
        median = medians[way]
        peer = medians.get(way._replace(name="reference"))
        copies_of_one, copies_in_turn = (medians[Way(name, way.contrastive)] for name in COPIES)
        cells = (
            way.name,
            "contrastive" if way.contrastive else "none",
            way.processes,
            f"{median:.0f}",
            f"{min(found):.0f} to {max(found):.0f}",
            f"{median / peer:.1f}" if peer else "-",
            f"{median / copies_of_one:.0%}",
            f"{median / copies_in_turn:.0%}",
        )
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


def rate(batches: Iterator[object], size: int, seconds: float) -> float:
    """Return samples a second, after some batches to get going."""
    for _ in range(10):
        next(batches)
    began = time.perf_counter()
    for count in itertools.count(1):
        next(batches)
        taken = time.perf_counter() - began
        if taken > seconds:
            return count * size / taken
    raise AssertionError


@attrs.frozen(kw_only=True)
class Stored:
    """The same samples as a cache of each profile and in the reference's form."""

    spec: Spec
    listing: Listing
    folders: Mapping[str, CacheFolder]
    files: Sequence[Path]
    batch_size: int
    loaders: list[BatchLoader] = attrs.field(factory=list)

    @classmethod
    def write(cls, place: Path, distinct: Sequence[Sample], spec: Spec, count: int, shards: int, batch_size: int) -> "Stored":
        """Write samples under `count` keys."""
        ids = [ScenarioId("log", f"{number:016x}", number) for number in range(count)]
        rows = list(zip(ids, itertools.cycle(distinct), strict=False))
        (place / "reference").mkdir()
        return cls(
            spec=spec,
            listing=Listing.of([(one, "type", "town") for one in ids]),
            folders={profile: cached(place / profile, rows, spec, profile, shards) for profile in PROFILES},
            files=[pickled(place / "reference" / f"{one.token}.gz", sample, spec) for one, sample in rows],
            batch_size=batch_size,
        )

    def loader(
        self, profile: str, workers: int = 0, *, part: str = "train", contrastive: bool = False, threads: int = 1
    ) -> BatchLoader:
        """Return the loader of a profile."""
        settings = LoaderSettings(batch_size=self.batch_size, workers=workers, drop_last=True, threads=threads)
        augmentations = [Contrastive(ContrastiveConfig())] if contrastive else []
        reader = self.folders[profile].reader((TAG,))
        made = BatchLoader(
            reader, self.listing, spec=self.spec, settings=settings, part=part, seed=0, augmentations=augmentations
        )
        self.loaders.append(made)
        return made

    def peer(self, workers: int, *, shuffle: bool = True, contrastive: bool = False) -> "DataLoader[Any]":
        """Return the reference's way."""
        return DataLoader(
            Files(self.files, Contrast() if contrastive else None), self.batch_size, shuffle=shuffle, num_workers=workers,
            collate_fn=Collate(self.spec), persistent_workers=workers > 0, drop_last=True,
        )  # fmt: skip

    def compare(self) -> None:
        """Prove that all ways give the same values and padding."""
        theirs = next(iter(self.peer(0, shuffle=False)))
        for profile, threads in itertools.product(PROFILES, (1, 2)):
            ours = next(self.loader(profile, part="val", threads=threads).batches(0)).arrays
            assert ours.keys() == theirs.keys(), ours.keys() ^ theirs.keys()
            for key, array in ours.items():
                narrow = array.astype(np.float32) if array.dtype == np.float64 else array
                assert str(narrow.dtype) == str(theirs[key].dtype).removeprefix("torch."), key
                np.testing.assert_array_equal(narrow, theirs[key].numpy(), err_msg=key)

    def ways(self, workers: Sequence[int]) -> dict[Way, Iterator[object]]:
        """Return batches without an end, by way."""
        found: dict[Way, Iterator[object]] = {}
        for contrastive in (False, True):
            nbytes = self.batch_bytes(contrastive=contrastive)
            for name, sources in zip(COPIES, (1, -(-COLD // nbytes)), strict=True):
                found[Way(name, contrastive)] = copies(nbytes, sources)
            for count in workers:
                found[Way("reference", contrastive, count)] = repeated(self.peer(count, contrastive=contrastive))
                for profile in PROFILES:
                    made = self.loader(profile, count, contrastive=contrastive)
                    found[Way(f"pluto, {profile}", contrastive, count)] = endless(made.batches)
                    if not count:
                        both = self.loader(profile, contrastive=contrastive, threads=2)
                        found[Way(f"pluto, {profile}, two threads", contrastive)] = endless(both.batches)
        return found

    def batch_bytes(self, *, contrastive: bool = False) -> int:
        """Return the size of a batch."""
        batch = next(self.loader("raw", contrastive=contrastive).batches(0))
        return sum(array.nbytes for array in batch.arrays.values())

    def close(self) -> None:
        """End all processes."""
        for loader in self.loaders:
            loader.close()


def endless(epoch: Callable[[int], Iterator[object]]) -> Iterator[object]:
    """Yield the batches of one epoch after another."""
    for number in itertools.count():
        yield from epoch(number)


def repeated(batches: Iterable[object]) -> Iterator[object]:
    """Yield the same batches again and again."""
    while True:
        yield from batches


def copies(nbytes: int, sources: int) -> Iterator[object]:
    """Yield copies of as many bytes in buffers that take turns."""
    ring = Ring(4)
    for source in itertools.cycle([np.ones(nbytes, np.uint8) for _ in range(sources)]):
        target = ring.take(nbytes)
        target[:] = source
        yield target


def cached(place: Path, rows: Sequence[tuple[ScenarioId, Sample]], spec: Spec, profile: str, shards: int) -> CacheFolder:
    """Return a cache that holds the samples."""
    folder = CacheFolder(place, LmdbShards())
    builder = make(PlutoFeaturesConfig(), Context())
    folder.open_or_create(fingerprint(Identity(reader="any/1", settings={}, dataset={"a.db": 1}), [(TAG, builder, {})]))
    writer = RollingWriter(folder.shards, samples=-(-len(rows) // shards))
    for scenario, sample in rows:
        key = index.shard_key(TAG, scenario.key)
        writer.put(key, codec.encode(sample, spec, profile, key=key))
        writer.end_sample()
    writer.seal()
    return folder


def town(place: Path) -> Path:
    """Return the folder of a synthetic dataset."""
    return write_dataset(place / "synthetic town", logs=3, seconds=40.0, seed=3, grid=(4, 4)).root


def samples_of(root: Path, count: int = 64) -> tuple[list[Sample], Spec]:
    """Return PLUTO's samples of scenarios that are spread over a dataset, and their spec."""
    builder = make(PlutoFeaturesConfig(), Context())
    source = NuPlanSource(NuPlanConfig(data_root=str(root / "nuplan-v1.1"), map_root=str(root / "maps")))
    samples = []
    for scenario in select(source, ScenarioFilter(limit_total_scenarios=count), 0).listing.ids():
        try:
            samples.append(builder.build(source.load(scenario, builder.window)))
        except SampleError:
            continue
    return samples, builder.spec


if __name__ == "__main__":
    main()
