"""One file of named arrays: written whole or not at all, checked when it is opened, memory-mapped.

Layout: magic, length and checksum of the header, the header (JSON: what it is about, and name, dtype, shape and place of
every array), then the arrays, each at a multiple of 64 bytes.
"""

import json
import math
import mmap
import os
import secrets
import struct
import time
import zlib
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pluto_core.places.files import opened, parsed

Arrays = dict[str, npt.NDArray[Any]]

_MAGIC = b"PLUTOMP1"
_PREFIX = struct.Struct("<8sQI4x")
_ALIGNMENT = 64
_SEAL_STEP_S = 2
"""Times of change are sealed in even seconds: what the coarsest file systems keep."""


class DamagedError(Exception):
    """The file is not what was written."""


_CUT_OFF = "it is cut off"
_FOREIGN = "it is no built map of this version of pluto"
_BROKEN_HEADER = "its header is damaged"
_WRONG_CHECKSUM = "its checksum is wrong"


def write(path: Path, arrays: Mapping[str, npt.NDArray[Any]], about: Mapping[str, Any]) -> None:
    """Store arrays and what they are about under a temporary name, then give the file its name.

    Raises:
        OSError: The file system refuses.
    """
    sealed_ns = int(time.time()) // _SEAL_STEP_S * _SEAL_STEP_S * 10**9
    entries, digest, place = [], blake2b(digest_size=16), 0
    for name, array in arrays.items():
        columns = array.ndim > 1 and array.flags.f_contiguous and not array.flags.c_contiguous
        data = _bytes(array)
        entries.append([name, array.dtype.str, list(array.shape), columns, place])
        digest.update(data)
        place += _aligned(len(data))
    document = {**about, "arrays": entries, "payload": place, "digest": digest.hexdigest(), "sealed_ns": sealed_ns}
    header = json.dumps(document).encode()
    part = path.with_name(f".{path.stem}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as stream:
            stream.write(_padded(_PREFIX.pack(_MAGIC, len(header), zlib.crc32(header)) + header))
            for array in arrays.values():
                stream.write(_padded(_bytes(array)))
            stream.flush()
            os.fsync(stream.fileno())
        os.utime(part, ns=(sealed_ns, sealed_ns))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read(path: Path) -> tuple[dict[str, Any], Arrays]:
    """Return what the file is about and its arrays, read-only views of the mapped file.

    All bytes are checked only where the file's time of change is not the one it was sealed with (it was copied, or
    somebody wrote to it); a file as it was sealed opens in the time that its header takes.

    Raises:
        DamagedError: The file is cut off, was written over, or is no such file.
        OSError: It cannot be opened.
    """
    with opened(path) as stream:
        try:
            return _parse(stream)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, MemoryError) as error:
            raise DamagedError(f"{_BROKEN_HEADER}: {error}") from None


def _parse(stream: BinaryIO) -> tuple[dict[str, Any], Arrays]:
    state = os.fstat(stream.fileno())
    if state.st_size < _PREFIX.size:
        raise DamagedError(_CUT_OFF)
    mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    magic, length, checksum = _PREFIX.unpack_from(mapped)
    if magic != _MAGIC:
        raise DamagedError(_FOREIGN)
    header = mapped[_PREFIX.size : _PREFIX.size + length]
    if len(header) != length or zlib.crc32(header) != checksum:
        raise DamagedError(_BROKEN_HEADER)
    about: dict[str, Any] = parsed(header)
    entries, start = about.pop("arrays"), _aligned(_PREFIX.size + length)
    if state.st_size != start + about["payload"]:
        raise DamagedError(_CUT_OFF)
    arrays = {
        name: _view(mapped, start + place, dtype, shape, columns=columns) for name, dtype, shape, columns, place in entries
    }
    if state.st_mtime_ns != about["sealed_ns"]:
        _verify(arrays, about["digest"])
    return about, arrays


def _verify(arrays: Arrays, expected: str) -> None:
    digest = blake2b(digest_size=16)
    for array in arrays.values():
        digest.update(_bytes(array))
    if digest.hexdigest() != expected:
        raise DamagedError(_WRONG_CHECKSUM)


def _view(mapped: mmap.mmap, place: int, dtype: str, shape: list[int], *, columns: bool) -> npt.NDArray[Any]:
    flat = np.frombuffer(mapped, dtype, math.prod(shape), place) if 0 not in shape else np.zeros(0, dtype)
    return flat.reshape(shape, order="F" if columns else "C")


def _bytes(array: npt.NDArray[Any]) -> bytes:
    return array.tobytes(order="A")


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _padded(data: bytes) -> bytes:
    return data.ljust(_aligned(len(data)), b"\0")
