"""Profiles: which codec each class of array gets, and the codecs themselves, with bounds on what they may unpack."""

import enum
import threading
from collections.abc import Callable, Mapping

import lz4.block
import numpy as np
import numpy.typing as npt
import zstandard

from pluto_core.arrays import ArrayClass
from pluto_core.errors import PlutoError

Buffer = bytes | memoryview


class Codec(enum.IntEnum):
    """How the bytes of one array are stored; the numbers stand in stored values and never change."""

    RAW = 0
    LZ4 = 1
    ZSTD = 2


PROFILES: Mapping[str, Mapping[ArrayClass, Codec]] = {
    "raw": {ArrayClass.FEATURE: Codec.RAW, ArrayClass.RASTER: Codec.RAW},
    "default": {ArrayClass.FEATURE: Codec.RAW, ArrayClass.RASTER: Codec.LZ4},
    "small": {ArrayClass.FEATURE: Codec.ZSTD, ArrayClass.RASTER: Codec.ZSTD},
}
"""Fastest (for sets that fit in memory), a good compromise, least bytes."""

SMALLEST_PACKED = 256
"""Bytes below which packing an array costs more than it saves."""

LARGEST_PACKED = 1 << 28
"""Bytes that one array may unpack to; larger ones are stored as they are, so that a small file cannot fill the memory."""

_LZ4_LEVEL = 3
_ZSTD_LEVEL = 3
_RATIOS = np.asarray([1, 256, 1 << 16])
"""No block of a codec, by its number, unpacks to more than so many times its size; a claim beyond it is a lie."""

_local = threading.local()


def profile_of(name: str) -> Mapping[ArrayClass, Codec]:
    """Return the codec of each array class.

    Raises:
        PlutoError: There is no such profile.
    """
    if name not in PROFILES:
        message = f"there is no cache profile {name!r}; choose one of {', '.join(PROFILES)}"
        raise PlutoError(message)
    return PROFILES[name]


def pack(codec: Codec, data: Buffer) -> bytes:
    """Return the packed bytes of an array."""
    return _PACK[codec](data)


def check_claims(codecs: npt.NDArray[np.int64], packed: npt.NDArray[np.int64], sizes: npt.NDArray[np.float64]) -> None:
    """Prove of many arrays that their packed bytes can hold their sizes.

    Raises:
        ValueError: One's cannot, or there is no such codec.
    """
    possible = sizes == packed
    if codecs.any():
        most = np.minimum(_RATIOS[codecs % len(_RATIOS)] * (packed + 1.0), LARGEST_PACKED)
        possible = (codecs <= max(Codec)) & np.where(codecs == Codec.RAW, possible, sizes <= most)
    if not possible.all():
        number = int(np.argmin(possible))
        raise ValueError(f"{packed.flat[number]} stored bytes cannot hold {sizes.flat[number]:.0f}")


def unpack(codec: Codec, data: memoryview, size: int) -> bytes:
    """Return exactly `size` bytes.

    Raises:
        ValueError: The data are damaged, or cannot possibly hold so much.
    """
    if size > min(_RATIOS[codec] * (len(data) + 1), LARGEST_PACKED):
        raise ValueError(f"{len(data)} packed bytes cannot hold {size}")
    unpacked = _UNPACK[codec](data, size)
    if len(unpacked) != size:
        raise ValueError(f"unpacked to {len(unpacked)} bytes instead of {size}")
    return unpacked


def _pack_raw(data: Buffer) -> bytes:
    return bytes(data)


def _pack_lz4(data: Buffer) -> bytes:
    packed: bytes = lz4.block.compress(data, mode="high_compression", compression=_LZ4_LEVEL, store_size=False)
    return packed


def _pack_zstd(data: Buffer) -> bytes:
    if not hasattr(_local, "packer"):
        _local.packer = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_content_size=True)
    packed: bytes = _local.packer.compress(data)
    return packed


def _unpack_raw(data: memoryview, _size: int) -> bytes:
    return bytes(data)


def _unpack_lz4(data: memoryview, size: int) -> bytes:
    try:
        unpacked: bytes = lz4.block.decompress(data, uncompressed_size=size)
    except lz4.block.LZ4BlockError as error:
        raise ValueError(str(error)) from None
    return unpacked


def _unpack_zstd(data: memoryview, size: int) -> bytes:
    if not hasattr(_local, "unpacker"):
        _local.unpacker = zstandard.ZstdDecompressor()
    try:
        claimed = zstandard.frame_content_size(data)
        if claimed != size:
            raise ValueError(f"the frame holds {claimed} bytes instead of {size}")
        unpacked: bytes = _local.unpacker.decompress(data)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from None
    return unpacked


_PACK: Mapping[Codec, Callable[[Buffer], bytes]] = {Codec.RAW: _pack_raw, Codec.LZ4: _pack_lz4, Codec.ZSTD: _pack_zstd}
_UNPACK: Mapping[Codec, Callable[[memoryview, int], bytes]] = {
    Codec.RAW: _unpack_raw,
    Codec.LZ4: _unpack_lz4,
    Codec.ZSTD: _unpack_zstd,
}
