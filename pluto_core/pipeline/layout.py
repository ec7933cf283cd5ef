"""How samples become the arrays of a batch: stacked, padded, cropped and cast as their specs say, into one buffer."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

import attrs
import numpy as np

from pluto_core.arrays import ArraySpec, SampleSpec
from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.pipeline.beside import together
from pluto_core.pipeline.columns import ArrayColumn, Column, Shape, StoredColumn
from pluto_core.pipeline.fields import Field, Place
from pluto_core.pipeline.ring import ALIGNMENT, Bytes
from pluto_core.samples import Array

ANCHOR = "anchor"
"""Role of the sample itself."""
ROLE, ROLE_VALID = "role", "role_valid"
"""Keys of the rows' roles in batches with more than one role."""

_Shaped = tuple[Column, Collection[Shape | None]]
"""A column and the shapes of its rows."""
_MISSING: frozenset[Shape | None] = frozenset([None])
SamplesByRole = Mapping[str, Sequence[Mapping[str, Array] | None]]


@attrs.frozen
class Filled:
    """Where the arrays of a batch stand in its buffer."""

    nbytes: int
    places: tuple[Place, ...]

    def views(self, buffer: Bytes) -> dict[str, Array]:
        """Return the arrays by key."""
        return {place.key: place.view(buffer) for place in self.places}


@attrs.frozen(eq=False)
class Arrangement:
    """The batch that some samples make, before it is filled."""

    rows: int
    roles: int
    """How many rows there are of each sample."""
    fields: tuple[Field, ...]
    filled: Filled
    """Where its arrays stand in a buffer that it filled."""
    late: Collection[str] = ()
    """Arrays that may hold nothing before `finish` was called for their sample."""
    finish: Sequence[Callable[[], object]] = ()
    """Computes those of each sample."""

    @property
    def nbytes(self) -> int:
        """Return the size of the buffer that it needs."""
        return self.filled.nbytes

    def fill(self, buffer: Bytes) -> dict[str, Array]:
        """Return the arrays by key as views into `buffer`, of which every cell they cover is written."""
        self.write(buffer)
        return self.filled.views(buffer)

    def write(self, buffer: Bytes, *, threads: bool = False) -> None:
        """Write every cell that an array of the batch covers; with `threads`, two of them do what takes long."""
        pieces = iter(self.pieces(buffer))

        def write_large() -> None:
            for piece in pieces:
                piece()

        if threads and any(map(self._is_large, self.fields)):
            together(write_large, first=partial(self.write_small, buffer))
        else:
            self.write_small(buffer)
            write_large()

    def pieces(self, buffer: Bytes) -> list[Callable[[], object]]:
        """Return what takes long, in pieces that threads may share; each is to be called once, and `write_small` as well."""
        if buffer.nbytes < self.nbytes:
            message = f"the batch needs {self.nbytes} bytes, the buffer has {buffer.nbytes}"
            raise ValueError(message)
        if self.finish:
            return self._finished(buffer)
        large = [piece for field in self.fields if field.large for piece in field.pieces(buffer)]
        return [*large, *[partial(field.fill_all, buffer) for field in self.fields if field.heavy and not field.large]]

    def write_small(self, buffer: Bytes) -> None:
        """Write what `pieces` leave."""
        for field in self.fields:
            if not self._is_large(field):
                field.fill_all(buffer)

    def _is_large(self, field: Field) -> bool:
        return field.large or field.place.key in self.late or (field.heavy and not self.finish)

    def _finished(self, buffer: Bytes) -> list[Callable[[], object]]:
        """Return what finishes a sample, and copies those of its arrays that are large or held nothing before."""
        last = [(field, field.place.view(buffer)) for field in self.fields if self._is_large(field)]
        step = self.rows // self.roles

        def copy(sample: int) -> None:
            self.finish[sample]()
            for field, view in last:
                field.fill(view, range(sample, self.rows, step))

        return [partial(copy, sample) for sample in range(step)]


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
        self._item_bytes = {key: np.dtype(array.dtype).itemsize for key, array in self.spec.items()}

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
        found: dict[str, _Shaped] = {}
        sizes: dict[str, int] = {}
        for key, spec in self.spec.items():
            shapes = _shapes(columns[key], spec) if key in columns else _MISSING
            if None in shapes and not spec.optional:
                raise SampleError(Reason.SPEC_MISMATCH, f"array {key!r} is missing")
            if shapes != _MISSING:
                found[key] = columns[key], shapes
                self._measure(key, spec, shapes, sizes)
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

    def _measure(self, key: str, spec: ArraySpec, shapes: Collection[Shape | None], sizes: dict[str, int]) -> None:
        for shape in shapes:
            if shape is None or shape == spec.dims:
                continue
            if len(shape) != len(spec.dims):
                raise _mismatch(key, shape, spec)
            for axis, (size, dim) in enumerate(zip(shape, spec.dims, strict=True)):
                if isinstance(dim, str):
                    if sizes.get(dim, -1) < size:
                        sizes[dim] = size
                elif size != dim and not (size > dim and size == self._whole(key, axis)):
                    raise _mismatch(key, shape, spec)

    def _whole(self, key: str, axis: int) -> int | str | None:
        """Return the dim of an axis as it is stored, which may be cropped; None where it is not stored so."""
        if key not in self._stored or len(self._stored[key].dims) != len(self.spec[key].dims):
            return None
        return self._stored[key].dims[axis]

    def _placed(self, found: Mapping[str, _Shaped], rows: int, sizes: Mapping[str, int]) -> Arrangement:
        fields: list[Field] = []
        end = 0
        for key, (column, shapes) in found.items():
            spec = self.spec[key]
            shape = (rows, *[sizes[dim] if isinstance(dim, str) else dim for dim in spec.dims])
            nbytes = math.prod(shape) * self._item_bytes[key]
            fields.append(Field.of(spec, column, shapes, Place(key, spec.dtype, shape, end, nbytes)))
            end += -(-nbytes // ALIGNMENT) * ALIGNMENT
        return Arrangement(rows, len(self.roles), tuple(fields), Filled(end, tuple([field.place for field in fields])))


def _shapes(column: Column, spec: ArraySpec) -> Collection[Shape | None]:
    """Return the different shapes of a column; where only free dims differ, those with the least and the greatest sizes."""
    if isinstance(column, StoredColumn):
        if column.low == column.high:
            return (column.high,)
        sizes = zip(spec.dims, column.low, column.high, strict=False)
        if all(low == high or isinstance(dim, str) for dim, low, high in sizes):
            return column.low, column.high
    return frozenset(column.shapes)


def _mismatch(key: str, shape: Shape, spec: ArraySpec) -> SampleError:
    return SampleError(Reason.SPEC_MISMATCH, f"array {key!r} has shape {shape}, its dims are {spec.describe_dims()}")


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
