"""The LMDB environments of this process: each file is open once, the least used are closed, a fork starts with none.

py-lmdb refuses to open a file twice in one process, and a forked child inherits that guard, so the child closes what it
inherited. An environment that a thread is using is never closed.
"""

import contextlib
import os
import resource
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import lmdb

from pluto_core import PlutoError
from pluto_lmdb.config import LmdbConfig


class _Open:
    """One open file and how many threads use it."""

    def __init__(self, environment: lmdb.Environment) -> None:
        self.environment = environment
        self.users = 0


class _Registry:
    """Open files by path, the least recently used first."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.open: OrderedDict[str, _Open] = OrderedDict()

    def take(self, name: str, config: LmdbConfig) -> _Open:
        with self.lock:
            entry = self.open.pop(name, None)
            if entry is None:
                self._make_room(config)
                entry = _Open(_opened(Path(name), config))
            self.open[name] = entry
            entry.users += 1
            return entry

    def give_back(self, entry: _Open) -> None:
        with self.lock:
            entry.users -= 1

    def close(self, name: str) -> None:
        with self.lock:
            if name in self.open and not self.open[name].users:
                self.open.pop(name).environment.close()

    def make_room(self, config: LmdbConfig) -> None:
        with self.lock:
            self._make_room(config)

    def _make_room(self, config: LmdbConfig) -> None:
        kept = min(config.open_shards, _room()) - 1
        for name in [name for name, entry in self.open.items() if not entry.users][: max(0, len(self.open) - kept)]:
            self.open.pop(name).environment.close()

    def forget(self) -> None:
        """Close what a forked child inherited; the parent's environments stay as they are."""
        self.lock = threading.Lock()
        for entry in self.open.values():
            entry.environment.close()
        self.open.clear()


_registry = _Registry()
os.register_at_fork(after_in_child=_registry.forget)


@contextlib.contextmanager
def lease(name: str, config: LmdbConfig) -> Iterator[lmdb.Environment]:
    """Give the environment of a file, which stays open for the time of the `with` block.

    Args:
        name: Its path, without links on the way, so that a file has one name.
        config: How it is opened, and how many are.

    Raises:
        PlutoError: The file is missing, no LMDB file, or cut off; or LMDB finds it damaged in the `with` block.
    """
    entry = _registry.take(name, config)
    try:
        yield entry.environment
    except lmdb.Error as error:
        message = f"{name} is damaged: {error}; run `pluto cache verify`"
        raise PlutoError(message) from error
    finally:
        _registry.give_back(entry)


def make_room(config: LmdbConfig) -> None:
    """Close files that nobody uses, if as many are open as may be, so that one more can be opened."""
    _registry.make_room(config)


def _room() -> int:
    """Return how many files LMDB may keep open, with as many left to the rest of the process."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if allowed == resource.RLIM_INFINITY else max(1, allowed // 2)


def release(name: str) -> None:
    """Close the environment of a file, unless it is in use."""
    _registry.close(name)


def _opened(path: Path, config: LmdbConfig) -> lmdb.Environment:
    try:
        environment = lmdb.open(
            str(path), subdir=False, readonly=True, create=False, lock=False, readahead=config.readahead, max_dbs=0
        )
    except lmdb.Error as error:
        message = f"{path} is no LMDB shard, or is damaged: {error}"
        raise PlutoError(message) from None
    held = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    size = path.stat().st_size
    if size < held:
        environment.close()
        message = f"{path} is cut off: it has {size} bytes and should have {held}"
        raise PlutoError(message)
    return environment
