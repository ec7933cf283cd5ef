"""Arrays of a batch, each with its rows and its place in the buffer, and how they get there: stacked, padded, cropped, cast."""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeGuard

import numpy as np
import numpy.typing as npt

from pluto_core.arrays import ArraySpec
from pluto_core.pipeline.columns import Column, Shape, StoredColumn
from pluto_core.pipeline.gathering import gathering
from pluto_core.pipeline.ring import Bytes
from pluto_core.samples import Array

LARGE = 1 << 18
"""Bytes of an array of one row from which on threads share its rows."""
HEAVY = 1 << 17
"""Bytes of an array of all rows from which on it takes longer to copy them twice than to look at every row."""
PIECE = 1 << 25
"""Bytes of large arrays that a thread copies at a time: between them it needs the interpreter, which others may hold."""


class Place(NamedTuple):
    """Where in a buffer an array of a batch stands."""

    key: str
    dtype: str
    shape: Shape
    """With the rows' axis."""
    offset: int
    nbytes: int

    @property
    def end(self) -> int:
        """Return where in the buffer it ends."""
        return self.offset + self.nbytes

    def view(self, buffer: Bytes) -> Array:
        """Return the array as a view into the buffer."""
        return np.ndarray(self.shape, self.dtype, buffer, self.offset)


