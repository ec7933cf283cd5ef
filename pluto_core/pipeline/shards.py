"""The shards of a cache: written under `unsealed/`, sealed by sync and rename, adopted when their writer died."""

import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from pluto_core.errors import PlutoError, SampleError
from pluto_core.pipeline import codec
from pluto_core.pipeline.durable import move, remove, sync_tree
from pluto_core.pipeline.index import Stamp
from pluto_core.pipeline.locks import Lock, Owner, boot_id
from pluto_core.protocols import ShardReader, ShardStore, ShardWriter

SEALED, UNSEALED, ASIDE = "shards", "unsealed", "damaged"

SEAL_SAMPLES = 5000
"""Samples after which a shard is sealed."""

_OWNER = ".owner"

_in_process: dict[Path, list[str]] = {}
"""Names of sealed shards by cache folder, for stores without files."""


@attrs.frozen
class Shards:
    """All shards of one cache folder. Holds nothing open, and may be pickled."""

    cache: Path
    store: ShardStore
    scratch: Path | None = None
    """Folder for shards being written, where the cache lies on a shared file system; None: the cache itself."""

    @property
    def unsealed(self) -> Path:
        """Return the folder of shards being written."""
        if self.scratch is None:
            return self.cache / UNSEALED
        return self.scratch / f"pluto-{hashlib.blake2b(str(self.cache.absolute()).encode(), digest_size=8).hexdigest()}"

    def path(self, name: str) -> Path:
        """Return the place of a sealed shard."""
        return self.cache / SEALED / name

    def sealed(self) -> tuple[Stamp, ...]:
        """Return all sealed shards by name."""
        if not self.store.suffix:
            return tuple(Stamp(name, 0) for name in sorted(_in_process.get(self.cache, [])))
        paths = sorted((self.cache / SEALED).glob("*" + self.store.suffix))
        whole = [path for path in paths if not path.name.startswith(".")]
        return tuple(Stamp(path.name, _size(path)) for path in whole)

    def open(self, name: str) -> ShardReader:
        """Return a reader of a sealed shard."""
        return self.store.open(self.path(name))

    def keys(self, stamp: Stamp) -> list[bytes]:
        """Return all keys of a sealed shard.

        Raises:
            PlutoError: It cannot be read.
        """
        reader = self.open(stamp.name)
        try:
            return list(reader.keys())
        finally:
            reader.close()

    def create(self) -> "Unsealed":
        """Return a new shard of this process, with its owner's lock beside it."""
        name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:12]}{self.store.suffix}"
        if not self.store.suffix:
            return Unsealed(shards=self, name=name, path=self.path(name), lock=None, writer=self.store.create(self.path(name)))
        self.unsealed.mkdir(parents=True, exist_ok=True)
        self._require_own()
        lock = Lock.take(self.unsealed / (name + _OWNER))
        path = self.unsealed / name
        try:
            writer = self.store.create(path)
        except BaseException:
            if lock is not None:
                lock.release()
            raise
        return Unsealed(shards=self, name=name, path=path, lock=lock, writer=writer)

    def publish(self, path: Path, name: str) -> None:
        """Move a complete and synced shard to its place."""
        if not self.store.suffix:
            _in_process.setdefault(self.cache, []).append(name)
            return
        (self.cache / SEALED).mkdir(exist_ok=True)
        move(path, self.path(name))

    def orphans(self) -> Iterator[tuple[Path, Lock, Owner | None]]:
        """Yield unsealed shards whose owner died, each with its lock held and the owner that was."""
        if not self.store.suffix or not self.unsealed.is_dir():
            return
        self._require_own()
        for path in sorted(self.unsealed.glob("*" + self.store.suffix)):
            place = self.unsealed / (path.name + _OWNER)
            owner = Owner.read(place)
            lock = Lock.take(place)
            if lock is None:
                continue
            with lock:
                if path.exists():
                    yield path, lock, owner

    def adopt(self, note: Callable[[str], None]) -> int:
        """Seal what dead owners left behind, value by value, and return the number of values rescued.

        A shard that was being written when the machine went down is thrown away: its pages may be of any age.
        """
        rescued = 0
        for path, _lock, owner in self.orphans():
            if owner is not None and owner.boot != boot_id():
                note(f"removed the shard {path.name}, which was being written when the machine went down")
                remove(path)
                continue
            rescued += self._rescue(path, note)
        for path in self.unsealed.glob("*" + _OWNER) if self.unsealed.is_dir() else ():
            if not path.with_name(path.name.removesuffix(_OWNER)).exists():
                lock = Lock.take(path)
                if lock is not None:
                    lock.release()
        return rescued

    def _rescue(self, path: Path, note: Callable[[str], None]) -> int:
        try:
            reader = self.store.open(path)
            keys = list(reader.keys())
        except (PlutoError, OSError) as error:
            note(f"removed the unfinished shard {path.name}: {error}")
            remove(path)
            return 0
        good = [key for key in keys if whole(reader, key)]
        if good and len(good) < len(keys):
            self._copy(reader, good)
        reader.close()
        if good and len(good) == len(keys):
            sync_tree(path)
            self.publish(path, path.name)
        else:
            remove(path)
        note(f"took over {len(good)} of {len(keys)} values from a run that was killed")
        return len(good)

    def _copy(self, reader: ShardReader, keys: list[bytes]) -> None:
        copy = self.create()
        for key in keys:
            copy.put(key, reader.get(key))
        copy.seal()

    def _require_own(self) -> None:
        """Refuse a folder of shards being written that somebody else made: scratch folders are often everybody's.

        Raises:
            PlutoError: It belongs to another user, or is a link.
        """
        if self.scratch is not None and (self.unsealed.is_symlink() or self.unsealed.stat().st_uid != os.geteuid()):
            raise PlutoError(f"{self.unsealed} belongs to somebody else; choose another cache.scratch")

    def set_aside(self, name: str) -> None:
        """Move a sealed shard that cannot be read out of the way; a person may look at it."""
        if os.path.lexists(self.path(name)):
            (self.cache / ASIDE).mkdir(exist_ok=True)
            self.path(name).rename(self.cache / ASIDE / name)

    def remove_all(self) -> None:
        """Remove every shard."""
        for folder in (self.cache / SEALED, self.cache / UNSEALED, self.cache / ASIDE, self.unsealed):
            remove(folder)
        for name in _in_process.pop(self.cache, []):
            discard = getattr(self.store, "discard", None)
            if discard is not None:
                discard(self.path(name))


