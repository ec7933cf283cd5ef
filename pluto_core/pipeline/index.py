"""The index: which sealed shard holds the sample of which scenario, for each builder.

One file of sorted fixed-width keys and shard numbers, mapped into memory, so that opening a million entries costs
milliseconds and processes share them. It follows from the shards and is made again where it is missing or stale.
"""

import json
import mmap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.arrays import ArraySpec
from pluto_core.errors import PlutoError, SampleError
from pluto_core.pipeline import codec
from pluto_core.pipeline.durable import write_file
from pluto_core.places.files import opened, parsed
from pluto_core.samples import Sample, check

NAME = "index.bin"

Keys = npt.NDArray[np.bytes_]
Ints = npt.NDArray[np.int64]
Places = npt.NDArray[np.int32]

_SPEC = {
    "about": ArraySpec(dims=("byte",), dtype="uint8"),
    "keys": ArraySpec(dims=("entry", "width"), dtype="uint8"),
    "places": ArraySpec(dims=("tag", "entry"), dtype="int32"),
}


def shard_key(tag: str, scenario: str) -> bytes:
    """Return the key of a value within its shard."""
    return f"{tag}|{scenario}".encode()


def raw_key(tag: str, scenario: bytes) -> bytes:
    """Return the key of a value from a tag and scenario of the index, also where damage made them no text."""
    return tag.encode(errors="surrogateescape") + b"|" + scenario


@attrs.frozen
class Stamp:
    """A sealed shard, and what shows that it is still the same one."""

    name: str
    """File name in the folder of shards."""
    size: int
    """Bytes, 0 for shards that are folders or in memory."""


@attrs.frozen(kw_only=True, eq=False)
class Index:
    """Scenarios of a cache, ascending by key, and where their samples are."""

    shards: tuple[Stamp, ...]
    tags: tuple[str, ...]
    keys: Keys
    """(n,) scenario keys as UTF-8."""
    places: Places
    """(tags, n) number in `shards`, or -1 where that builder's sample is not there."""
    damaged: str = ""
    """Digest of the list of damaged values that were left out."""
    unreadable: Mapping[str, str] = attrs.field(factory=dict)
    """Why shards could not be read, by name."""

    def rows(self, keys: Keys) -> Ints:
        """Return the row of each key, or -1 where it has none."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.int64)
        width = self.keys.dtype.itemsize
        asked = keys.astype(f"S{width}") if keys.dtype.itemsize != width else keys
        found = np.minimum(np.searchsorted(self.keys, asked), len(self.keys) - 1)
        known = self.keys[found] == asked
        if keys.dtype.itemsize > width:
            known &= np.char.str_len(keys) <= width
        return np.where(known, found, -1)

    def places_of(self, tag: str, keys: Keys) -> Ints:
        """Return for each key the number of the shard that holds the builder's sample, or -1."""
        rows = self.rows(keys)
        if tag not in self.tags:
            return np.full(len(keys), -1, np.int64)
        places = self.places[self.tags.index(tag)]
        return np.where(rows >= 0, places[rows], -1).astype(np.int64) if len(places) else np.full(len(keys), -1, np.int64)

    def complete(self, tags: Sequence[str]) -> Ints:
        """Return the rows of scenarios that have a sample of every builder in `tags`."""
        if not set(tags) <= set(self.tags):
            return np.zeros(0, np.int64)
        numbers = [self.tags.index(tag) for tag in tags]
        return np.flatnonzero((self.places[numbers] >= 0).all(axis=0))

    def count(self, tag: str) -> int:
        """Return the number of samples of one builder."""
        return int(np.count_nonzero(self.places[self.tags.index(tag)] >= 0)) if tag in self.tags else 0

    def write(self, folder: Path) -> None:
        """Write the index into a cache folder."""
        about = {
            "shards": [attrs.astuple(stamp) for stamp in self.shards],
            "tags": self.tags,
            "damaged": self.damaged,
            "unreadable": dict(self.unreadable),
        }
        width = max(self.keys.dtype.itemsize, 1)
        sample: Sample = {
            "about": np.frombuffer(json.dumps(about).encode(), np.uint8),
            "keys": np.ascontiguousarray(self.keys.astype(f"S{width}")).view(np.uint8).reshape(len(self.keys), width),
            "places": self.places,
        }
        write_file(folder / NAME, codec.encode(sample, _SPEC, "raw"))

    @classmethod
    def read(cls, folder: Path) -> "Index | None":
        """Return the index of a cache folder as it was written, or None where there is none that can be read."""
        try:
            with opened(folder / NAME) as file:
                view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            sample = codec.decode(view, verify=True)
            check(sample, _SPEC)
            about: Any = parsed(sample["about"].tobytes())
            keys = sample["keys"]
            found = cls(
                shards=tuple(Stamp(str(name), int(size)) for name, size in about["shards"]),
                tags=tuple(map(str, about["tags"])),
                keys=keys.view(f"S{keys.shape[1]}").reshape(len(keys)) if len(keys) else np.zeros(0, "S1"),
                places=sample["places"],
                damaged=str(about["damaged"]),
                unreadable={str(name): str(why) for name, why in about["unreadable"].items()},
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, SampleError):
            return None
        return found if found._is_sound() else None

    def _is_sound(self) -> bool:
        """Return whether every place is that of a shard; an index that somebody made up may say anything."""
        rows = self.places.shape == (len(self.tags), len(self.keys))
        return rows and (not self.places.size or -1 <= self.places.min() <= self.places.max() < len(self.shards))


