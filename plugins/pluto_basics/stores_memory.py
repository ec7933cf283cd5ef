"""Shards in memory: what `[cache] use = "memory"` means. Nothing is kept when the process ends."""

from collections.abc import Sequence
from pathlib import Path

import attrs

from pluto_basics.config import MemoryConfig
from pluto_core import PlutoError
from pluto_core.component import Context

_shards: dict[str, dict[bytes, bytes]] = {}
"""Shards of this process by path; a forked child sees those that were there before the fork."""


def make(_config: MemoryConfig, _context: Context) -> "MemoryShards":
    """Return the store of an experiment."""
    return MemoryShards()


@attrs.frozen
class MemoryShards:
    """The shard store `memory`."""

    shared: bool = attrs.field(default=False, init=False)
    suffix: str = attrs.field(default="", init=False)

    def create(self, path: Path) -> "MemoryWriter":
        """Return a writer of a new shard.

        Raises:
            FileExistsError: There is one of that name.
        """
        name = str(path.absolute())
        if name in _shards:
            raise FileExistsError(path)
        _shards[name] = {}
        return MemoryWriter(_shards[name])

    def open(self, path: Path) -> "MemoryReader":
        """Return a reader of a shard of this process.

        Raises:
            PlutoError: There is none.
        """
        name = str(path.absolute())
        if name not in _shards:
            message = f"{path} is not in the memory of this process; use another [cache] to share samples between processes"
            raise PlutoError(message)
        return MemoryReader(_shards[name])

    def discard(self, path: Path) -> None:
        """Give back the memory of a shard; what is not there is no error."""
        _shards.pop(str(path.absolute()), None)


class MemoryWriter:
    """A dict being filled."""

    def __init__(self, values: dict[bytes, bytes]) -> None:
        self._values = values
        self._sealed = False

    def put(self, key: bytes, value: bytes) -> None:
        """Store a value."""
        if self._sealed:
            message = "the shard is sealed"
            raise ValueError(message)
        self._values[key] = bytes(value)

    def seal(self) -> None:
        """Take no more values."""
        self._sealed = True


class MemoryReader:
    """A dict being read."""

    def __init__(self, values: dict[bytes, bytes]) -> None:
        self._values = values

    def keys(self) -> list[bytes]:
        """Return all keys, ascending."""
        return sorted(self._values)

    def get(self, key: bytes) -> bytes:
        """Return a value."""
        return self._values[key]

    def get_many(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return values in the order of `keys`."""
        return [self._values[key] for key in keys]

    def close(self) -> None:
        """Do nothing: the values stay for other readers."""
