"""One array of all rows of a batch: as arrays, or as places in stored values, which need no object for every row."""

import math
import struct
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.errors import Reason, SampleError
from pluto_core.pipeline.profiles import Codec, check_claims, unpack
from pluto_core.samples import Array

Shape = tuple[int, ...]
Numbers = npt.NDArray[np.int64]


class Column(Protocol):
    """One array of all rows of a batch."""

    @property
    def shapes(self) -> Sequence[Shape | None]:
        """Return the shape of every row's array; None where a row has none."""
        ...

    def array(self, row: int) -> Array | None:
        """Return a row's array; None where it has none."""
        ...


@attrs.frozen(eq=False)
class ArrayColumn:
    """A column of arrays."""

    rows: Sequence[Array | None]

    @property
    def shapes(self) -> Sequence[Shape | None]:
        """Return the shape of every row's array; None where a row has none."""
        return [None if row is None else row.shape for row in self.rows]

    def array(self, row: int) -> Array | None:
        """Return a row's array; None where it has none."""
        return self.rows[row]


def columns_of(samples: Sequence[Mapping[str, Array]]) -> dict[str, ArrayColumn]:
    """Return samples by array instead of by row."""
    keys = dict.fromkeys(key for sample in samples for key in sample)
    return {key: ArrayColumn([sample.get(key) for sample in samples]) for key in keys}


Entry = tuple[str, np.dtype[Any], int, int]
"""Name and dtype of an array, and where among the numbers of a value its own begin and end."""
CODEC, OFFSET, SIZE, DIMS = range(4)
"""Places among an array's numbers: how it is packed, where its bytes in the payload begin, how many they are; its shape."""


@attrs.frozen(eq=False)
class Outline:
    """Which arrays a value holds."""

    entries: tuple[Entry, ...]
    """All arrays, in the order of the numbers."""
    starts: Numbers
    """(arrays,) where the numbers of each begin."""
    item_bytes: Numbers
    """(arrays,) bytes of one element."""
    numbers: struct.Struct

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> "Outline":
        """Return the outline of some arrays."""
        starts = np.asarray([start for _, _, start, _ in entries], np.int64)
        item_bytes = np.asarray([dtype.itemsize for _, dtype, _, _ in entries], np.int64)
        count = entries[-1][-1] if entries else 0
        return cls(tuple(entries), starts, item_bytes, struct.Struct(f"<{count}q"))


class StoredColumn(NamedTuple):
    """A column of arrays that lie in the payloads of stored values, and were proved to lie there."""

    dtype: np.dtype[Any]
    payloads: Sequence[memoryview]
    numbers: Numbers
    """(rows, n) of each row's value."""
    at: int
    """Where among them its own begin."""
    offsets: Sequence[int]
    sizes: Sequence[int]
    packed: bool
    """Whether any of them is."""
    low: Shape
    """Least size of every dim."""
    high: Shape

    @property
    def shapes(self) -> Sequence[Shape]:
        """Return the shape of every row's array."""
        first = self.at + DIMS
        return [tuple(shape) for shape in self.numbers[:, first : first + len(self.low)].tolist()]

    def array(self, row: int) -> Array:
        """Return a row's array, unpacked where it is packed.

        Raises:
            SampleError: It cannot be unpacked.
        """
        if not self.packed and self.low == self.high:
            return np.ndarray(self.low, self.dtype, self.payloads[row], self.offsets[row])
        numbers = self.numbers[row, self.at : self.at + DIMS + len(self.low)].tolist()
        if not self.packed:
            return np.ndarray(numbers[DIMS:], self.dtype, self.payloads[row], self.offsets[row])
        try:
            return array_at(self.payloads[row], self.dtype, numbers)
        except ValueError as error:
            raise SampleError(Reason.DAMAGED_VALUE, f"a stored value cannot be read: {error}") from None

    def lies_as(self, dtype: str) -> bool:
        """Return whether every row's bytes are those of an array of a dtype: none is packed, none is to be cast."""
        return not self.packed and self.dtype == np.dtype(dtype)


def stored_columns(
    outline: Outline, payloads: Sequence[memoryview], numbers: Numbers, names: Collection[str] | None
) -> dict[str, StoredColumn]:
    """Return the columns of some values with the same arrays.

    Args:
        outline: Of all values.
        payloads: Of each value.
        numbers: (values, n) of each value.
        names: Columns to return; None for all.

    Raises:
        ValueError: An array does not lie in its payload, or cannot be as large as it says.
    """
    if not outline.entries:
        return {}
    starts, by_number = outline.starts, np.ascontiguousarray(numbers.T)
    codecs, offsets, sizes = (by_number[starts + number] for number in (CODEC, OFFSET, SIZE))
    low, high = numbers.min(axis=0), numbers.max(axis=0)
    lengths = np.asarray([len(payload) for payload in payloads], np.int64)
    if low.min() < 0 or (offsets > lengths - sizes).any():  # a size beyond the length makes less than any offset
        message = "an array lies outside of the value"
        raise ValueError(message)
    check_claims(codecs, sizes, _claimed(outline, by_number))
    packed = np.any(codecs, axis=1).tolist()
    offset_lists, size_lists, low_list, high_list = offsets.tolist(), sizes.tolist(), low.tolist(), high.tolist()
    return {
        name: StoredColumn(
            dtype, payloads, numbers, at, offset_lists[column], size_lists[column], packed[column],
            tuple(low_list[at + DIMS : end]), tuple(high_list[at + DIMS : end]),
        )
        for column, (name, dtype, at, end) in enumerate(outline.entries)
        if names is None or name in names
    }  # fmt: skip


def _claimed(outline: Outline, by_number: Numbers) -> npt.NDArray[np.float64]:
    """Return the bytes of every array as its shape has them, (arrays, rows)."""
    factors = by_number.astype(np.float64)
    factors[outline.starts] = factors[outline.starts + OFFSET] = 1
    factors[outline.starts + SIZE] = outline.item_bytes[:, None]
    with np.errstate(over="ignore", invalid="ignore"):
        return np.multiply.reduceat(factors, outline.starts, axis=0)


def array_at(payload: memoryview, dtype: np.dtype[Any], numbers: Sequence[int]) -> Array:
    """Return one array of a payload.

    Raises:
        ValueError: It does not lie there, or is not as large as it says.
    """
    codec, offset, size, *shape = numbers
    if min(numbers) < 0 or offset + size > len(payload):
        raise ValueError(f"an array of shape {shape} lies outside of the value: {size} bytes at {offset}")
    whole = math.prod(shape) * dtype.itemsize
    if codec == Codec.RAW:
        if size != whole:
            raise ValueError(f"{size} bytes for an array of {whole}")
        return np.ndarray(shape, dtype, payload, offset)
    return np.ndarray(shape, dtype, unpack(Codec(codec), payload[offset : offset + size], whole))
