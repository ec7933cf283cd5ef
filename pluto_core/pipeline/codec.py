"""The sample codec: named arrays as one msgpack document that is read back as views, without a copy and without trust.

A value is the msgpack array `[version, head checksum, payload checksum, outline, numbers, padding, payload]`. The outline is
itself msgpack, one `[name, dtype, dims]` for each array: the same bytes for all samples with the same arrays, so that it is
looked up and not parsed. The numbers are int64, for each array its codec, its offset and bytes in the payload, and its shape.
The payload holds the arrays, little-endian, each at a multiple of 128 bytes; the padding puts the payload at such a multiple of
the value. Checksums are XXH3-64: of payload checksum, outline and numbers, which every read compares, and of all that follows
them, which `verify=True` compares. The former begins with the key under which the value is stored, so that a value never
passes for that of another scenario.
"""

import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgpack
import numpy as np
from xxhash import xxh3_64, xxh3_64_intdigest

from pluto_core.arrays import ArraySpec, SampleSpec
from pluto_core.errors import Reason, SampleError
from pluto_core.pipeline.columns import DIMS, Entry, Numbers, Outline, StoredColumn, array_at, stored_columns
from pluto_core.pipeline.profiles import LARGEST_PACKED, SMALLEST_PACKED, Buffer, Codec, pack, profile_of
from pluto_core.samples import Array, Sample

VERSION = 2

_ALIGN = 128
_LONGEST = 2**32 - 1
_LARGEST_HEAD = 1 << 20
"""Bytes of a head up to which those of all values of a batch are copied to be looked at together."""
_MOST_DIMS = 32
_ARRAY_7, _UINT16, _UINT64, _BIN8, _BIN32 = 0x97, 0xCD, 0xCF, 0xC4, 0xC6
_START = struct.Struct(">BBH")
"""Array of seven, uint16 version."""
_CHECKSUM = struct.Struct(">BQ")
_LENGTH = struct.Struct(">BI")
_SIZE = struct.Struct(">I")
_MIDDLE = struct.Struct(">BB")
_PREFIX = struct.Struct(">BBHBQBQBI")
"""Start, head checksum, payload checksum, length of the outline."""
_SUMMED = _START.size + _CHECKSUM.size
"""Where the bytes of which the head checksum is begin."""

_NAMES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64")
_DTYPES = {name: np.dtype(name).newbyteorder("<") for name in _NAMES}
_GAPS = [bytes(size) for size in range(_ALIGN)]


def encode(sample: Mapping[str, Array], spec: SampleSpec, profile: str = "default", *, key: bytes = b"") -> bytes:
    """Return a sample as bytes: equal samples give equal bytes.

    Args:
        sample: Arrays by key.
        spec: Gives the dtype at rest and the class, hence the codec, of each array.
        profile: A name in `profiles.PROFILES`.
        key: What the value will be stored under; `decode` then asks for the same.

    Raises:
        SampleError: An array has no spec, a value does not fit the dtype at rest, or the sample has 4 GiB.
        PlutoError: There is no such profile.
    """
    codecs = profile_of(profile)
    outline: list[tuple[str, str, int]] = []
    numbers: list[int] = []
    pieces: list[Buffer] = []
    length = 0
    for name in sorted(sample):
        if name not in spec:
            raise SampleError(Reason.SPEC_MISMATCH, f"array {name!r} is not in the spec")
        array = _at_rest(name, sample[name], spec[name])
        codec, data = _packed(array, codecs[spec[name].array_class])
        gap = -length % _ALIGN
        pieces += (_GAPS[gap], data)
        outline.append((name, spec[name].stored_dtype, array.ndim))
        numbers += (codec, length + gap, len(data), *array.shape)
        length += gap + len(data)
    if length > _LONGEST:
        raise SampleError(Reason.OUT_OF_RANGE, f"the sample has {length} bytes, more than a value can hold")
    return _document(msgpack.packb(outline), struct.pack(f"<{len(numbers)}q", *numbers), pieces, length, key)


