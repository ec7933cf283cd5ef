"""Reading a cache: samples by scenario key, merged over builders, in any process."""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, overload, runtime_checkable

import numpy as np
import numpy.typing as npt

from pluto_core import arrays
from pluto_core.arrays import ArraySpec
from pluto_core.errors import PlutoError, SampleError
from pluto_core.listing import Listing
from pluto_core.pipeline import codec, listings
from pluto_core.pipeline.checking import Check, MakeBuilders, checks_of
from pluto_core.pipeline.columns import Column, columns_of
from pluto_core.pipeline.index import Index, shard_key
from pluto_core.pipeline.inspection import Damage
from pluto_core.protocols import ShardReader
from pluto_core.samples import Sample, check

if TYPE_CHECKING:
    from pluto_core.pipeline.folder import CacheFolder


class Keys(Sequence[str]):
    """Scenario keys, ascending; held as one array of bytes (`array`) and given out as text."""

    def __init__(self, array: npt.NDArray[np.bytes_]) -> None:
        self.array = array

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> "Keys": ...
    def __getitem__(self, index: int | slice) -> "str | Keys":
        """Return one key, or a part of them."""
        if isinstance(index, slice):
            return Keys(self.array[index])
        return bytes(self.array[index]).decode()

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self.array)


@runtime_checkable
class LendingReader(Protocol):
    """What a reader of shards may offer: values where they lie, without a copy."""

    def lend(self, keys: Sequence[bytes]) -> AbstractContextManager[list[memoryview]]:
        """Give values in the order of `keys`, which are there for the time of the `with` block."""
        ...


class _Shard(NamedTuple):
    """An open shard."""

    reader: ShardReader
    lend: Callable[[Sequence[bytes]], AbstractContextManager[list[memoryview]]] | None
    """Its `lend`, where it has one."""

    @classmethod
    def of(cls, reader: ShardReader) -> "_Shard":
        return cls(reader, reader.lend if isinstance(reader, LendingReader) else None)


class _Found(NamedTuple):
    """A value and where it was."""

    shard: int
    key: bytes
    value: bytes | memoryview


