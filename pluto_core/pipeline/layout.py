"""How samples become the arrays of a batch: stacked, padded, cropped and cast as their specs say, into one buffer."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.arrays import ArraySpec, SampleSpec
from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.pipeline.beside import together
from pluto_core.pipeline.columns import ArrayColumn, Column, Shape, StoredColumn, Strip, copy_strips
from pluto_core.pipeline.ring import ALIGNMENT, Bytes
from pluto_core.samples import Array

ANCHOR = "anchor"
"""Role of the sample itself."""
ROLE, ROLE_VALID = "role", "role_valid"
"""Keys of the rows' roles in batches with more than one role."""

LARGE = 1 << 18
"""Bytes of an array of one row from which on two threads share the copying."""

SamplesByRole = Mapping[str, Sequence[Mapping[str, Array] | None]]


class Place(NamedTuple):
    """Where in a buffer an array of a batch stands."""

    key: str
    dtype: str
    shape: Shape
    """With the rows' axis."""
    offset: int
    nbytes: int

    def view(self, buffer: Bytes) -> Array:
        """Return the array as a view into the buffer."""
        return buffer[self.offset : self.offset + self.nbytes].view(self.dtype).reshape(self.shape)


@attrs.frozen
class Filled:
    """Where the arrays of a batch stand in its buffer."""

    nbytes: int
    places: tuple[Place, ...]

    def views(self, buffer: Bytes) -> dict[str, Array]:
        """Return the arrays by key."""
        return {place.key: place.view(buffer) for place in self.places}


class Field(NamedTuple):
    """One array of a batch: its rows and its place in the buffer."""

    spec: ArraySpec
    column: Column
    place: Place

    @property
    def strip(self) -> Strip | None:
        """Return how its bytes are copied; None where that is not all that is to be done."""
        column, dtype, (rows, *shape) = self.column, np.dtype(self.spec.dtype), self.place.shape
        if not isinstance(column, StoredColumn) or not column.lies_as(dtype, tuple(shape)):
            return None
        step = self.place.nbytes // rows
        if step >= LARGE:
            return None
        most = step - min(column.sizes)
        return Strip(column, self.place.offset, step, _padding(self.spec.dtype, self.spec.pad, most.bit_length()))

    @property
    def large(self) -> bool:
        """Return whether copying a row takes longer than finding it."""
        return self.place.nbytes >= LARGE * self.place.shape[0]

    def fill(self, batch: Array, rows: Iterable[int]) -> None:
        """Write every cell of some rows of its view."""
        pad, whole, array = self.spec.pad, batch.shape[1:], self.column.array
        ragged = bool(whole) and isinstance(self.spec.dims[0], str)
        for row in rows:
            source, target = array(row), batch[row, ...]
            if source is None:
                target[...] = pad
            elif source.shape == whole:
                target[...] = source
            elif ragged and source.shape[1:] == whole[1:]:
                target[: len(source)] = source
                target[len(source) :] = pad
            else:
                _fit(target, source, self.spec)