EMPTY = Index(shards=(), tags=(), keys=np.zeros(0, "S1"), places=np.zeros((0, 0), np.int32))

_Part = tuple[str, Keys, npt.NDArray[Any]]
"""A tag, scenario keys, and the number of the shard of each."""


def joined(
    old: Index,
    sealed: Sequence[Stamp],
    read_keys: Callable[[Stamp], Iterable[bytes]],
    dropped: Mapping[str, frozenset[bytes]],
    digest: str,
) -> Index:
    """Return the index of the shards that are sealed now; only those that `old` does not know are read.

    Args:
        old: An index of the past.
        sealed: Shards in the order in which they win where two hold the same sample (the last one does).
        read_keys: Returns all keys of a shard.
        dropped: Keys of damaged values by name of shard, to be left out.
        digest: Of `dropped`; where it differs from the old one, everything is read again.
    """
    if old.damaged != digest:
        old = EMPTY
    number = {stamp: index for index, stamp in enumerate(sealed)}
    parts = list(_kept(old, number))
    unreadable = {name: why for name, why in old.unreadable.items() if any(stamp.name == name for stamp in sealed)}
    known = {stamp for stamp in old.shards if stamp in number and stamp.name not in unreadable}
    for stamp in sealed:
        if stamp in known:
            continue
        try:
            keys = list(read_keys(stamp))
        except (PlutoError, OSError) as error:
            unreadable[stamp.name] = str(error)
            continue
        unreadable.pop(stamp.name, None)
        gone = dropped.get(stamp.name, frozenset())
        parts += _by_tag([key for key in keys if key not in gone], number[stamp])
    return _combined(parts, tuple(sealed), digest, unreadable)


def _kept(old: Index, number: Mapping[Stamp, int]) -> Iterable[_Part]:
    renumbered = np.asarray([number.get(stamp, -1) for stamp in old.shards] + [-1], np.int32)
    for tag, places in zip(old.tags, old.places, strict=True):
        now = renumbered[places]
        yield tag, old.keys[now >= 0], now[now >= 0]


def _by_tag(keys: Sequence[bytes], shard: int) -> Iterable[_Part]:
    by_tag: dict[bytes, list[bytes]] = {}
    for key in keys:
        tag, bar, scenario = key.partition(b"|")
        if bar:
            by_tag.setdefault(tag, []).append(scenario)
    for tag, scenarios in by_tag.items():
        yield tag.decode(errors="surrogateescape"), np.asarray(scenarios, np.bytes_), np.full(len(scenarios), shard, np.int32)


def _combined(parts: Sequence[_Part], sealed: tuple[Stamp, ...], digest: str, unreadable: Mapping[str, str]) -> Index:
    parts = [part for part in parts if len(part[1])]
    tags = tuple(sorted({tag for tag, _, _ in parts}))
    if not parts:
        keys, rows = np.zeros(0, "S1"), np.zeros(0, np.int64)
    else:
        keys, rows = np.unique(np.concatenate([keys for _, keys, _ in parts]), return_inverse=True)
    places = np.full((len(tags), len(keys)), -1, np.int32)
    start = 0
    for tag, part_keys, shards in parts:
        mine = rows[start : start + len(part_keys)]
        row = places[tags.index(tag)]
        row[mine] = np.maximum(row[mine], shards)
        start += len(part_keys)
    return Index(shards=sealed, tags=tags, keys=keys, places=places, damaged=digest, unreadable=unreadable)
