"""How samples become the arrays of a batch: stacked, padded, cropped and cast as their specs say, into one buffer."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.arrays import ArraySpec, SampleSpec
from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.pipeline.ring import ALIGNMENT, Bytes
from pluto_core.samples import Array

ANCHOR = "anchor"
"""Role of the sample itself."""
ROLE, ROLE_VALID = "role", "role_valid"
"""Keys of the rows' roles in batches with more than one role."""

SamplesByRole = Mapping[str, Sequence[Mapping[str, Array] | None]]


@attrs.frozen
class Place:
    """Where in a buffer an array of a batch stands."""

    key: str
    dtype: str
    shape: tuple[int, ...]
    """With the rows' axis."""
    offset: int

    def view(self, buffer: Bytes) -> Array:
        """Return the array as a view into the buffer."""
        dtype = np.dtype(self.dtype)
        end = self.offset + math.prod(self.shape) * dtype.itemsize
        return buffer[self.offset : end].view(dtype).reshape(self.shape)


@attrs.frozen
class Filled:
    """Where the arrays of a batch stand in its buffer."""

    nbytes: int
    places: tuple[Place, ...]

    def views(self, buffer: Bytes) -> dict[str, Array]:
        """Return the arrays by key."""
        return {place.key: place.view(buffer) for place in self.places}


@attrs.frozen(eq=False)
class Field:
    """One array of a batch: its rows, its shape and its place in the buffer."""

    key: str
    spec: ArraySpec
    rows: tuple[Array | None, ...]
    shape: tuple[int, ...]
    """Without the rows' axis."""
    offset: int

    @property
    def place(self) -> Place:
        """Return where it stands."""
        return Place(self.key, self.spec.dtype, (len(self.rows), *self.shape), self.offset)

    def fill(self, buffer: Bytes) -> Array:
        """Copy the rows into their place and return the (rows, ...) view of it."""
        batch = self.place.view(buffer)
        if not self.shape:
            batch[:] = [self.spec.pad if row is None else row for row in self.rows]
            return batch
        pad, whole, inner = self.spec.pad, self.shape, self.shape[1:]
        ragged = isinstance(self.spec.dims[0], str)
        for target, row in zip(batch, self.rows, strict=True):
            if row is None:
                target[...] = pad
            elif row.shape == whole:
                target[...] = row
            elif ragged and row.shape[1:] == inner:
                size = len(row)
                target[:size] = row
                target[size:] = pad
            else:
                _fit(target, row, self.spec)
        return batch


@attrs.frozen(eq=False)
class Arrangement:
    """The batch that some samples make, before it is filled."""

    fields: tuple[Field, ...]
    nbytes: int
    """Size of the buffer that it needs."""

    @property
    def filled(self) -> "Filled":
        """Return where its arrays stand in a buffer that it filled."""
        return Filled(self.nbytes, tuple(field.place for field in self.fields))

    def fill(self, buffer: Bytes) -> dict[str, Array]:
        """Return the arrays by key as views into `buffer`, of which every cell they cover is written."""
        if buffer.nbytes < self.nbytes:
            message = f"the batch needs {self.nbytes} bytes, the buffer has {buffer.nbytes}"
            raise ValueError(message)
        return {field.key: field.fill(buffer) for field in self.fields}


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
        found: dict[str, tuple[Array | None, ...]] = {}
        sizes: dict[str, int] = {}
        for key, spec in self.spec.items():
            arrays = marks[key] if key in marks else tuple([row.get(key) for row in rows])
            present = [array for array in arrays if array is not None]
            if len(present) < len(arrays) and not spec.optional:
                raise SampleError(Reason.SPEC_MISMATCH, f"array {key!r} is missing")
            if present:
                found[key] = arrays
                self._measure(key, spec, present, sizes)
        return self._placed(found, sizes)

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

    def _measure(self, key: str, spec: ArraySpec, arrays: Sequence[Array], sizes: dict[str, int]) -> None:
        stored = self._stored[key].dims if key in self._stored else ()
        stored = stored if len(stored) == len(spec.dims) else spec.dims
        for shape in {array.shape for array in arrays}:
            if len(shape) != len(spec.dims):
                raise SampleError(Reason.SPEC_MISMATCH, f"array {key!r} has shape {shape}, its dims are {spec.describe_dims()}")
            for size, dim, whole in zip(shape, spec.dims, stored, strict=True):
                if isinstance(dim, str):
                    sizes[dim] = max(sizes.get(dim, 0), size)
                elif size != dim and not (size == whole and size > dim):
                    raise SampleError(
                        Reason.SPEC_MISMATCH, f"array {key!r} has shape {shape}, its dims are {spec.describe_dims()}"
                    )

    def _placed(self, found: Mapping[str, tuple[Array | None, ...]], sizes: Mapping[str, int]) -> Arrangement:
        fields: list[Field] = []
        end = 0
        for key, arrays in found.items():
            spec = self.spec[key]
            shape = tuple(sizes[dim] if isinstance(dim, str) else dim for dim in spec.dims)
            fields.append(Field(key, spec, arrays, shape, end))
            nbytes = len(arrays) * math.prod(shape) * np.dtype(spec.dtype).itemsize
            end += -(-nbytes // ALIGNMENT) * ALIGNMENT
        return Arrangement(tuple(fields), end)


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
