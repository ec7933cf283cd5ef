"""Shards as folders with one file a value: for looking at, and for object stores that want whole files."""

import errno
import hashlib
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import attrs

from pluto_basics.config import FilesConfig
from pluto_core import PlutoError
from pluto_core.component import Context
from pluto_core.places.files import opened

_LENGTH = struct.Struct("<I")
_MARK = "shard"
_ENDING = ".value"
_NO_FILE = frozenset({errno.ENOENT, errno.EISDIR, errno.EINVAL, errno.ENXIO, errno.ELOOP})
"""What opening says of what is gone, a folder, a pipe, a socket, or a link to itself."""
_LONGEST_KEY = 4096
"""Bytes; an index has room for the longest key in every row."""


def make(_config: FilesConfig, _context: Context) -> "FileShards":
    """Return the store of an experiment."""
    return FileShards()


@attrs.frozen
class FileShards:
    """The shard store `files`."""

    shared: bool = attrs.field(default=True, init=False)
    suffix: str = attrs.field(default=".files", init=False)

    def create(self, path: Path) -> "FilesWriter":
        """Return a writer of a new folder.

        Raises:
            FileExistsError: There is something at `path`.
        """
        path.mkdir()
        (path / _MARK).touch()
        return FilesWriter(path)

    def open(self, path: Path) -> "FilesReader":
        """Return a reader of a folder.

        Raises:
            PlutoError: It is missing or no such folder.
        """
        if not (path / _MARK).is_file():
            message = f"{path} is no shard of the store 'files'"
            raise PlutoError(message)
        return FilesReader(path)


def _file_of(folder: Path, key: bytes) -> Path:
    return folder / (hashlib.blake2b(key, digest_size=16).hexdigest() + _ENDING)


class FilesWriter:
    """One folder being filled. A file is written beside its place and then renamed, so that it is whole or absent."""

    def __init__(self, path: Path) -> None:
        self._path: Path = path
        self._sealed = False

    def put(self, key: bytes, value: bytes) -> None:
        """Store a value.

        Raises:
            OSError: The disk is full or gone.
            PlutoError: The key is too long.
        """
        if self._sealed:
            message = f"{self._path} is sealed"
            raise ValueError(message)
        if len(key) > _LONGEST_KEY:
            message = f"the store 'files' takes keys of up to {_LONGEST_KEY} bytes, not {len(key)}: {key[:80]!r}"
            raise PlutoError(message)
        place = _file_of(self._path, key)
        beside = place.with_suffix(".new")
        try:
            with beside.open("wb") as file:
                file.writelines((_LENGTH.pack(len(key)), key, value))
            beside.replace(place)
        except OSError:
            beside.unlink(missing_ok=True)
            raise

    def seal(self) -> None:
        """Bring everything to the disk; one sync for the file system costs less than one for each file."""
        self._sealed = True
        os.sync()


class FilesReader:
    """One folder being read; holds no file open."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keys(self) -> list[bytes]:
        """Return all keys, ascending; opens every file, and leaves out those whose key is damaged, and what is no file.

        Raises:
            OSError: A file is there and cannot be read now.
        """
        found = []
        for place in self._path.glob("*" + _ENDING):
            try:
                with opened(place) as file:
                    key = _read_key(file)
            except OSError as error:
                if error.errno not in _NO_FILE:
                    raise
                continue
            if _file_of(self._path, key) == place:
                found.append(key)
        return sorted(found)

    def get(self, key: bytes) -> bytes:
        """Return a value."""
        place = _file_of(self._path, key)
        try:
            with opened(place) as file:
                if _read_key(file) != key:
                    raise KeyError(key)
                return file.read()
        except FileNotFoundError:
            raise KeyError(key) from None

    def get_many(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return values in the order of `keys`."""
        return [self.get(key) for key in keys]

    def close(self) -> None:
        """Do nothing."""


def _read_key(file: BinaryIO) -> bytes:
    """Return the key at the beginning of a file; of a damaged file, whatever stands there."""
    head = file.read(_LENGTH.size)
    length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
    return file.read(min(length, os.fstat(file.fileno()).st_size, _LONGEST_KEY + 1))
