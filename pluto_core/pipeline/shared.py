"""Buffers that several processes fill and read in place: memory without a name, which ends with the last process that has it.

Not in /dev/shm: containers give it 64 MB, and what a killed process leaves there stays.
"""

import mmap
import os
import tempfile
from collections.abc import Callable
from multiprocessing.reduction import DupFd
from typing import Any

import numpy as np

from pluto_core.pipeline.ring import Bytes

_SPARE = 1.1
"""How much larger than asked a grown buffer is, so that slightly larger batches do not grow it again."""


class SharedBuffer:
    """Memory that grows when needed and never shrinks, so that views into it stay valid in every process.

    It is sent to a process that is being started, and to no other. Who may write is agreed upon elsewhere.
    """

    def __init__(self, handle: int) -> None:
        """Take an open file without a name."""
        self._handle = handle
        self._bytes: Bytes = np.empty(0, np.uint8)

    @classmethod
    def make(cls) -> "SharedBuffer":
        """Return a new, empty one."""
        if hasattr(os, "memfd_create"):
            return cls(os.memfd_create("pluto-batch"))
        with tempfile.TemporaryFile() as file:
            return cls(os.dup(file.fileno()))

    def take(self, nbytes: int) -> Bytes:
        """Return the first `nbytes` bytes, which hold what the last process wrote."""
        if self._bytes.nbytes < nbytes:
            size = os.fstat(self._handle).st_size
            if size < nbytes:
                size = -(-int(nbytes * _SPARE) // mmap.PAGESIZE) * mmap.PAGESIZE
                os.ftruncate(self._handle, size)
            self._bytes = np.frombuffer(mmap.mmap(self._handle, size), np.uint8)
        return self._bytes[:nbytes]

    def close(self) -> None:
        """Let go of the memory; it is freed when no view into it is left."""
        if self._handle >= 0:
            os.close(self._handle)
        self._handle, self._bytes = -1, np.empty(0, np.uint8)

    def __reduce__(self) -> tuple[Callable[[Any], "SharedBuffer"], tuple[Any]]:
        """Hand the open file over."""
        return _received, (DupFd(self._handle),)


def _received(handle: Any) -> SharedBuffer:
    return SharedBuffer(handle.detach())