def decode(value: Buffer, *, key: bytes = b"", verify: bool = False, names: Collection[str] | None = None) -> Sample:
    """Return the arrays of a value, in the dtype at rest, as read-only views of it (unpacked arrays: of their own bytes).

    Args:
        value: What `encode` returned; it stays alive as long as an array does.
        key: What the value is stored under, as given to `encode`.
        verify: Whether to compare the payload's checksum as well.
        names: Keys to return; others cost nothing. None for all.

    Raises:
        SampleError: With `DAMAGED_VALUE`, for whatever `encode` cannot have written.
    """
    try:
        record = _record(value, key, verify=verify)
        numbers = record.outline.numbers.unpack(record.numbers)
        return {
            name: array_at(record.payload, dtype, numbers[at:end])
            for name, dtype, at, end in record.outline.entries
            if names is None or name in names
        }
    except _DAMAGE as error:
        raise _unreadable(error) from None


def columns(
    values: Sequence[Buffer], keys: Sequence[bytes], *, names: Collection[str] | None = None
) -> dict[str, StoredColumn] | None:
    """Return the arrays of several values by name, as places in them; None where not all have the same arrays.

    Args:
        values: What `encode` returned; they stay alive as long as the columns do.
        keys: What each is stored under.
        names: Arrays to return. None for all.

    Raises:
        SampleError: With `DAMAGED_VALUE`: one of them, `decode` says which, is damaged.
    """
    try:
        first = _record(values[0], keys[0])
        begin = len(values[0]) - len(first.payload)
        if (numbers := _numbers_of_all(values, keys, first.outline, begin)) is not None:
            return stored_columns(first.outline, [memoryview(value).toreadonly()[begin:] for value in values], numbers, names)
        records = [_record(value, key) for value, key in zip(values, keys, strict=True)]
        if any(record.outline is not first.outline for record in records):
            return None
        joined = np.frombuffer(b"".join(record.numbers for record in records), "<i8").reshape(len(records), -1)
        return stored_columns(first.outline, [record.payload for record in records], joined, names)
    except _DAMAGE as error:
        raise _unreadable(error) from None


_DAMAGE = (ValueError, TypeError, OverflowError, MemoryError, RecursionError, struct.error, msgpack.UnpackException)


def _unreadable(error: Exception) -> SampleError:
    return SampleError(Reason.DAMAGED_VALUE, f"a stored value cannot be read: {error}")


def _at_rest(key: str, array: Array, spec: ArraySpec) -> Array:
    wanted = _DTYPES[spec.stored_dtype]
    if array.dtype == wanted:
        return np.asarray(array, wanted, order="C")
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = np.asarray(array, wanted, order="C")
        kept = np.isfinite(narrow) if array.dtype.kind == wanted.kind == "f" else narrow == array
    if not kept.all():
        worst = array.reshape(-1)[int(np.argmin(kept.reshape(-1)))]
        raise SampleError(Reason.OUT_OF_RANGE, f"array {key!r} holds {worst}, which {spec.stored_dtype} at rest cannot hold")
    return narrow


def _packed(array: Array, codec: Codec) -> tuple[Codec, Buffer]:
    data = array.reshape(-1).view(np.uint8).data
    if codec is Codec.RAW or not SMALLEST_PACKED <= len(data) <= LARGEST_PACKED:
        return Codec.RAW, data
    packed = pack(codec, data)
    return (codec, packed) if len(packed) < len(data) else (Codec.RAW, data)


def _document(outline: bytes, numbers: bytes, pieces: Iterable[Buffer], length: int, key: bytes) -> bytes:
    before = _PREFIX.size + len(outline) + _LENGTH.size + len(numbers) + _MIDDLE.size + _LENGTH.size
    padding = -before % _ALIGN
    rest = [_MIDDLE.pack(_BIN8, padding), _GAPS[padding], _LENGTH.pack(_BIN32, length), *pieces]
    state = xxh3_64()
    for piece in rest:
        state.update(piece)
    checksum = _CHECKSUM.pack(_UINT64, state.intdigest())
    head = [checksum, _LENGTH.pack(_BIN32, len(outline)), outline, _LENGTH.pack(_BIN32, len(numbers)), numbers]
    summed = _CHECKSUM.pack(_UINT64, xxh3_64_intdigest(b"".join([key, *head])))
    return b"".join([_START.pack(_ARRAY_7, _UINT16, VERSION), summed, *head, *rest])


class _Record(NamedTuple):
    """A value whose head was read."""

    outline: Outline
    numbers: memoryview
    payload: memoryview


@lru_cache(maxsize=64)
def _outline(packed: bytes) -> Outline:
    entries: dict[str, Entry] = {}
    at = 0
    for name, dtype, dims in msgpack.unpackb(packed):
        if type(name) is not str or name in entries:
            raise ValueError(f"name {name!r} is no text or stands twice")
        if dtype not in _DTYPES or type(dims) is not int or not 0 <= dims <= _MOST_DIMS:
            raise ValueError(f"there is no array of dtype {dtype!r} and {dims!r} dims")
        entries[name] = (name, _DTYPES[dtype], at, at + DIMS + dims)
        at += DIMS + dims
    return Outline.of(tuple(entries.values()))


