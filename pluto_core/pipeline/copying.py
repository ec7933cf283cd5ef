"""Copying a cache into another one, and rewriting one so that nothing in it is dead or scattered."""

from collections.abc import Iterable, Iterator

import attrs
import numpy as np

from pluto_core.errors import PlutoError
from pluto_core.pipeline import listings
from pluto_core.pipeline.durable import remove, write_file
from pluto_core.pipeline.folder import CacheFolder
from pluto_core.pipeline.index import Index, raw_key
from pluto_core.pipeline.maintenance import Progress, silent, size_of_shards
from pluto_core.pipeline.shards import SEAL_SAMPLES, RollingWriter


def copy(source: CacheFolder, target: CacheFolder, *, progress: Progress = silent) -> int:
    """Copy a cache into another one, which may be stored otherwise, and return the number of values copied.

    Values that the target has are kept. Copying into an empty one also compacts: one value for each sample remains.
    """
    manifest = source.manifest
    target.open_or_create(manifest.fingerprint)
    copied = 0
    index = source.index()
    total = sum(index.count(tag) for tag in index.tags)
    with target.hold():
        there = target.tidy()
        writer = RollingWriter(target.shards, samples=SEAL_SAMPLES * max(len(index.tags), 1))
        try:
            for key, value in _lacking(source, index, there):
                writer.put(key, value)
                writer.end_sample()
                copied += 1
                progress(copied, total)
        finally:
            writer.seal()
        (target.path / listings.FOLDER).mkdir(exist_ok=True)
        for path in (source.path / listings.FOLDER).glob("*.npz"):
            write_file(target.path / listings.FOLDER / path.name, path.read_bytes())
        target.tidy()
    return copied


def _lacking(source: CacheFolder, index: Index, there: Index) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values that a cache holds and another index does not."""
    for number, stamp in enumerate(index.shards):
        reader = source.shards.open(stamp.name)
        try:
            for tag, places in zip(index.tags, index.places, strict=True):
                mine = index.keys[places == number]
                for key in mine[there.places_of(tag, mine) < 0].tolist():
                    full = raw_key(tag, key)
                    yield full, reader.get(full)
        finally:
            reader.close()


@attrs.frozen(kw_only=True)
class Compacted:
    """What `compact` did."""

    rewritten: int
    """Shards that were rewritten."""
    values: int
    """Values that were copied."""
    shards: int
    """Shards that there are now."""
    bytes_before: int
    bytes_after: int


def compact(folder: CacheFolder, *, samples: int = SEAL_SAMPLES, progress: Progress = silent) -> Compacted:
    """Rewrite the shards that hold dead values or few samples, and leave the others alone.

    New shards are sealed before old ones are removed, in the order in which they lose, so that a kill at any moment leaves
    every sample in place. Whoever reads the cache meanwhile (a training) may miss shards: stop it first.

    Args:
        folder: The cache.
        samples: Samples in a full shard.
        progress: Called with values copied and values to copy.

    Raises:
        PlutoError: A run uses the cache, or it lives in memory.
    """
    if not folder.store.suffix:
        message = f"the cache {folder.path} lived in the memory of a process; there is nothing to compact"
        raise PlutoError(message)
    with folder.hold():
        index = folder.tidy()
        before = size_of_shards(folder, index)
        chosen = _worth_rewriting(folder, index, samples)
        total = int(np.isin(index.places, chosen).sum())
        writer = RollingWriter(folder.shards, samples=samples * max(len(index.tags), 1))
        copied = 0
        try:
            for key, value in _held(folder, index, chosen):
                writer.put(key, value)
                writer.end_sample()
                copied += 1
                progress(copied, total)
        finally:
            writer.seal()
        for number in chosen:
            remove(folder.shards.path(index.shards[number].name))
        after = folder.tidy()
    return Compacted(
        rewritten=len(chosen),
        values=copied,
        shards=len(after.shards),
        bytes_before=before,
        bytes_after=size_of_shards(folder, after),
    )


def _worth_rewriting(folder: CacheFolder, index: Index, samples: int) -> list[int]:
    """Return the numbers of shards with dead values, and of those less than half full where there are several."""
    live = np.bincount(index.places[index.places >= 0], minlength=len(index.shards)).tolist()
    full = samples * max(len(index.tags), 1)
    dead = [number for number, stamp in enumerate(index.shards) if live[number] < len(folder.shards.keys(stamp))]
    small = [number for number, count in enumerate(live) if 2 * count < full]
    together = set(dead) | set(small)
    return sorted(together) if len(together) > 1 else dead


def _held(folder: CacheFolder, index: Index, shards: Iterable[int]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values that an index finds in some shards."""
    for number in shards:
        reader = folder.shards.open(index.shards[number].name)
        try:
            for tag, places in zip(index.tags, index.places, strict=True):
                for scenario in index.keys[places == number].tolist():
                    key = raw_key(tag, scenario)
                    yield key, reader.get(key)
        finally:
            reader.close()