@lru_cache(maxsize=64)
def _padding(dtype: str, pad: float, bits: int) -> memoryview:
    """Return pad values of at least `2 ** bits` bytes."""
    return np.full((1 << bits) // np.dtype(dtype).itemsize + 1, pad, dtype).view(np.uint8).data.toreadonly()


@attrs.frozen(eq=False)
class Arrangement:
    """The batch that some samples make, before it is filled."""

    rows: int
    fields: tuple[Field, ...]
    filled: Filled
    """Where its arrays stand in a buffer that it filled."""

    @property
    def nbytes(self) -> int:
        """Return the size of the buffer that it needs."""
        return self.filled.nbytes

    def fill(self, buffer: Bytes) -> dict[str, Array]:
        """Return the arrays by key as views into `buffer`, of which every cell they cover is written."""
        self.write(buffer)
        return self.filled.views(buffer)

    def write(self, buffer: Bytes, *, threads: bool = False) -> None:
        """Write every cell that an array of the batch covers; with `threads`, two of them copy what is large."""
        if buffer.nbytes < self.nbytes:
            message = f"the batch needs {self.nbytes} bytes, the buffer has {buffer.nbytes}"
            raise ValueError(message)
        strips = [(field, field.strip) for field in self.fields]
        others = [(field, field.place.view(buffer)) for field, strip in strips if strip is None]
        large = [(field, view, row) for field, view in others if field.large for row in range(self.rows)]
        shared = iter(large)

        def copy_large() -> None:
            for field, view, row in shared:
                field.fill(view, (row,))

        def copy_small() -> None:
            copy_strips([strip for _, strip in strips if strip], self.rows, buffer.data)
            for field, view in others:
                if not field.large:
                    field.fill(view, range(self.rows))

        if threads and large:
            together(copy_large, copy_small)
        else:
            copy_large()
            copy_small()


class Layout:
    """Lays samples out as a batch. Rows stand role by role, all anchors first."""

    def __init__(self, spec: SampleSpec, roles: Mapping[str, SampleSpec] | None = None) -> None:
        """Prepare batches.

        Args:
            spec: The samples as they are stored.
            roles: Spec of each role that augmentations give, the anchor first; None without augmentations.

        Raises:
            PlutoError: Roles describe one array in ways that cannot stand in one batch.
        """
        self.roles: tuple[str, ...] = tuple(roles or (ANCHOR,))
        if self.roles[0] != ANCHOR:
            message = f"the first role of an augmentation must be {ANCHOR!r}, not {self.roles[0]!r}"
            raise PlutoError(message)
        self._marked = roles is not None
        self._stored = spec
        every = {} if roles is None else roles
        self.spec: dict[str, ArraySpec] = _joined(every or {ANCHOR: spec})
        """Spec of every array that a batch can hold, without the rows' axis; `role` and `role_valid` with augmentations."""
        if self._marked:
            self.spec[ROLE] = ArraySpec(dims=(), dtype="int8", unit="index into the roles")
            self.spec[ROLE_VALID] = ArraySpec(dims=(), dtype="bool", summary="Whether the row could be varied.")

    def arrange(self, samples: SamplesByRole) -> Arrangement:
        """Return the batch that samples make.

        A free dim gets the greatest size that it has in any row, 0 where all are empty. An optional array that no row has
        is left out; rows without it hold its pad value.

        Args:
            samples: The samples of every role, in one order; None where the anchor's arrays stand in.

        Raises:
            SampleError: An array does not have the dims of its spec, or is missing.
        """
        rows = self._rows(samples)
        marks = self._marks(samples) if self._marked else {}
        columns: dict[str, Column] = {
            key: ArrayColumn(marks[key] if key in marks else [row.get(key) for row in rows]) for key in self.spec
        }
        return self.arrange_columns(columns, len(rows))

    def arrange_columns(self, columns: Mapping[str, Column], rows: int) -> Arrangement:
        """Return the batch that the columns of some rows make; see `arrange`."""
        found: dict[str, Column] = {}
        sizes: dict[str, int] = {}
        for key, spec in self.spec.items():
            shapes = _shapes(columns[key], spec) if key in columns else [None]
            if None in shapes and not spec.optional:
                raise SampleError(Reason.SPEC_MISMATCH, f"array {key!r} is missing")
            present = [shape for shape in shapes if shape is not None]
            if present:
                found[key] = columns[key]
                self._measure(key, spec, present, sizes)
        return self._placed(found, rows, sizes)

    def fill(self, samples: SamplesByRole, buffer: Bytes) -> dict[str, Array]:
        """Return the arrays of a batch by key as views into `buffer`, which must be large enough; see `arrange`."""
        return self.arrange(samples).fill(buffer)

    def _rows(self, samples: SamplesByRole) -> list[Mapping[str, Array]]:
        rows: list[Mapping[str, Array]] = []
        for role in self.roles:
            for sample, anchor in zip(samples[role], samples[ANCHOR], strict=True):
                row = anchor if sample is None else sample
                if row is None:
                    message = f"the role {ANCHOR!r} cannot lack a sample"
                    raise ValueError(message)
                rows.append(row)
        return rows

    def _marks(self, samples: SamplesByRole) -> dict[str, tuple[Array, ...]]:
        valid = [sample is not None for role in self.roles for sample in samples[role]]
        numbers = [number for number, role in enumerate(self.roles) for _ in samples[role]]
        return {
            ROLE: tuple(np.asarray(numbers, np.int8)),
            ROLE_VALID: tuple(np.asarray(valid, np.bool_)),
        }

    def _measure(self, key: str, spec: ArraySpec, shapes: Collection[Shape], sizes: dict[str, int]) -> None:
        stored = self._stored[key].dims if key in self._stored else ()
        stored = stored if len(stored) == len(spec.dims) else spec.dims
        for shape in shapes:
            if len(shape) != len(spec.dims):
                raise SampleError(Reason.SPEC_MISMATCH, f"array {key!r} has shape {shape}, its dims are {spec.describe_dims()}")
            for size, dim, whole in zip(shape, spec.dims, stored, strict=True):
                if isinstance(dim, str):
                    sizes[dim] = max(sizes.get(dim, 0), size)
                elif size != dim and not (size == whole and size > dim):
                    raise SampleError(
                        Reason.SPEC_MISMATCH, f"array {key!r} has shape {shape}, its dims are {spec.describe_dims()}"
                    )

    def _placed(self, found: Mapping[str, Column], rows: int, sizes: Mapping[str, int]) -> Arrangement:
        fields: list[Field] = []
        end = 0
        for key, column in found.items():
            spec = self.spec[key]
            shape = tuple(sizes[dim] if isinstance(dim, str) else dim for dim in spec.dims)
            nbytes = rows * math.prod(shape) * np.dtype(spec.dtype).itemsize
            fields.append(Field(spec, column, Place(key, spec.dtype, (rows, *shape), end, nbytes)))
            end += -(-nbytes // ALIGNMENT) * ALIGNMENT
        return Arrangement(rows, tuple(fields), Filled(end, tuple(field.place for field in fields)))


def _shapes(column: Column, spec: ArraySpec) -> Collection[Shape | None]:
    """Return the different shapes of a column; where only free dims differ, one with the greatest size of each."""
    if isinstance(column, StoredColumn) and len(column.high) == len(spec.dims):
        sizes = zip(spec.dims, column.low, column.high, strict=True)
        if all(low == high or isinstance(dim, str) for dim, low, high in sizes):
            return [column.high]
    return set(column.shapes)


def _joined(roles: Mapping[str, SampleSpec]) -> dict[str, ArraySpec]:
    """Return the spec of a batch: every batched array of any role; an array that some role lacks becomes optional."""
    joined: dict[str, ArraySpec] = {}
    for role, spec in roles.items():
        for key, array in spec.items():
            known = joined.setdefault(key, array)
            if (known.dims, known.dtype, known.pad, known.batch) != (array.dims, array.dtype, array.pad, array.batch):
                message = (
                    f"roles {ANCHOR!r} and {role!r} describe the array {key!r} differently, so that they cannot share a batch"
                )
                raise PlutoError(message)
    reserved = sorted(joined.keys() & {ROLE, ROLE_VALID})
    if reserved:
        message = f"arrays cannot be called {' or '.join(reserved)}: the batch uses that name"
        raise PlutoError(message)
    sometimes = {key for spec in roles.values() for key, array in spec.items() if array.optional}
    sometimes |= {key for spec in roles.values() for key in joined.keys() - spec.keys()}
    return {
        key: attrs.evolve(array, optional=key in sometimes) if array.optional != (key in sometimes) else array
        for key, array in joined.items()
        if array.batch
    }


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
