"""Tables in Arrow's forms, read so that a small file does not fill the memory."""

import struct

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_MAGIC_BYTES = 8
_PACKED = ("record batch", "dictionary")
"""Kinds of messages that hold values; the batch of a dictionary lies one table deeper."""
_HEADER, _DATA, _BUFFERS, _COMPRESSION = 2, 1, 2, 3
"""Fields: a message's batch, a dictionary's batch, a batch's buffers and way of packing."""
_MOST_BYTES = 256 << 20
"""Of an unpacked table; those of Argoverse 2 have some megabytes."""
_LONGEST_NAME = 1000


def read_feather(path: str) -> pa.Table:
    """Return what a Feather file holds.

    It is read as the stream of messages that it begins with, so that those that were measured are those that are unpacked.

    Raises:
        ValueError: It says that it unpacks to more than a recording has.
        OSError: It is missing, or no such file.
        pa.ArrowException: It is damaged.
    """
    with pa.OSFile(path) as file:
        file.seek(_MAGIC_BYTES)
        size = sum(_unpacked_bytes(message) for message in pa.ipc.MessageReader.open_stream(file))
        if size > _MOST_BYTES:
            raise ValueError(f"it unpacks to {size:,} bytes, more than {_MOST_BYTES:,}")
        file.seek(_MAGIC_BYTES)
        return validated(pa.ipc.open_stream(file).read_all())


def validated(table: pa.Table) -> pa.Table:
    """Return a table in which nothing leads out of it: Arrow believes what offsets say.

    Raises:
        ValueError: It has types of other programs; some versions of Arrow end the process when they validate them.
        pa.ArrowException: It is damaged.
    """
    strange = [kind for kind in table.schema.types if isinstance(kind, pa.BaseExtensionType)]
    if strange:
        raise ValueError(f"it has columns of the type {strange[0]} of another program")
    table.validate(full=True)
    return table


def words(column: pa.ChunkedArray) -> npt.NDArray[np.str_]:
    """Return a column of text; each of its different texts is made once, for one may stand in millions of rows.

    Raises:
        ValueError: It holds no text, or one that is longer than a name: numpy makes as much room in every row.
    """
    coded = pa.types.is_dictionary(column.type)
    kind = column.type.value_type if coded else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise ValueError(f"values of type {kind} where names should be")
    whole = (column if coded else column.dictionary_encode()).combine_chunks()
    names = whole.dictionary.to_pylist()
    longest = max(map(len, names), default=0)
    if longest > _LONGEST_NAME:
        raise ValueError(f"a name has {longest:,} characters, more than {_LONGEST_NAME:,}")
    found: npt.NDArray[np.str_] = np.asarray(names, np.str_)[whole.indices.to_numpy(zero_copy_only=False)]
    return found


def _unpacked_bytes(message: pa.Message) -> int:
    """Return how many bytes the buffers of a message say they unpack to: each packed one begins with that number.

    The places of the buffers stand in a flatbuffer (`Message.fbs` and `Schema.fbs` of Arrow).
    """
    if message.type not in _PACKED:
        return 0
    head, body = bytes(message.metadata), memoryview(message.body)
    if b"ARROW:experimental_compression" in head:
        told = "it is packed in the way of Arrow 0.17"
        raise ValueError(told)
    batch = _inner(head, struct.unpack_from("<I", head)[0], _HEADER)
    if message.type == "dictionary":
        batch = _inner(head, batch, _DATA)
    if not _slot(head, batch, _COMPRESSION):
        return len(body)
    buffers = _inner(head, batch, _BUFFERS)
    places = struct.iter_unpack("<qq", head[buffers + 4 :][: 16 * struct.unpack_from("<I", head, buffers)[0]])
    return sum(max(0, *struct.unpack_from("<q", body, first)) for first, size in places if size)


def _slot(head: bytes, table: int, field: int) -> int:
    """Return where a field of a flatbuffer's table lies; 0 where it has none."""
    fields = table - struct.unpack_from("<i", head, table)[0]
    inside = 4 + 2 * field < struct.unpack_from("<H", head, fields)[0]
    distance = struct.unpack_from("<H", head, fields + 4 + 2 * field)[0] if inside else 0
    return table + distance if distance else 0


def _inner(head: bytes, table: int, field: int) -> int:
    """Return where the table or list lies to which a field leads."""
    place = _slot(head, table, field)
    return int(place + struct.unpack_from("<I", head, place)[0])
