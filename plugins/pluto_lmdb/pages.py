"""Proof that an LMDB file can be read: LMDB follows whatever its pages say, also out of the file, which ends the process.

The form is that of LMDB 0.9 on 64-bit machines (`mdb.c`, data version 1): two pages about the file, of which the one with the
later transaction counts; branch and leaf pages with a table of nodes; long values on pages of their own. All numbers are little
endian.
"""

import mmap
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pluto_core import PlutoError

Octets = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

_MAGIC, _VERSION = 0xBEEFC0DE, 1
_PAGE_FLAGS, _TABLE_END, _NODES_BEGIN, _PAGE_HEAD = 10, 12, 14, 16
"""Places in a page: its kind, the end of the table of nodes, the begin of the nodes; bytes before the table."""
_MAGIC_AT, _SIZE_AT, _FLAGS_AT, _ROOT_AT, _LAST_AT, _META_END = 16, 40, 92, 128, 136, 152
"""Places in a page about the file: magic and version, size of a page, flags and root of the keys, last page and transaction."""
_BRANCH, _LEAF, _META = 1, 2, 8
"""Kinds of pages."""
_FLAGS, _KEY_SIZE, _NODE_HEAD = 4, 6, 8
"""Places in a node; bytes before its key."""
_ELSEWHERE = 1
"""Flag of a node whose value lies on pages of its own."""
_NONE = 2**64 - 1
_PAGE_SIZES = frozenset(1 << power for power in range(9, 17))
_LONGEST_KEY, _DEEPEST, _FIRST = 511, 31, 2
_NO_SHARD = "is no LMDB shard, or is cut off: it has {} bytes"


class _DamagedError(Exception):
    """What LMDB would follow without looking."""


class _Meta(NamedTuple):
    """What a page about the file says."""

    size: int
    """Of a page, bytes."""
    pages: int
    transaction: int
    root: int
    flags: int


def require_sound(path: Path) -> None:
    """Prove that who reads a shard stays in the file: all pages that can be reached from the root, their nodes, their values.

    Costs some milliseconds for thousands of values, which are not looked at themselves: a hundredth of the file is read.

    Raises:
        PlutoError: It is no LMDB file, is cut off, or damaged.
        OSError: It cannot be opened.
    """
    try:
        mapped = _mapped(path)
        octets = np.frombuffer(mapped, np.uint8)
        meta = _newest(octets)
        _require_tree(octets, meta, partial(_ask_for, mapped, meta.size))
    except _DamagedError as error:
        raise PlutoError(f"{path} {error}") from None


def _mapped(path: Path) -> mmap.mmap:
    """Return a file as memory, of which what is looked at is read and no more."""
    with path.open("rb") as file:
        if not file.seek(0, 2):
            raise _DamagedError(_NO_SHARD.format(0))
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    mapped.madvise(mmap.MADV_RANDOM)  # else the kernel reads megabytes of values around each page
    return mapped


def _ask_for(mapped: mmap.mmap, size: int, pages: Ints) -> None:
    """Have pages read ahead, all at once, instead of waiting for one after the other."""
    for page in pages.tolist():
        begin = page * size // mmap.PAGESIZE * mmap.PAGESIZE
        mapped.madvise(mmap.MADV_WILLNEED, begin, size)


def _newest(octets: Octets) -> _Meta:
    """Return what counts of what the first two pages say."""
    first = _meta(octets, 0)
    second = _meta(octets, first.size)
    found = second if second.transaction > first.transaction else first
    _require(first.size == second.size, "pages of two sizes")
    _require(not found.flags, "other tables than one of keys")
    if len(octets) < found.pages * found.size:
        raise _DamagedError(f"is cut off: it has {len(octets)} bytes and should have {found.pages * found.size}")
    return found


def _meta(octets: Octets, at: int) -> _Meta:
    page = octets[at : at + _META_END].tobytes()
    if len(page) < _META_END:
        raise _DamagedError(_NO_SHARD.format(len(octets)))

    def number(place: int, size: int) -> int:
        return int.from_bytes(page[place : place + size], "little")

    if number(_MAGIC_AT, 4) != _MAGIC or number(_MAGIC_AT + 4, 4) != _VERSION or not number(_PAGE_FLAGS, 2) & _META:
        message = "is no LMDB shard, or is damaged"
        raise _DamagedError(message)
    _require(number(_SIZE_AT, 4) in _PAGE_SIZES, f"pages of {number(_SIZE_AT, 4)} bytes")
    return _Meta(
        size=number(_SIZE_AT, 4),
        pages=number(_LAST_AT, 8) + 1,
        transaction=number(_LAST_AT + 8, 8),
        root=number(_ROOT_AT, 8),
        flags=number(_FLAGS_AT, 2),
    )


