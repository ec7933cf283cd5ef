"""What batches cost: ours, by profile and number of processes, beside the reference stack's way and a plain copy of the bytes.

One table, one run, PLUTO's samples in batches of 32. The reference stack's way is written anew here from what it is known to
do: one gzip-compressed pickle a sample, of float64 arrays in nested dictionaries; a tensor for each key, cast to float32;
`pad_sequence` for what is ragged and `stack` for what is not; torch's DataLoader for processes. `memcpy` copies the bytes of a
batch into buffers that are used again, which is the least that any loader could do. Before anything is measured, batches of
both ways are compared, value by value. Every way is measured in turn, several rounds long, after a round that does not count;
medians are printed, with the spread of the rounds. The samples are those of a synthetic town that the program writes; `--data`
names a folder that holds nuPlan's folders `nuplan-v1.1` and `maps` instead. Few distinct samples are stored under many keys.

    python benchmarks/loader.py --data ../shared/data/golden/town
"""

import argparse
import gzip
import itertools
import pickle
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from pluto_core.arrays import ArraySpec
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
from pluto_core.samples import Sample, nested
from pluto_core.scene import ScenarioId
from pluto_core.settings import LoaderSettings
from pluto_lmdb.shard import LmdbShards
from pluto_nuplan.config import NuPlanConfig
from pluto_nuplan.source import NuPlanSource
from pluto_nuplan.synth.dataset import write_dataset
from pluto_planner.config import PlutoFeaturesConfig
from pluto_planner.features import make

TAG = "pluto"
PROFILES = ("default", "raw")
Spec = Mapping[str, ArraySpec]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="A folder with nuplan-v1.1 and maps.")
    parser.add_argument("--samples", type=int, default=512, help="Stored samples.")
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
        data = Stored.write(place, distinct, spec, options.samples, options.batch_size)
        data.compare()
        ways = data.ways(options.workers)
        rates: dict[tuple[str, int], list[float]] = {way: [] for way in ways}
        for counts in [False] + [True] * options.rounds:
            for way, batches in ways.items():
                found = rate(batches, options.batch_size, options.seconds)
                rates[way] += [found] if counts else []
        show(rates, f"{root.name}, {len(distinct)} distinct samples under {options.samples} keys", data.batch_bytes())
        data.close()


def show(rates: Mapping[tuple[str, int], Sequence[float]], samples: str, nbytes: int) -> None:
    """Print the medians as a table."""
    medians = {way: float(np.median(found)) for way, found in rates.items()}
    copy = medians["memcpy", 0]
    print(f"\n{samples}; a batch has {nbytes / 1e6:.1f} MB")
    print(
        "\n| way | processes | samples/s | lowest to highest | of the reference's way | of memcpy |\n|---|---|---|---|---|---|"
    )
    for (way, workers), found in rates.items():
        median = medians[way, workers]
        peer = medians.get(("reference", workers))
        times = f"{median / peer:.1f}" if peer else "-"
        span = f"{min(found):.0f} to {max(found):.0f}"
        print(f"| {way} | {workers} | {median:.0f} | {span} | {times} | {median / copy:.0%} |")


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
    def write(cls, place: Path, distinct: Sequence[Sample], spec: Spec, count: int, batch_size: int) -> "Stored":
        """Write samples under `count` keys."""
        ids = [ScenarioId("log", f"{number:016x}", number) for number in range(count)]
        rows = list(zip(ids, itertools.cycle(distinct), strict=False))
        (place / "reference").mkdir()
        return cls(
            spec=spec,
            listing=Listing.of([(one, "type", "town") for one in ids]),
            folders={profile: cached(place / profile, rows, spec, profile) for profile in PROFILES},
            files=[pickled(place / "reference" / f"{one.token}.gz", sample, spec) for one, sample in rows],
            batch_size=batch_size,
        )

    def loader(self, profile: str, workers: int, *, part: str = "train") -> BatchLoader:
        """Return the loader of a profile."""
        settings = LoaderSettings(batch_size=self.batch_size, workers=workers, drop_last=True)
        reader = self.folders[profile].reader((TAG,))
        self.loaders.append(BatchLoader(reader, self.listing, spec=self.spec, settings=settings, part=part, seed=0))
        return self.loaders[-1]

    def peer(self, workers: int, *, shuffle: bool = True) -> "DataLoader[Any]":
        """Return the reference's way."""
        return DataLoader(
            Files(self.files), self.batch_size, shuffle=shuffle, num_workers=workers, collate_fn=Collate(self.spec),
            persistent_workers=workers > 0, drop_last=True,
        )  # fmt: skip

    def compare(self) -> None:
        """Prove that all ways give the same values and padding."""
        theirs = next(iter(self.peer(0, shuffle=False)))
        for profile in PROFILES:
            ours = next(self.loader(profile, 0, part="val").batches(0)).arrays
            assert ours.keys() == theirs.keys(), ours.keys() ^ theirs.keys()
            for key, array in ours.items():
                narrow = array.astype(np.float32) if array.dtype == np.float64 else array
                np.testing.assert_array_equal(narrow, theirs[key].numpy(), err_msg=key)

    def ways(self, workers: Sequence[int]) -> dict[tuple[str, int], Iterator[object]]:
        """Return batches without an end, by way and number of processes."""
        found: dict[tuple[str, int], Iterator[object]] = {("memcpy", 0): copies(self.batch_bytes())}
        for count in workers:
            found["reference", count] = repeated(self.peer(count))
            for profile in PROFILES:
                found[f"pluto, {profile}", count] = endless(self.loader(profile, count).batches)
        return found

    def batch_bytes(self) -> int:
        """Return the size of a batch."""
        batch = next(self.loader("raw", 0, part="val").batches(0))
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


