"""Reading files that may come from anybody: regular ones only, no more of them than is expected, and JSON of any depth."""

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

LARGEST = 1 << 28
"""Bytes that a file which is read as a whole may have."""


def opened(path: Path) -> BinaryIO:
    """Return a regular file, open for reading; a pipe or a device in its place would make its reader wait for ever.

    Raises:
        OSError: It is no regular file, or cannot be opened.
    """
    file = open(path, "rb", opener=_at_once)  # noqa: SIM115 -- `Path.open` takes no opener
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return file


def content(path: Path, most: int = LARGEST) -> bytes:
    """Return what a file holds.

    Raises:
        OSError: It is no regular file, cannot be read, or is larger than `most` bytes.
    """
    with opened(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", str(path))
    return data


def parsed(text: bytes | str) -> Any:
    """Return what a JSON text holds.

    Raises:
        ValueError: It is none, or nested deeper than Python reads.
    """
    try:
        return json.loads(text)
    except RecursionError:
        message = "it is nested too deeply"
        raise ValueError(message) from None


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
