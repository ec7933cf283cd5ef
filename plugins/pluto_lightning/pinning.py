"""The loader's memory as memory that a GPU reads by itself: locked in place, so that copies to it run beside computing.

A buffer of the loader is locked when its first batch is moved, for as long as it lives. Where the system refuses, copies wait,
as they do without.
"""

import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch

Lock = Callable[[int, int], bool]
"""Locks so many bytes at an address; returns whether that went well."""
Unlock = Callable[[int], object]


_runtime: Callable[[], Any] = torch.cuda.cudart


def cuda_lock(address: int, nbytes: int) -> bool:
    """Lock memory for CUDA."""
    try:
        if int(_runtime().cudaHostRegister(address, nbytes, 0)) == 0:
            return True
        torch.zeros(1, device="cuda")  # takes the blame for the error that a refusal leaves behind
    except RuntimeError:
        pass
    return False


def cuda_unlock(address: int) -> object:
    """Undo `cuda_lock`."""
    return _runtime().cudaHostUnregister(address)


class LockedBuffers:
    """Buffers that are locked, each until it is freed."""

    def __init__(self, lock: Lock = cuda_lock, unlock: Unlock = cuda_unlock) -> None:
        """Lock none yet."""
        self._lock, self._unlock = lock, unlock
        self._known: dict[int, int] = {}

    def add(self, arrays: Iterable[np.ndarray[Any, Any]]) -> None:
        """Lock the buffers that some arrays are views into."""
        for buffer in _owners(arrays):
            address = buffer.ctypes.data
            if self._known.get(address) != buffer.nbytes:
                self._known[address] = buffer.nbytes
                locked = buffer.nbytes > 0 and self._lock(address, buffer.nbytes)
                weakref.finalize(buffer, self._forget, address, locked=locked).atexit = False

    def _forget(self, address: int, *, locked: bool) -> None:
        self._known.pop(address, None)
        if locked:
            self._unlock(address)


def _owners(arrays: Iterable[np.ndarray[Any, Any]]) -> Iterator[np.ndarray[Any, Any]]:
    """Yield the arrays that own the memory of others, each once."""
    seen: set[int] = set()
    for array in arrays:
        owner = array
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        if id(owner) not in seen:
            seen.add(id(owner))
            yield owner
