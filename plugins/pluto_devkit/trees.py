"""Nested data of any shape as a few flat arrays, and back.

What a feature of nuplan-devkit serialises to (dicts, lists and tuples of arrays, numbers and text, in any nesting) becomes one
array of numbers for each dtype, and a JSON text that says where in them everything lies. A list of arrays that differ in
their first size alone is stored as one array with offsets (CSR). So every feature has the same spec, whatever its shape.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.errors import Reason, SampleError
from pluto_core.places.files import parsed
from pluto_core.samples import Sample
from pluto_devkit.schema import DTYPES, LAYOUT

Array = npt.NDArray[Any]

_BITS = {"float16": "int16", "float32": "int32", "float64": "int64"}
"""What holds the bits of numbers among which are NaN or infinities, which a sample may not hold."""
_DEEPEST = 64
_CSR_FROM = 2
"""Lists of fewer arrays are stored as they are."""


def encode(prefix: str, tree: Any) -> Sample:
    """Return the arrays of `schema.tree(prefix)` that hold a tree.

    Raises:
        SampleError: The tree holds something that is neither array, number, text, None, dict, list nor tuple.
    """
    writer = _Writer()
    layout = writer.node(tree, "", 0)
    text = json.dumps(layout, separators=(",", ":")).encode()
    sample: Sample = {f"{prefix}/{LAYOUT}": np.frombuffer(text, np.uint8)}
    for dtype, pieces in writer.pieces.items():
        sample[f"{prefix}/{dtype}"] = np.concatenate(pieces)
    return sample


def decode(arrays: Mapping[str, Array]) -> Any:
    """Return the tree that `encode` took apart; its arrays are views.

    Args:
        arrays: By dtype and `layout`, without the prefix; padding behind them does no harm.

    Raises:
        SampleError: The layout is none, or asks for what the arrays do not hold.
    """
    try:
        return _Reader(arrays).node(_layout(arrays[LAYOUT].tobytes().rstrip(b"\0")))
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError, MemoryError) as error:
        raise SampleError(Reason.DAMAGED_VALUE, f"a layout cannot be followed: {error}") from None


@lru_cache(maxsize=4096)
def _layout(text: bytes) -> Any:
    return parsed(text)


@attrs.define(eq=False)
class _Writer:
    pieces: dict[str, list[Array]] = attrs.field(factory=dict)

    def node(self, value: Any, where: str, depth: int) -> list[Any]:
        """Return the layout of a value, after keeping its numbers."""
        if depth > _DEEPEST:
            raise SampleError(Reason.SPEC_MISMATCH, f"{where or 'the feature'} is nested more than {_DEEPEST} deep")
        if value is None or isinstance(value, bool | int | float | str):
            return _plain(value)
        if isinstance(value, Mapping):
            return ["d", [[_key(key, where), self.node(item, f"{where}/{key}", depth + 1)] for key, item in value.items()]]
        if isinstance(value, list | tuple):
            return self._row(value, where, depth)
        return self._array(_as_array(value, where), where)

    def _row(self, values: Sequence[Any], where: str, depth: int) -> list[Any]:
        kind = "t" if isinstance(values, tuple) else "l"
        if len(values) >= _CSR_FROM and all(_is_array(value) for value in values):
            arrays = [_as_array(value, where) for value in values]
            if all(array.ndim for array in arrays) and len({(array.dtype, array.shape[1:]) for array in arrays}) == 1:
                lengths = [len(array) for array in arrays]
                offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
                self.pieces.setdefault("int64", []).append(offsets)
                return ["r", kind, len(lengths), self._array(np.concatenate(arrays), where)]
        return [kind, [self.node(value, f"{where}/{place}", depth + 1) for place, value in enumerate(values)]]

    def _array(self, array: Array, where: str) -> list[Any]:
        shape = list(array.shape)
        if array.dtype.kind in "SU":
            self._keep(np.frombuffer(array.tobytes(), np.uint8))
            return ["s", array.dtype.str, shape]
        if array.dtype.name not in DTYPES:
            raise SampleError(Reason.SPEC_MISMATCH, f"{where or 'the feature'} holds {array.dtype}, which no cache here stores")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            self._keep(array.reshape(-1).view(_BITS[array.dtype.name]))
            return ["b", array.dtype.name, shape]
        self._keep(array.reshape(-1))
        return ["a", array.dtype.name, shape]

    def _keep(self, numbers: Array) -> None:
        self.pieces.setdefault(numbers.dtype.name, []).append(numbers)


class _Reader:
    """Walks a layout in the order in which it was written, taking numbers as it goes."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._arrays = arrays
        self._taken: dict[str, int] = {}

    def node(self, layout: Any) -> Any:
        kind, *rest = layout
        if kind == "v":
            return rest[0]
        if kind == "f":
            return float(rest[0])
        if kind == "d":
            return {key: self.node(item) for key, item in rest[0]}
        if kind == "r":
            return self._csr(*rest)
        if kind in "lt":
            values = [self.node(item) for item in rest[0]]
            return tuple(values) if kind == "t" else values
        return self._array(kind, *rest)

    def _csr(self, kind: str, count: int, layout: Any) -> Any:
        offsets = self._take("int64", count + 1).tolist()
        values = self.node(layout)
        rows = [values[first:last] for first, last in pairwise(offsets)]
        return tuple(rows) if kind == "t" else rows

    def _array(self, kind: str, dtype: str, shape: Sequence[int]) -> Any:
        if kind not in ("a", "b", "s") or min(shape, default=0) < 0:
            raise ValueError(f"a part of kind {kind!r} and shape {shape}")
        count = int(np.prod(shape, dtype=np.int64))
        if kind == "s":
            raw = np.asarray(self._take("uint8", count * np.dtype(dtype).itemsize))
            return np.frombuffer(raw.tobytes(), dtype).reshape(shape)
        if kind == "b":
            return self._take(_BITS[dtype], count).view(dtype).reshape(shape)
        return self._take(dtype, count).reshape(shape)

    def _take(self, dtype: str, count: int) -> Any:
        first = self._taken.get(dtype, 0)
        self._taken[dtype] = first + count
        if dtype not in self._arrays:  # nothing of that dtype but empty arrays, in a whole batch
            return np.zeros(0, dtype)
        return self._arrays[dtype][first : first + count]


def _plain(value: Any) -> list[Any]:
    if isinstance(value, float) and not np.isfinite(value):
        return ["f", str(float(value))]
    return ["v", value]


def _key(key: Any, where: str) -> str | int:
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise SampleError(Reason.SPEC_MISMATCH, f"{where or 'the feature'} has the key {key!r}; keys must be text or integers")
    return key


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or hasattr(value, "detach")


def _as_array(value: Any, where: str) -> Array:
    """Return an array or tensor, in memory order and of the machine's byte order."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if not isinstance(value, np.ndarray | np.generic):
        found = f"{type(value).__module__}.{type(value).__qualname__}"
        raise SampleError(Reason.SPEC_MISMATCH, f"{where or 'the feature'} is a {found}; only arrays and plain data are stored")
    array = np.asarray(value)
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return np.ascontiguousarray(native).reshape(native.shape)