def _require_tree(octets: Octets, meta: _Meta, ask_for: Callable[[Ints], None]) -> None:
    """Walk the tree, all pages of one depth at a time."""
    if meta.root == _NONE:
        return
    seen = np.zeros(meta.pages, np.bool_)
    level = np.asarray([min(meta.root, meta.pages)], np.int64)
    for _ in range(_DEEPEST):
        _require(((level >= _FIRST) & (level < meta.pages)).all(), "a page outside of the file")
        _require(len(np.unique(level)) == len(level) and not seen[level].any(), "a page that is reached twice")
        seen[level] = True
        ask_for(level)
        kinds = _numbers(octets, level * meta.size + _PAGE_FLAGS, 2)
        _require(np.isin(kinds, (_BRANCH, _LEAF)).all(), "a page of another kind")
        _require_values(octets, meta, level[kinds == _LEAF])
        level = _children(octets, meta, level[kinds == _BRANCH])
        if not len(level):
            return
    _require(sound=False, what="a tree that is too deep")


def _children(octets: Octets, meta: _Meta, pages: Ints) -> Ints:
    """Return the pages to which branch pages lead."""
    nodes = _nodes(octets, meta, pages, least=2)
    return _numbers(octets, nodes, 6)


def _require_values(octets: Octets, meta: _Meta, pages: Ints) -> None:
    """Prove that the keys and values of leaf pages lie where they should."""
    nodes = _nodes(octets, meta, pages, least=1)
    sizes, flags = _numbers(octets, nodes, 4), _numbers(octets, nodes + _FLAGS, 2)
    _require(np.isin(flags, (0, _ELSEWHERE)).all(), "a value of another kind")
    value = nodes + _NODE_HEAD + _numbers(octets, nodes + _KEY_SIZE, 2)
    page_end = nodes // meta.size * meta.size + meta.size
    far = flags == _ELSEWHERE
    _require((value + np.where(far, 8, sizes) <= page_end).all(), "a value outside of its page")
    first = _numbers(octets, value[far], 8)
    count = (_PAGE_HEAD + sizes[far] + meta.size - 1) // meta.size
    _require(((first >= _FIRST) & (first + count <= meta.pages)).all(), "a value outside of the file")


def _nodes(octets: Octets, meta: _Meta, pages: Ints, *, least: int) -> Ints:
    """Return where the nodes of some pages begin; they and their keys lie in their pages."""
    begin = pages * meta.size
    end, low = _numbers(octets, begin + _TABLE_END, 2), _numbers(octets, begin + _NODES_BEGIN, 2)
    counts = (end - _PAGE_HEAD) // 2
    sound = (counts >= least) & (end % 2 == 0) & (end <= low) & (low <= meta.size)
    _require(sound.all(), "a page whose table is no table")
    rows = np.repeat(np.arange(len(pages)), counts)
    slots = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    offsets = _numbers(octets, begin[rows] + _PAGE_HEAD + 2 * slots, 2)
    _require(((offsets >= low[rows]) & (offsets + _NODE_HEAD <= meta.size)).all(), "a node outside of its page")
    nodes = begin[rows] + offsets
    key_sizes = _numbers(octets, nodes + _KEY_SIZE, 2)
    _require((key_sizes <= _LONGEST_KEY).all(), "a key that is too long")
    _require((offsets + _NODE_HEAD + key_sizes <= meta.size).all(), "a key outside of its page")
    return nodes


def _numbers(octets: Octets, places: Ints, size: int) -> Ints:
    """Return numbers of `size` bytes; those that are too large for any file as the largest there is."""
    wide = np.zeros((len(places), 8), np.uint8)
    wide[:, :size] = octets[places[:, None] + np.arange(size)]
    numbers: Ints = np.minimum(wide.view("<u8")[:, 0], np.uint64(2**62)).astype(np.int64)
    return numbers


def _require(sound: bool | np.bool_, what: str) -> None:  # noqa: FBT001 -- what is asked
    if not sound:
        raise _DamagedError(f"is damaged: it has {what}")
