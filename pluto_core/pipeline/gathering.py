"""Rows of one size that lie anywhere in memory, copied behind one another by one call that lets go of the interpreter.

Who copies row by row needs the interpreter after every row, and waits for whoever holds it. `numpy.take` needs it once. It
copies pieces of a cache line or two, which takes no longer than `memcpy` where no cache holds the rows.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt

from pluto_core.pipeline.ring import Bytes
from pluto_core.samples import Array

_LEAST, _MOST = 64, 128
"""Bytes of a piece."""


def gathering(rows: Sequence[Array], target: Bytes) -> Callable[[], object]:
    """Return what copies rows behind one another.

    Args:
        rows: Arrays of the same size, each in one stretch of memory, which stay where they are until it was called.
        target: As many bytes as they have together.
    """
    size = rows[0].nbytes
    places = [_address(row) for row in rows]
    first = min(places)
    piece = math.gcd(_MOST, size, *[place - first for place in places])
    if piece < _LEAST:
        return partial(_copy, rows, target.reshape(len(rows), size))
    begins = np.asarray([[(place - first) // piece] for place in places])
    memory = _memory(rows[places.index(first)], (max(places) - first + size) // piece, piece)
    return partial(_take, memory, begins, _range(size // piece), target.reshape(-1, piece))


def _take(memory: Bytes, begins: npt.NDArray[np.intp], within: npt.NDArray[np.intp], target: Bytes) -> None:
    # "clip" does without a second buffer; no number is out of range
    np.take(memory, (begins + within).reshape(-1), axis=0, out=target, mode="clip")


def _copy(rows: Sequence[Array], target: Bytes) -> None:
    for row, place in zip(rows, target, strict=True):
        place[:] = _octets(row)


def _address(row: Array) -> int:
    address: int = row.__array_interface__["data"][0]
    return address


def _octets(row: Array) -> Bytes:
    return row.reshape(-1).view(np.uint8)


def _memory(row: Array, count: int, piece: int) -> Bytes:
    """Return the memory from a row on, piece by piece; what lies between rows is none of ours, and is not looked at."""
    return np.lib.stride_tricks.as_strided(_octets(row), (count, piece), (piece, 1), writeable=False)


@lru_cache(maxsize=8)
def _range(count: int) -> npt.NDArray[np.intp]:
    return np.arange(count)
