"""The one place where pickles are read: with a list of what may be in them, and nothing else gets in.

A pickle is a program; whoever unpickles a downloaded file runs it. Here it can build plain containers, numbers, text and
arrays, and instances of the classes that the user names. Arrays are not left to numpy's own restoring functions: stand-ins
take dtype, shape and bytes, and check them before an array is made.
"""

import importlib
import io
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pluto_core.errors import Reason, SampleError

Array = npt.NDArray[Any]

_PROTOCOL = 4
"""What Python 3.9 writes."""
_MOST_NODES = 1_000_000
"""Parts of a pickled value, counted as often as they are referred to; a small file can refer to itself a billion times."""
_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_KINDS = "biufSU"
"""Kinds of dtypes that arrays may have: no objects, no records."""


class RefusedPickleError(SampleError):
    """A pickle that would do more than hold data."""

    def __init__(self, detail: str) -> None:
        """Say what it would do."""
        super().__init__(Reason.DAMAGED_VALUE, detail)

    def __reduce__(self) -> Any:
        """Let the error cross a process boundary."""
        return type(self), (self.detail,)


class _DType:
    """Stand-in for a pickled dtype."""

    def __init__(self, text: object, *_flags: object) -> None:
        self._text = text.decode("ascii") if isinstance(text, bytes) else str(text)
        self._order = "="

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or any(part is not None for part in state[2:5]):
            message = "an array of records or of a made-up dtype"
            raise RefusedPickleError(message)
        self._order = str(state[1])

    def made(self) -> np.dtype[Any]:
        """Return the dtype."""
        order = self._order if self._order in "<>" else "="
        try:
            found = np.dtype(self._text).newbyteorder(order)  # type: ignore[arg-type]
        except TypeError:
            raise RefusedPickleError(f"an array of the unknown dtype {self._text!r}") from None
        if found.kind not in _KINDS or found.fields is not None or found.subdtype is not None:
            raise RefusedPickleError(f"an array of {found}; only numbers and text are read")
        return found


class _Array(np.ndarray[Any, np.dtype[Any]]):
    """An array that takes its numbers from a pickle; made an ordinary one when everything is read."""

    def __setstate__(self, state: Any) -> None:
        _version, shape, dtype, fortran, data = state
        filled = _array(data, dtype, shape, "F" if fortran else "C")
        state = (1, filled.shape, filled.dtype, bool(fortran), filled.tobytes("A"))
        super().__setstate__(state)


class _ArrayClass:
    """Stand-in for the class `numpy.ndarray`, which pickles only pass on."""


def _reconstruct(kind: object, _shape: object, _dtype: object) -> Array:
    """Return an empty array whose state follows (numpy.core.multiarray._reconstruct)."""
    if kind is not _ArrayClass:
        message = "an array of a class other than numpy.ndarray"
        raise RefusedPickleError(message)
    return np.zeros(0, np.int8).view(_Array)


def _array(data: object, dtype: object, shape: object, order: object) -> Array:
    """Return an array of some bytes (numpy.core.numeric._frombuffer)."""
    if not isinstance(dtype, _DType) or not isinstance(data, bytes | bytearray):
        message = "an array that is not made of bytes and a dtype"
        raise RefusedPickleError(message)
    made = dtype.made()
    sizes = (shape,) if isinstance(shape, int) else shape
    if not isinstance(sizes, tuple) or not all(isinstance(size, int) and size >= 0 for size in sizes):
        raise RefusedPickleError(f"an array of shape {shape!r}")
    count = 1
    for size in sizes:
        count *= size
    if count * made.itemsize != len(data) or (count and not made.itemsize):  # numpy gives text without room for any a room
        raise RefusedPickleError(f"an array of {sizes} x {made} in {len(data)} bytes")
    flat = np.frombuffer(bytes(data), made) if made.itemsize and count else np.zeros(count, made)
    return flat.reshape(sizes, order="F" if order == "F" else "C")


def _scalar(dtype: object, data: object = None) -> Any:
    """Return a number of numpy's (numpy.core.multiarray.scalar)."""
    return _array(data, dtype, (), "C")[()]