class Field(NamedTuple):
    """One array of a batch: its rows and its place in the buffer."""

    spec: ArraySpec
    column: Column
    place: Place
    plain: bool
    """Whether rows are at most shorter than the batch has room for: none is cropped, missing, or padded on a later axis."""

    @classmethod
    def of(cls, spec: ArraySpec, column: Column, shapes: Collection[Shape | None], place: Place) -> "Field":
        """Return the field of a column with these shapes among its rows."""
        whole = place.shape[1:]
        free = bool(spec.dims) and isinstance(spec.dims[0], str)
        for shape in shapes:
            if shape != whole and not (free and shape is not None and shape[1:] == whole[1:]):
                return cls(spec, column, place, plain=False)
        return cls(spec, column, place, plain=True)

    @property
    def step(self) -> int:
        """Return the bytes from one row of the batch to the next."""
        return self.place.nbytes // self.place.shape[0]

    @property
    def large(self) -> bool:
        """Return whether copying a row takes longer than finding it."""
        return self.step >= LARGE

    @property
    def heavy(self) -> bool:
        """Return whether unpacking or casting all rows takes longer than finding them."""
        return self._many and not self._lies(self.column)

    @property
    def _many(self) -> bool:
        return self.place.nbytes >= HEAVY

    def fill(self, batch: Array, rows: Iterable[int]) -> None:
        """Write every cell of some rows of its view."""
        pad, whole, array = self.spec.pad, batch.shape[1:], self.column.array
        for row in rows:
            source = array(row)
            if source is None:
                batch[row, ...] = pad
            elif source.shape == whole:
                batch[row, ...] = source
            else:
                _fit(batch[row, ...], source, self.spec)

    def pieces(self, buffer: Bytes) -> list[Callable[[], object]]:
        """Return what writes every cell: where rows lie as they are to stand, many of them at a time, else row by row."""
        rows, column = range(self.place.shape[0]), self.column
        if self._lies(column) and column.low == column.high == self.place.shape[1:]:
            targets = buffer[self.place.offset : self.place.end].reshape(len(rows), self.step)
            count = max(1, PIECE // self.step)
            parts = [rows[first : first + count] for first in rows[::count]]
            return [
                gathering([column.array(row) for row in part], targets[part.start : part.stop].reshape(-1)) for part in parts
            ]
        batch = self.place.view(buffer)
        return [partial(self.fill, batch, (row,)) for row in rows]

    def fill_all(self, buffer: Bytes) -> None:
        """Write every cell: where rows differ in length alone, as bytes or with one call for all of them."""
        column = self.column
        if not self.plain:
            self.fill(self.place.view(buffer), range(self.place.shape[0]))
        elif not self._lies(column):
            self._join(buffer)
        elif self._many:
            self._copy_rows(column, buffer.data)
        else:
            self._copy_bytes(column, buffer.data)

    def _lies(self, column: Column) -> TypeGuard[StoredColumn]:
        """Return whether rows lie in stored values as the bytes that the batch is to have."""
        return isinstance(column, StoredColumn) and column.lies_as(self.place.dtype)

    def _join(self, buffer: Bytes) -> None:
        """Join rows, which are cast where they must be."""
        batch = self.place.view(buffer)
        arrays = [array for row in range(len(batch)) if (array := self.column.array(row)) is not None]
        length, *tail = batch.shape[1:] or (1,)
        pieces = _padded(arrays, (length, *tail), np.asarray(self.spec.pad, batch.dtype))
        np.concatenate(pieces, out=batch.reshape(len(batch) * length, *tail), casting="unsafe")

    def _copy_bytes(self, column: StoredColumn, target: memoryview) -> None:
        """Copy few bytes, twice: that is the least time for each row."""
        place, step = self.place, self.step
        padding = _padding(place.dtype, self.spec.pad, step.bit_length())
        pieces: list[memoryview] = []
        for payload, offset, size in zip(column.payloads, column.offsets, column.sizes, strict=True):
            pieces.append(payload[offset : offset + size])
            if size < step:
                pieces.append(padding[: step - size])
        target[place.offset : place.end] = b"".join(pieces)

    def _copy_rows(self, column: StoredColumn, target: memoryview) -> None:
        """Copy many bytes once, without giving the interpreter away, for which this thread would wait after every row."""
        step, end = self.step, self.place.offset
        padding = _padding(self.place.dtype, self.spec.pad, step.bit_length())
        for payload, offset, size in zip(column.payloads, column.offsets, column.sizes, strict=True):
            begin, end = end, end + step
            target[begin : begin + size] = payload[offset : offset + size]
            if size < step:
                target[begin + size : end] = padding[: step - size]


def _padded(arrays: Sequence[Array], whole: Shape, pad: Array) -> list[Array]:
    """Return arrays with what is to stand behind each that is shorter than the whole; single numbers as rows of one."""
    if not arrays[0].ndim:
        return [array.reshape(1) for array in arrays]
    length, padding = whole[0], np.broadcast_to(pad, whole)
    pieces: list[Array] = []
    for array in arrays:
        pieces.append(array)
        if len(array) < length:
            pieces.append(padding[len(array) :])
    return pieces


@lru_cache(maxsize=64)
def _padding(dtype: str, pad: float, bits: int) -> memoryview:
    """Return pad values of at least `2 ** bits` bytes."""
    return np.full((1 << bits) // np.dtype(dtype).itemsize + 1, pad, dtype).view(np.uint8).data.toreadonly()


def _fit(target: npt.NDArray[Any], row: Array, spec: ArraySpec) -> None:
    """Copy a row of another shape: free dims are padded behind, fixed dims are cropped around the centre."""
    inside, taken = [], []
    for size, room, dim in zip(row.shape, target.shape, spec.dims, strict=True):
        first = 0 if isinstance(dim, str) else (size - room) // 2
        inside.append(slice(0, min(size, room)))
        taken.append(slice(first, first + min(size, room)))
    if any(size < room for size, room in zip(row.shape, target.shape, strict=True)):
        _pad_behind(target, row.shape, spec.pad)
    target[tuple(inside)] = row[tuple(taken)]


def _pad_behind(target: npt.NDArray[Any], shape: tuple[int, ...], pad: float) -> None:
    """Write `pad` where no cell of a row of `shape` comes to stand."""
    inside: list[slice] = []
    for size, room in zip(shape, target.shape, strict=True):
        if size < room:
            target[(*inside, slice(size, None))] = pad
        inside.append(slice(0, min(size, room)))
