"""One array of all rows of a batch: as arrays, or as places in stored values, which need no object for every row."""

import math
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
class StoredColumn:
    """A column of arrays that lie in the payloads of stored values, and were proved to lie there."""

    dtype: np.dtype[Any]
    payloads: Sequence[memoryview]
    numbers: Numbers
    """(rows, 3 + dims) of each row."""
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
        return [tuple(shape) for shape in self.numbers[:, DIMS:].tolist()]

    def array(self, row: int) -> Array:
        """Return a row's array, unpacked where it is packed.

        Raises:
            SampleError: It cannot be unpacked.
        """
        try:
            return array_at(self.payloads[row], self.dtype, self.numbers[row].tolist())
        except ValueError as error:
            raise SampleError(Reason.DAMAGED_VALUE, f"a stored value cannot be read: {error}") from None

    def lies_as(self, dtype: np.dtype[Any], whole: Shape) -> bool:
        """Return whether every row's bytes are the first of an array of a dtype and shape: none is packed, cast or cut."""
        same = not self.packed and self.dtype == dtype and self.low[1:] == self.high[1:] == whole[1:]
        return same and self.high[:1] <= whole[:1]


def stored_columns(
    entries: Sequence[Entry], payloads: Sequence[memoryview], numbers: Numbers, names: Collection[str] | None
) -> dict[str, StoredColumn]:
    """Return the columns of some values with the same arrays.

    Args:
        entries: All arrays, in the order of the numbers.
        payloads: Of each value.
        numbers: (values, n) of each value.
        names: Columns to return; None for all.

    Raises:
        ValueError: An array does not lie in its payload, or cannot be as large as it says.
    """
    if not entries:
        return {}
    starts = np.asarray([start for _, _, start, _ in entries], np.int64)
    codecs, offsets, sizes = (numbers[:, starts + number] for number in (CODEC, OFFSET, SIZE))
    _check_places(numbers, offsets, sizes, np.asarray([[len(payload)] for payload in payloads], np.int64))
    factors = numbers.astype(np.float64)
    factors[:, starts] = factors[:, starts + OFFSET] = 1
    factors[:, starts + SIZE] = [dtype.itemsize for _, dtype, _, _ in entries]
    with np.errstate(over="ignore", invalid="ignore"):
        check_claims(codecs, sizes, np.multiply.reduceat(factors, starts, axis=1))
    low, high = numbers.min(axis=0).tolist(), numbers.max(axis=0).tolist()
    packed = np.any(codecs, axis=0).tolist()
    made = {}
    for column, (name, dtype, at, end) in enumerate(entries):
        if names is None or name in names:
            own = numbers[:, at:end]
            places = offsets[:, column].tolist(), sizes[:, column].tolist()
            bounds = tuple(low[at + DIMS : end]), tuple(high[at + DIMS : end])
            made[name] = StoredColumn(dtype, payloads, own, *places, packed[column], *bounds)
    return made


def _check_places(numbers: Numbers, offsets: Numbers, sizes: Numbers, lengths: Numbers) -> None:
    if (numbers < 0).any() or (sizes > lengths).any() or (offsets > lengths - sizes).any():
        message = "an array lies outside of the value"
        raise ValueError(message)


class Strip(NamedTuple):
    """Where the rows of a stored column come to stand, one after the other."""

    column: StoredColumn
    first: int
    step: int
    """Bytes from one row to the next."""
    padding: memoryview
    """What stands behind a row that is shorter than a step."""


def copy_strips(strips: Sequence[Strip], rows: int, target: memoryview) -> None:
    """Copy the bytes of all rows to their places: value after value, so that each is read from front to back."""
    plans = [(one.column.payloads, one.column.offsets, one.column.sizes, *one[1:]) for one in strips]
    for row in range(rows):
        for payloads, offsets, sizes, first, step, padding in plans:
            begin, offset, size = first + row * step, offsets[row], sizes[row]
            end, following = begin + size, begin + step
            target[begin:end] = payloads[row][offset : offset + size]
            if end < following:
                target[end:following] = padding[: following - end]


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
