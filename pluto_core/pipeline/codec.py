"""The sample codec: named arrays as one msgpack document that is read back as views, without a copy and without trust.

A value is the msgpack array `[version, header checksum, payload checksum, header, padding, payload]`. The header is itself
msgpack: one `[name, dtype, shape, codec, offset, bytes]` for each array. The payload holds the arrays, little-endian, each
at a multiple of 64 bytes; the padding puts the payload at such a multiple of the value. Checksums are CRC-32: of payload
checksum and header, which every read compares, and of all that follows the header, which `verify=True` compares. The former
begins with the key under which the value is stored, so that a value never passes for that of another scenario.
"""

import math
import struct
import zlib
from collections.abc import Collection, Mapping
from typing import Any

import msgpack
import numpy as np

from pluto_core.arrays import ArraySpec, SampleSpec
from pluto_core.errors import Reason, SampleError
from pluto_core.pipeline.profiles import SMALLEST_PACKED, Buffer, Codec, pack, profile_of, unpack
from pluto_core.samples import Array, Sample

VERSION = 1

_ALIGN = 64
_LONGEST = 2**32 - 1
_ARRAY_6, _UINT16, _UINT32, _BIN8, _BIN32 = 0x96, 0xCD, 0xCE, 0xC4, 0xC6
_PREFIX = struct.Struct(">BBHBIBIBI")
"""Array of six, uint16 version, uint32 header checksum, uint32 payload checksum, bin32 header (its length)."""
_MIDDLE = struct.Struct(">BB")
_LENGTH = struct.Struct(">BI")

_NAMES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64")
_DTYPES = {name: np.dtype(name).newbyteorder("<") for name in _NAMES}


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
    header: list[tuple[str, str, tuple[int, ...], int, int, int]] = []
    pieces: list[Buffer] = []
    length = 0
    for name in sorted(sample):
        if name not in spec:
            raise SampleError(Reason.SPEC_MISMATCH, f"array {name!r} is not in the spec")
        array = _at_rest(name, sample[name], spec[name])
        codec, data = _packed(array, codecs[spec[name].array_class])
        gap = -length % _ALIGN
        pieces += (bytes(gap), data)
        header.append((name, spec[name].stored_dtype, array.shape, int(codec), length + gap, len(data)))
        length += gap + len(data)
    if length > _LONGEST:
        raise SampleError(Reason.OUT_OF_RANGE, f"the sample has {length} bytes, more than a value can hold")
    return _document(msgpack.packb(header), pieces, length, key)


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
        return _arrays(memoryview(value).toreadonly(), names, key, verify=verify)
    except (ValueError, TypeError, OverflowError, MemoryError, struct.error, msgpack.UnpackException) as error:
        raise SampleError(Reason.DAMAGED_VALUE, f"a stored value cannot be read: {error}") from None


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
    if codec is Codec.RAW or len(data) < SMALLEST_PACKED:
        return Codec.RAW, data
    packed = pack(codec, data)
    return (codec, packed) if len(packed) < len(data) else (Codec.RAW, data)


def _document(header: bytes, pieces: list[Buffer], length: int, key: bytes) -> bytes:
    before = _PREFIX.size + len(header) + _MIDDLE.size + _LENGTH.size
    padding = -before % _ALIGN
    rest: list[Buffer] = [_MIDDLE.pack(_BIN8, padding), bytes(padding), _LENGTH.pack(_BIN32, length), *pieces]
    checksum = 0
    for piece in rest:
        checksum = zlib.crc32(piece, checksum)
    head = zlib.crc32(header, zlib.crc32(key, checksum))
    prefix = _PREFIX.pack(_ARRAY_6, _UINT16, VERSION, _UINT32, head, _UINT32, checksum, _BIN32, len(header))
    return b"".join([prefix, header, *rest])


def _arrays(value: memoryview, names: Collection[str] | None, stored_as: bytes, *, verify: bool) -> Sample:
    header, start = _parts(value, stored_as, verify=verify)
    sample: Sample = {}
    seen: set[str] = set()
    for key, *entry in msgpack.unpackb(header):
        if type(key) is not str or key in seen:
            raise ValueError(f"key {key!r} is no text or stands twice")
        seen.add(key)
        if names is None or key in names:
            sample[key] = _array(value, start, entry)
    return sample


def _parts(value: memoryview, key: bytes, *, verify: bool) -> tuple[memoryview, int]:
    """Return the header, and where the payload starts."""
    *marks, version, mark, head, mark_2, checksum, mark_3, size = _PREFIX.unpack_from(value)
    if (*marks, mark, mark_2, mark_3) != (_ARRAY_6, _UINT16, _UINT32, _UINT32, _BIN32):
        message = "it does not begin like a sample"
        raise ValueError(message)
    if version != VERSION:
        raise ValueError(f"it has version {version}, this program reads version {VERSION}")
    after = _PREFIX.size + size
    header = value[_PREFIX.size : after]
    if len(header) != size or zlib.crc32(header, zlib.crc32(key, checksum)) != head:
        message = "the header's checksum differs, or it is the value of another scenario"
        raise ValueError(message)
    _, padding = _MIDDLE.unpack_from(value, after)
    _, length = _LENGTH.unpack_from(value, after + _MIDDLE.size + padding)
    start = after + _MIDDLE.size + padding + _LENGTH.size
    if start + length != len(value):
        raise ValueError(f"it has {len(value)} bytes instead of {start + length}")
    if verify and zlib.crc32(value[after:]) != checksum:
        message = "the payload's checksum differs"
        raise ValueError(message)
    return header, start


def _array(value: memoryview, start: int, entry: list[Any]) -> Array:
    """Return one array; whatever is wrong with its entry is a ValueError or TypeError, from here or from numpy."""
    name, shape, number, offset, size = entry
    if name not in _DTYPES or min(shape, default=0) < 0:
        raise ValueError(f"there is no array of dtype {name!r} and shape {shape!r}")
    dtype = _DTYPES[name]
    first = start + offset
    if offset < 0 or size < 0 or first + size > len(value):
        raise ValueError(f"an array lies outside of the value: {size} bytes at {offset}")
    wanted = math.prod(shape) * dtype.itemsize
    if number == Codec.RAW:
        if size != wanted:
            raise ValueError(f"{size} bytes for an array of {wanted}")
        return np.ndarray(shape, dtype, value, first)
    return np.ndarray(shape, dtype, unpack(Codec(number), value[first : first + size], wanted))
