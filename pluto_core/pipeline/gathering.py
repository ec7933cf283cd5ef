"""Rows of one size that lie anywhere in memory, copied behind one another by one call that lets go of the interpreter.

Who copies row by row needs the interpreter after every row, and waits for whoever holds it. `numpy.take` needs it once. It
copies pieces of a cache line or two, which takes no longer than `memcpy` where no cache holds the rows.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from itertools import groupby
from typing import NamedTuple

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
    size, middle = rows[0].nbytes, _address(target)
    places = [_address(row) for row in rows]
    piece = math.gcd(_MOST, size, *[place - places[0] for place in places])
    if piece < _LEAST:
        return partial(_copy, rows, target.reshape(len(rows), size))
    takes: list[_Take] = []
    begin = 0
    # memory that reaches over the target would seem to overlap with it, and numpy would copy by way of a second buffer
    for _, run in groupby(range(len(rows)), lambda row: places[row] < middle):
        numbers = list(run)
        end = begin + len(numbers) * size
        takes.append(_Take.of([rows[row] for row in numbers], [places[row] for row in numbers], piece, target[begin:end]))
        begin = end
    return partial(_take, takes, _range(size // piece))


class _Take(NamedTuple):
    """Rows of which one call copies all."""

    memory: Bytes
    """(pieces, bytes)"""
    begins: npt.NDArray[np.intp]
    """(rows, 1) piece with which each begins."""
    target: Bytes
    """(pieces, bytes)"""

    @classmethod
    def of(cls, rows: Sequence[Array], places: Sequence[int], piece: int, target: Bytes) -> "_Take":
        """Return rows, which lie at some places in memory."""
        first = min(places)
        begins = np.asarray([[(place - first) // piece] for place in places])
        memory = _memory(rows[places.index(first)], (max(places) - first + rows[0].nbytes) // piece, piece)
        return cls(memory, begins, target.reshape(-1, piece))


def _take(takes: Sequence[_Take], within: npt.NDArray[np.intp]) -> None:
    for memory, begins, target in takes:
        # "clip" does without a second buffer too; no number is out of range
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