class CacheReader:
    """The samples of a cache that every one of some builders gave.

    It pickles as the folder and the tags, and opens shards when it needs them, so that it works in forked and spawned
    processes; the index is mapped into memory and shared.
    """

    def __init__(
        self, folder: "CacheFolder", tags: Sequence[str], *, verify: bool = False, make_builders: MakeBuilders | None = None
    ) -> None:
        """Take what is to be read.

        Args:
            folder: The cache.
            tags: Builders that a sample must be there of.
            verify: Whether to prove every sample that is read: its checksum, its spec, and what its builder asks.
            make_builders: Gives the builders that are asked then, in every process that reads; None: none is.
        """
        self.folder = folder
        self.tags = tuple(tags)
        self._verify = verify
        self._make_builders = make_builders
        self._specs = {tag: folder.manifest.spec(tag) for tag in self.tags}
        self.spec: Mapping[str, ArraySpec] = arrays.join(self._specs.items())
        """Spec of the merged samples."""
        self._shards: dict[int, _Shard] = {}
        self._failed: set[bytes] = set()

    @property
    def shared(self) -> bool:
        """Return whether a copy of it in another process finds the same samples."""
        return self.folder.store.shared

    @cached_property
    def index(self) -> Index:
        """Return the index as it was when the reader was first used."""
        return self.folder.index()

    @cached_property
    def keys(self) -> Keys:
        """Return the keys of all scenarios that have every builder's sample, ascending."""
        rows = self.index.complete(self.tags)
        return Keys(self.index.keys if len(rows) == len(self.index.keys) else self.index.keys[rows])

    @cached_property
    def listing(self) -> Listing:
        """Return the scenarios of `keys`, row by row, with types and maps of the newest stored listing that has them."""
        return listings.described(self.keys.array, listings.load_all(self.folder.path))

    @cached_property
    def _checks(self) -> Mapping[str, Check]:
        """Return what builders ask of their samples, by tag."""
        return checks_of(self._make_builders)

    def get_many(self, keys: Sequence[str], names: Collection[str] | None = None) -> list[Sample]:
        """Return samples in the order of `keys`, in the dtypes at rest, as read-only views of private copies.

        Args:
            keys: Scenario keys.
            names: Arrays to return; None for all.

        Raises:
            KeyError: A scenario is not in the cache.
            SampleError: A value is damaged.
        """
        samples: list[Sample] = [{} for _ in keys]
        for tag, wanted in self._wanted(names):
            for sample, one in zip(samples, self._found(tag, keys), strict=True):
                sample.update(self._decoded(tag, one, wanted))
        return samples

    @contextlib.contextmanager
    def lend_columns(self, keys: Sequence[str], names: Collection[str] | None = None) -> Iterator[dict[str, Column]]:
        """Give samples by array instead of by row, without a copy where the store can.

        Arrays must not be looked at after the `with` block. What is packed is unpacked, and found damaged, when a column gives
        its arrays.

        Args:
            keys: Scenario keys; rows stand in their order.
            names: Arrays to give; None for all.

        Raises:
            KeyError: A scenario is not in the cache.
            SampleError: A value is damaged.
        """
        columns: dict[str, Column] = {}
        with contextlib.ExitStack() as lent:
            for tag, wanted in self._wanted(names):
                found = self._found(tag, keys, lent)
                columns |= self._lying(found, wanted) or columns_of([self._decoded(tag, one, wanted) for one in found])
            yield columns

    def _wanted(self, names: Collection[str] | None) -> Iterator[tuple[str, Collection[str] | None]]:
        """Yield every builder that gives any of the arrays, and those of them that it gives; None stands for all."""
        for tag in self.tags:
            wanted = None if names is None else self._specs[tag].keys() & set(names)
            if wanted is None or wanted:
                yield tag, wanted

    def _found(self, tag: str, keys: Sequence[str], lent: contextlib.ExitStack | None = None) -> list["_Found"]:
        """Return the values of one builder in the order of `keys`."""
        if not keys:
            return []
        places = self.index.places_of(tag, np.asarray([key.encode() for key in keys], np.bytes_))
        if (places < 0).any():
            raise KeyError(keys[int(np.argmin(places))])
        names = [shard_key(tag, key) for key in keys]
        rows_of: defaultdict[int, list[int]] = defaultdict(list)
        for row, shard in enumerate(places.tolist()):
            rows_of[shard].append(row)
        found: dict[int, _Found] = {}
        for shard, rows in rows_of.items():
            wanted = [names[row] for row in rows]
            values = self._values(shard, wanted) if lent is None else self._lent(shard, wanted, lent)
            for row, value in zip(rows, values, strict=True):
                found[row] = _Found(shard, names[row], value)
        return [found[row] for row in range(len(keys))]

    def _lying(self, found: Sequence["_Found"], wanted: Collection[str] | None) -> Mapping[str, Column] | None:
        """Return columns over values as they lie; None where each must be looked at, or names what is wrong with it."""
        if self._verify or not found:
            return None
        try:
            return codec.columns([one.value for one in found], [one.key for one in found], names=wanted)
        except SampleError:
            return None

    def _lent(self, shard: int, keys: Sequence[bytes], lent: contextlib.ExitStack) -> Sequence[bytes | memoryview]:
        lend = self._shard(shard).lend
        if lend is None:
            return self._values(shard, keys)
        try:
            return lent.enter_context(lend(keys))
        except KeyError as error:
            raise self._missing(shard, error) from None

    def _values(self, shard: int, keys: Sequence[bytes]) -> Sequence[bytes | memoryview]:
        try:
            return self._shard(shard).reader.get_many(keys)
        except KeyError as error:
            raise self._missing(shard, error) from None

    def _shard(self, shard: int) -> "_Shard":
        if shard not in self._shards:
            self._shards[shard] = _Shard.of(self.folder.shards.open(self.index.shards[shard].name))
        return self._shards[shard]

    def _missing(self, shard: int, error: KeyError) -> PlutoError:
        return PlutoError(f"{self.folder.path}: {error} is not in {self.index.shards[shard].name}; run `pluto cache verify`")

    def _decoded(self, tag: str, found: "_Found", wanted: Collection[str] | None) -> Sample:
        try:
            if not self._verify:
                return codec.decode(found.value, key=found.key, names=wanted)
            sample = codec.decode(found.value, key=found.key, verify=True)
            check(sample, self._specs[tag], dtypes=False)
            if tag in self._checks:
                self._checks[tag](sample)
        except SampleError as error:
            shard = self.index.shards[found.shard].name
            self._note_failed(shard, Damage(found.key, error.reason, error.detail))
            where = f"{found.key.decode()} in {shard}: {error.detail}; run `pluto cache verify`"
            raise SampleError(error.reason, where) from None
        return sample if wanted is None else {name: sample[name] for name in sample.keys() & wanted}

    def _note_failed(self, shard: str, damage: Damage) -> None:
        """Make a sample that cannot be used a row of the failures, where the cache can be written."""
        if damage.key not in self._failed:
            self._failed.add(damage.key)
            self.folder.note_failed({shard: [damage]})

    def close(self) -> None:
        """Let go of all shards; the next read opens them again."""
        for shard in self._shards.values():
            shard.reader.close()
        self._shards.clear()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to this process."""
        kept = ("folder", "tags", "_verify", "_make_builders", "_specs", "spec")
        return {**{name: self.__dict__[name] for name in kept}, "_shards": {}, "_failed": set()}