def _latin1(text: object, encoding: object) -> bytes:
    """Return bytes that an old protocol wrote as text (_codecs.encode)."""
    if not isinstance(text, str) or encoding != "latin1":
        message = "text in an encoding other than latin1"
        raise RefusedPickleError(message)
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Return empty bytes, which old protocols make so."""
    return b""


_BUILTINS = ("builtins", "__builtin__")
_KNOWN: dict[tuple[str, str], Callable[..., Any] | type] = {
    **{(module, "_reconstruct"): _reconstruct for module in ("numpy.core.multiarray", "numpy._core.multiarray")},
    **{(module, "scalar"): _scalar for module in ("numpy.core.multiarray", "numpy._core.multiarray")},
    **{(module, "_frombuffer"): _array for module in ("numpy.core.numeric", "numpy._core.numeric")},
    ("numpy", "ndarray"): _ArrayClass,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _latin1,
    ("collections", "OrderedDict"): OrderedDict,
    **{(module, "set"): set for module in _BUILTINS},
    **{(module, "frozenset"): frozenset for module in _BUILTINS},
    **{(module, "bytes"): _no_bytes for module in _BUILTINS},
}
"""All that a pickle may call, and what is called instead."""


class _Guarded(pickle.Unpickler):
    """Finds what is on the list, and nothing else."""

    def __init__(self, file: io.BytesIO, allowed: Mapping[tuple[str, str], type]) -> None:
        super().__init__(file)
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name may stand for here."""
        key = (module, name)
        if key in _KNOWN:
            return _KNOWN[key]
        if key in self._allowed:
            return self._allowed[key]
        raise RefusedPickleError(
            f"the pickle asks for {module}.{name}, which is not allowed; if it is a feature class of yours, "
            f'allow it with --set allow=["{module}:{name}"]'
        )


def allowed_classes(names: Collection[str]) -> dict[tuple[str, str], type]:
    """Return the classes that the user allows, by the module and name under which pickles ask for them.

    Args:
        names: `package.module:Class` each.

    Raises:
        SampleError: One of them is no class; functions are never allowed.
    """
    found: dict[tuple[str, str], type] = {}
    for name in names:
        module, _, attribute = name.partition(":")
        value = getattr(importlib.import_module(module), attribute, None)
        if not isinstance(value, type):
            raise RefusedPickleError(f"{name!r} is no class; only classes can be allowed")
        found[module, attribute] = value
    return found


def read_pickle(data: bytes, allowed: Mapping[tuple[str, str], type] | None = None) -> Any:
    """Return what a pickle holds.

    Args:
        data: The pickle.
        allowed: Classes whose instances it may hold besides plain data; see `allowed_classes`.

    Raises:
        RefusedPickleError: It would call, or hold, something that is not on the list.
        SampleError: It is no pickle, or damaged.
    """
    classes = dict(allowed or {})
    before = {kind: dict(vars(kind)) for kind in classes.values()}
    try:
        _require_sane(data)
        value = _Guarded(io.BytesIO(data), classes).load()
        return _Plain(tuple(classes.values())).of(value)
    except SampleError:
        raise
    except RecursionError:
        message = "data nested too deep"
        raise RefusedPickleError(message) from None
    except Exception as error:  # noqa: BLE001 -- whatever a damaged pickle makes of itself
        detail = f"the pickle cannot be read: {type(error).__name__}: {error}"
        raise SampleError(Reason.DAMAGED_VALUE, detail) from None
    finally:
        _require_same(before)


def _require_sane(data: bytes) -> None:
    """Refuse a pickle whose memo has holes, before a table for it fills the memory.

    Who writes pickles numbers what is remembered one by one; a number out of the blue makes Python's reader take up to 64 GB.
    """
    for count, (opcode, argument, _place) in enumerate(pickletools.genops(data)):
        if opcode.name in _PUTS and int(argument or 0) > count:
            raise RefusedPickleError(f"the number {argument} for the part {count} of a pickle")
        if count > _MOST_NODES:
            raise RefusedPickleError(f"a pickle of more than {_MOST_NODES} parts")


def _require_same(before: Mapping[type, Mapping[str, Any]]) -> None:
    """Put back what a pickle changed of a class itself, and refuse that pickle."""
    changed = False
    for kind, members in before.items():
        for name in vars(kind).keys() - members.keys():
            delattr(kind, name)
            changed = True
        for name, member in members.items():
            if vars(kind).get(name) is not member:
                setattr(kind, name, member)
                changed = True
    if changed:
        message = "the pickle changes a class instead of making an instance of it"
        raise RefusedPickleError(message)


def write_pickle(data: Any) -> bytes:
    """Return data as a pickle that the devkit's Python reads."""
    return pickle.dumps(data, protocol=_PROTOCOL)


class _Plain:
    """Makes ordinary arrays of what was read, and refuses what grows without end."""

    def __init__(self, classes: tuple[type, ...]) -> None:
        self._classes = classes
        self._count = 0

    def of(self, value: Any) -> Any:
        """Return a value with ordinary arrays in it."""
        self._count += 1
        if self._count > _MOST_NODES:
            raise RefusedPickleError(f"data of more than {_MOST_NODES} parts")
        if isinstance(value, _Array):
            return value.view(np.ndarray)
        if isinstance(value, dict):
            return {key: self.of(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return type(value)(self.of(item) for item in value)
        if self._classes and isinstance(value, self._classes):
            vars(value).update({key: self.of(item) for key, item in vars(value).items()})
        elif isinstance(value, _DType | type) or callable(value):
            raise RefusedPickleError(f"data that holds {value!r}")
        return value
