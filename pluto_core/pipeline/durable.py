"""Files that are whole or absent: written beside their place, brought to the disk, then renamed."""

import contextlib
import errno
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from pluto_core.errors import PlutoError

_ABANDONED_S = 3600.0
"""Age from which on the file of a writer is that of a killed one."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_NO_SYNC = frozenset({errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.ENOSYS})
"""What file systems say that cannot sync a folder."""


class ReadOnlyError(PlutoError):
    """A folder cannot be written: it is on a read-only disk, or somebody else's."""


@contextlib.contextmanager
def explained(place: Path) -> Iterator[None]:
    """Turn what the disk refuses within the block into a message for the user.

    Raises:
        ReadOnlyError: Instead of an OSError that says so.
        PlutoError: Instead of any other OSError; with the file, or `place` where the error names none.
    """
    try:
        yield
    except OSError as error:
        advice = "make room, or choose another path" if error.errno in _FULL else "choose another path"
        message = f"cannot write to {error.filename or place}: {error.strerror or error}; {advice}"
        raise (ReadOnlyError if error.errno in _READ_ONLY else PlutoError)(message) from error


def write_file(path: Path, data: bytes) -> None:
    """Put `data` at `path` in one step; whoever reads meanwhile sees the old content or the new one.

    What writers of the same file left who were killed an hour ago or more is removed.
    """
    _sweep(path)
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def leftovers(path: Path) -> list[Path]:
    """Return what writers of the file `path` left beside it: of those that were killed, and of those that still write."""
    pattern = re.compile(re.escape(f".{path.name}.") + "[0-9a-f]{8}")
    try:
        return [entry for entry in path.parent.iterdir() if pattern.fullmatch(entry.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _sweep(path: Path) -> None:
    for left in leftovers(path):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED_S:
                left.unlink()


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk, where its file system can: some of networks and clouds have no such call."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


def sync_tree(path: Path) -> None:
    """Bring a file, or a folder and all files in it, to the disk."""
    if path.is_dir():
        for entry in path.iterdir():
            sync_tree(entry)
        sync_folder(path)
        return
    with path.open("rb") as file:
        os.fsync(file.fileno())


def move(source: Path, target: Path) -> None:
    """Move a file or folder so that `target` is whole or absent, also between file systems."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        beside = target.with_name(f".{target.name}.moving")
        remove(beside)
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, beside)
        sync_tree(beside)
        beside.rename(target)
        remove(source)
    sync_folder(target.parent)


def remove(path: Path) -> None:
    """Remove a file or folder; what is not there is no error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
