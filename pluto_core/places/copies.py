"""Local copies of remote files: fetched once for all processes of a machine, whole or not at all, and not more than allowed."""

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path

import attrs

from pluto_core.places.names import file_name

GRACE_S = 120.0
"""Copies used so lately are not removed: somebody may be about to open them."""
_ABANDONED_S = 3600.0
_PART = ".part"


@attrs.frozen
class Copies:
    """A folder of copies with a limit; the least recently used ones go first. Holds nothing open, and may be pickled."""

    folder: Path
    limit_bytes: int

    def get(self, url: str, size: int, tag: str, fetch: Callable[[Path], None]) -> Path:
        """Return the copy of a file, fetched unless it is there; processes that want the same one wait for each other.

        Args:
            url: Where the file is.
            size: Its bytes.
            tag: Mark of its content: a changed file is another file.
            fetch: Puts the whole file at a path, or raises.

        Raises:
            OSError: It cannot be fetched whole, or there is no room.
        """
        key = blake2b(f"{url}\n{size}\n{tag}".encode(), digest_size=12).hexdigest()
        path = self.folder / key / file_name(url.rpartition("/")[2])
        if not _used(path, size):
            path.parent.mkdir(parents=True, exist_ok=True)
            with locked(self.folder / f"{key}.lock"):
                if not _used(path, size):
                    self._fetch(path, size, fetch)
        return path

    def _fetch(self, path: Path, size: int, fetch: Callable[[Path], None]) -> None:
        self.make_room(size)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}{_PART}")
        try:
            fetch(part)
            os.utime(part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def make_room(self, size: int) -> None:
        """Remove copies that were not used for longest, until `size` more bytes are within the limit.

        Raises:
            OSError: The disk has no room for so many bytes.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / "room.lock"):
            now = time.time()
            held = sorted(self._held())
            total = sum(taken for _, taken, _ in held)
            for used, taken, path in held:
                age_s = now - used
                abandoned = path.suffix == _PART and age_s > _ABANDONED_S
                if not abandoned and (total + size <= self.limit_bytes or age_s < GRACE_S or path.suffix == _PART):
                    continue
                path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    path.parent.rmdir()
                (self.folder / f"{path.parent.name}.lock").unlink(missing_ok=True)
                total -= taken
        if shutil.disk_usage(self.folder).free < size:
            raise OSError(errno.ENOSPC, f"no room for {size:,} bytes", str(self.folder))

    def _held(self) -> Iterator[tuple[float, int, Path]]:
        """Yield time of last use, size and path of every copy."""
        for path in self.folder.glob("*/*"):
            try:
                state = path.stat()
            except FileNotFoundError:
                continue
            yield state.st_mtime, state.st_size, path


def _used(path: Path, size: int) -> bool:
    """Return whether the copy is there, and note that it is used."""
    try:
        os.utime(path)
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time do something; where the file system knows no locks, all do it, which costs time only."""
    with path.open("ab") as stream:
        with contextlib.suppress(OSError):
            fcntl.flock(stream, fcntl.LOCK_EX)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                fcntl.flock(stream, fcntl.LOCK_UN)