def _size(path: Path) -> int:
    try:
        return 0 if path.is_dir() else path.stat().st_size
    except OSError:  # a link that leads nowhere: opening it will say so
        return 0


def whole(reader: ShardReader, key: bytes) -> bool:
    """Return whether a value can be read and its checksums agree."""
    try:
        codec.decode(reader.get(key), key=key, verify=True)
    except (SampleError, PlutoError, KeyError, OSError):
        return False
    return True


@attrs.define(kw_only=True, eq=False)
class Unsealed:
    """One shard being written by this process."""

    shards: Shards
    name: str
    path: Path
    lock: Lock | None
    writer: ShardWriter
    values: int = 0
    size: int = 0

    def put(self, key: bytes, value: bytes) -> None:
        """Store a value."""
        self.writer.put(key, value)
        self.values += 1
        self.size += len(value)

    def seal(self) -> None:
        """Make the shard durable and part of the cache; an empty one is removed."""
        try:
            self.writer.seal()
            if self.values:
                self.shards.publish(self.path, self.name)
            else:
                remove(self.path)
        finally:
            if self.lock is not None:
                self.lock.release()


class RollingWriter:
    """Writes the samples of one session into shards, and seals each after so many samples or so much time."""

    def __init__(self, shards: Shards, *, samples: int = SEAL_SAMPLES, seconds: float = 300.0) -> None:
        self._shards = shards
        self._samples = samples
        self._seconds = seconds
        self._shard: Unsealed | None = None
        self._count = 0
        self._since = 0.0

    def put(self, key: bytes, value: bytes) -> None:
        """Store a value.

        Raises:
            OSError: The disk is full or gone.
        """
        if self._shard is None:
            self._shard = self._shards.create()
            self._count, self._since = 0, time.monotonic()
        self._shard.put(key, value)

    def end_sample(self) -> None:
        """Say that all values of a sample are put; seals where it is time to."""
        self._count += 1
        if self._shard is not None and (self._count >= self._samples or time.monotonic() - self._since >= self._seconds):
            self.seal()

    def seal(self) -> None:
        """Seal what was written so far; a second call does nothing."""
        if self._shard is not None:
            shard, self._shard = self._shard, None
            shard.seal()
