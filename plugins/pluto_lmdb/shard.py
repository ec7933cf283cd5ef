"""Shards as LMDB files: writers that survive a SIGKILL, and readers that survive forks and pickling."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import attrs
import lmdb

from pluto_core import PlutoError
from pluto_core.component import Context
from pluto_lmdb.config import LmdbConfig
from pluto_lmdb.environments import lease, make_room, release
from pluto_lmdb.pages import require_sound

Value = TypeVar("Value", bytes, memoryview)

_FIRST_MAP = 1 << 28
"""Bytes of address space that a new shard asks for; doubled whenever it is full."""


def make(config: LmdbConfig, _context: Context) -> "LmdbShards":
    """Return the store of an experiment."""
    return LmdbShards(config)


@attrs.frozen
class LmdbShards:
    """The shard store `lmdb`."""

    config: LmdbConfig = attrs.field(factory=LmdbConfig)
    first_map: int = _FIRST_MAP
    shared: bool = attrs.field(default=True, init=False)
    suffix: str = attrs.field(default=".lmdb", init=False)

    def create(self, path: Path) -> "LmdbWriter":
        """Return a writer of a new file.

        Raises:
            FileExistsError: There is something at `path`.
        """
        if path.exists():
            raise FileExistsError(path)
        return LmdbWriter(path, self.first_map)

    def open(self, path: Path) -> "LmdbReader":
        """Return a reader of a file that no process writes.

        Raises:
            PlutoError: It is missing, no LMDB file, or cut off.
        """
        reader = LmdbReader(path, self.config)
        reader.check()
        return reader


class LmdbWriter:
    """One file being written: a transaction a value, nothing synced before the end, no lock file.

    LMDB never overwrites a page that the last commit needs, and the kernel keeps what a killed process wrote: after a SIGKILL
    the file holds every value whose `put` returned. After a power loss it may hold anything, until `seal`.
    """

    def __init__(self, path: Path, first_map: int) -> None:
        self._path = path
        self._map_size = first_map
        try:
            self._environment: lmdb.Environment | None = lmdb.open(
                str(path), subdir=False, map_size=first_map, sync=False, metasync=False, lock=False, readahead=False, max_dbs=0
            )
        except lmdb.Error as error:
            raise OSError(f"cannot write {path}: {error}") from error

    def put(self, key: bytes, value: bytes) -> None:
        """Store a value.

        Raises:
            OSError: The disk is full or gone.
            PlutoError: The key is empty or longer than LMDB allows.
        """
        environment = self._environment
        if environment is None:
            message = f"{self._path} is sealed"
            raise ValueError(message)
        if not 0 < len(key) <= environment.max_key_size():
            message = (
                f"LMDB takes keys of 1 to {environment.max_key_size()} bytes, not {len(key)}: {key[:80]!r}; use another [cache]"
            )
            raise PlutoError(message)
        while True:
            try:
                with environment.begin(write=True) as transaction:
                    transaction.put(key, value)
            except lmdb.MapFullError:
                self._map_size *= 2
                environment.set_mapsize(self._map_size)
            except lmdb.Error as error:
                raise OSError(f"cannot write {self._path}: {error}") from error
            else:
                return

    def seal(self) -> None:
        """Bring everything to the disk and close; a second call does nothing.

        Raises:
            OSError: The disk is full or gone.
        """
        if self._environment is None:
            return
        environment, self._environment = self._environment, None
        try:
            environment.sync(True)  # noqa: FBT003 -- `force`, which has no other name in py-lmdb
        except lmdb.Error as error:
            raise OSError(f"cannot write {self._path}: {error}") from error
        finally:
            environment.close()


class LmdbReader:
    """A shard as a mapping. Holds nothing but a path: environments are shared within a process and opened anew after a fork."""

    def __init__(self, path: Path, config: LmdbConfig) -> None:
        self._path = path
        self._real = os.path.realpath(path)
        self._config = config

    def check(self) -> None:
        """Prove that the file can be opened, is as long as it says, and leads nowhere but into itself.

        Raises:
            PlutoError: It is missing, no LMDB file, or cut off.
        """
        if not self._path.is_file():
            message = f"{self._path} is no LMDB shard: there is no such file"
            raise PlutoError(message)
        make_room(self._config)
        require_sound(self._path)
        with lease(self._real, self._config):
            pass

    def keys(self) -> list[bytes]:
        """Return all keys, ascending."""
        with lease(self._real, self._config) as environment, environment.begin() as transaction:
            return list(transaction.cursor().iternext(keys=True, values=False))

    def get(self, key: bytes) -> bytes:
        """Return a copy of a value."""
        return self.get_many([key])[0]

    def get_many(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return copies of values, read in one transaction."""
        with lease(self._real, self._config) as environment, environment.begin() as transaction:
            return _values(environment, transaction, keys)

    @contextlib.contextmanager
    def lend(self, keys: Sequence[bytes]) -> Iterator[list[memoryview]]:
        """Give values where they lie in the file; they must not be looked at after the `with` block."""
        with lease(self._real, self._config) as environment:
            transaction = environment.begin(buffers=True)
            try:
                yield _values(environment, transaction, keys)
            finally:
                with contextlib.suppress(lmdb.Error):  # closed already, in a fork of the process that was lent something
                    transaction.abort()

    def close(self) -> None:
        """Close the file unless another thread reads from it."""
        release(self._real)


def _values(environment: lmdb.Environment, transaction: "lmdb.Transaction[Value]", keys: Sequence[bytes]) -> list[Value]:
    values: list[Value] = []
    longest = environment.max_key_size()
    for key in keys:
        value = transaction.get(key) if 0 < len(key) <= longest else None
        if value is None:
            raise KeyError(key)
        values.append(value)
    return values