def _record(value: Buffer, key: bytes, *, verify: bool = False) -> _Record:
    """Return a value's parts, whose checksums were compared; what lies in the payload was not looked at."""
    view = memoryview(value).toreadonly()
    start, start_2, version, mark, head, mark_2, checksum, mark_3, size = _PREFIX.unpack_from(view)
    if start >> 4 != _ARRAY_7 >> 4 or start_2 != _UINT16:
        message = "it does not begin like a sample"
        raise ValueError(message)
    if version != VERSION:
        raise ValueError(f"it has version {version}, this program reads version {VERSION}")
    middle = _PREFIX.size + size
    _, count = _LENGTH.unpack_from(view, middle)
    after = middle + _LENGTH.size + count
    if (
        (start, mark, mark_2, mark_3) != (_ARRAY_7, _UINT64, _UINT64, _BIN32)
        or after > len(view)
        or (xxh3_64_intdigest(key + view[_SUMMED:after]) != head)
    ):
        message = "the head's checksum differs, or it is the value of another scenario"
        raise ValueError(message)
    outline = _outline(bytes(view[_PREFIX.size : middle]))
    if outline.numbers.size != count:
        raise ValueError(f"it has {count} bytes of numbers instead of {outline.numbers.size}")
    return _Record(outline, view[after - count : after], _payload(view, after, checksum if verify else None))


def _numbers_of_all(values: Sequence[Buffer], keys: Sequence[bytes], outline: Outline, begin: int) -> Numbers | None:
    """Return the numbers of values whose payloads begin at the same place, (values, n), all of them at once.

    None where heads differ in more than checksums, numbers and lengths, or one is damaged: `_record` says which.
    """
    joined = b"".join([value[:begin] for value in values]) if begin <= _LARGEST_HEAD else b""
    if len(joined) != begin * len(values):
        return None
    count = outline.numbers.size
    (size,) = _SIZE.unpack_from(joined, _PREFIX.size - _SIZE.size)
    after = _PREFIX.size + size + _LENGTH.size + count
    table = np.frombuffer(joined, _head(begin, after, count))
    if any((table[name] != table[name][0]).any() for name in ("start", "mark", "outline", "middle")):
        return None
    for number, (key, sum_) in enumerate(zip(keys, table["sum"].tolist(), strict=True)):
        if xxh3_64_intdigest(key + joined[number * begin + _SUMMED : number * begin + after]) != sum_:
            return None
    if [begin + length for length in table["length"].tolist()] != [len(value) for value in values]:
        return None
    return np.ascontiguousarray(table["numbers"])


@lru_cache(maxsize=64)
def _head(begin: int, after: int, count: int) -> "np.dtype[np.void]":
    """Return what stands before a payload that begins at `begin`, where numbers of `count` bytes end at `after`."""
    parts = {
        "start": ("u1", (_START.size + 1,), 0),
        "sum": (">u8", (), _START.size + 1),
        "mark": ("u1", (1,), _SUMMED),
        "outline": ("u1", (after - count - _PREFIX.size + 5,), _PREFIX.size - 5),
        "numbers": ("<i8", (count // 8,), after - count),
        "middle": ("u1", (begin - _SIZE.size - after,), after),
        "length": (">u4", (), begin - _SIZE.size),
    }
    return np.dtype(
        {
            "names": list(parts),
            "formats": [(kind, shape) for kind, shape, _ in parts.values()],
            "offsets": [offset for _, _, offset in parts.values()],
            "itemsize": begin,
        }
    )


def _payload(value: memoryview, after: int, checksum: int | None) -> memoryview:
    """Return the payload, which is compared with a checksum where there is one."""
    _, padding = _MIDDLE.unpack_from(value, after)
    _, length = _LENGTH.unpack_from(value, after + _MIDDLE.size + padding)
    start = after + _MIDDLE.size + padding + _LENGTH.size
    if start + length != len(value):
        raise ValueError(f"it has {len(value)} bytes instead of {start + length}")
    if checksum is not None and xxh3_64_intdigest(value[after:]) != checksum:
        message = "the payload's checksum differs"
        raise ValueError(message)
    return value[start:]