def copies(nbytes: int) -> Iterator[object]:
    """Yield copies of as many bytes in buffers that take turns."""
    ring, source = Ring(4), np.ones(nbytes, np.uint8)
    while True:
        target = ring.take(nbytes)
        target[:] = source
        yield target


@attrs.frozen
class Files:
    """The reference's samples, one file each."""

    paths: Sequence[Path]

    def __len__(self) -> int:
        """Return their number."""
        return len(self.paths)

    def __getitem__(self, row: int) -> dict[str, torch.Tensor]:
        """Return one as tensors."""
        with gzip.open(self.paths[row], "rb") as file:
            return tensors(pickle.load(file))  # noqa: S301 -- written by this program


def tensors(tree: Mapping[str, Any], above: str = "") -> dict[str, torch.Tensor]:
    """Return a tensor for each key, float64 as float32."""
    found: dict[str, torch.Tensor] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            found |= tensors(value, f"{above}{key}/")
        else:
            tensor = torch.as_tensor(value)
            found[above + key] = tensor.float() if tensor.is_floating_point() else tensor
    return found


@attrs.frozen
class Collate:
    """Makes a batch of samples, key by key."""

    spec: Spec

    def __call__(self, samples: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """Return the batch."""
        batch = {}
        for key, spec in self.spec.items():
            if not spec.batch or key not in samples[0]:
                continue
            rows = [sample[key] for sample in samples]
            ragged = bool(spec.dims) and isinstance(spec.dims[0], str)
            batch[key] = pad_sequence(rows, batch_first=True, padding_value=spec.pad) if ragged else torch.stack(rows)
        return batch


def pickled(path: Path, sample: Sample, spec: Spec) -> Path:
    """Write a sample in the reference's form: nested, floats as float64 but for rasters."""

    def wide(key: str, array: Any) -> Any:
        raster = np.dtype(spec[key].at_rest or spec[key].dtype) == np.float16
        return array.astype(np.float16 if raster else np.float64) if np.issubdtype(array.dtype, np.floating) else array

    tree = nested({key: wide(key, np.asarray(array)) for key, array in sample.items() if spec[key].batch})
    path.write_bytes(gzip.compress(pickle.dumps(tree), 1))
    return path


def cached(place: Path, rows: Sequence[tuple[ScenarioId, Sample]], spec: Spec, profile: str) -> CacheFolder:
    """Return a cache that holds the samples."""
    folder = CacheFolder(place, LmdbShards())
    builder = make(PlutoFeaturesConfig(), Context())
    folder.open_or_create(fingerprint(Identity(reader="any/1", settings={}, dataset={"a.db": 1}), [(TAG, builder, {})]))
    writer = RollingWriter(folder.shards)
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
