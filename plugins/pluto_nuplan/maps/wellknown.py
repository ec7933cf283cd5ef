"""Well-known binary (OGC 06-103r4, also PostGIS's flags) as far as it must be looked at before GEOS reads it."""

import struct
from typing import NamedTuple

_POINT, _LINE, _POLYGON = 1, 2, 3
_PLAIN = (_POINT, _LINE, _POLYGON)
_ROWS = (4, 5, 6)
"""Several points, lines or polygons."""
_ORDERS = {0: ">", 1: "<"}
_HAS_Z, _HAS_M, _HAS_SRID = 1 << 31, 1 << 30, 1 << 29


class _Head(NamedTuple):
    """What a geometry begins with."""

    kind: int
    order: str
    """Of its bytes, as `struct` has it."""
    point: int
    """Bytes of a point."""
    end: int
    """Where what follows begins."""


def is_flat(wkb: bytes) -> bool:
    """Return whether well-known binary is a point, line or polygon, or a row of them.

    GEOS follows collections inside collections as deep as they go; where the stack ends, the process does.
    """
    try:
        head = _head(wkb, 0)
        if head.kind not in _ROWS:
            return head.kind in _PLAIN
        at = head.end + 4
        for _ in range(_count(wkb, head.order, head.end)):
            part = _head(wkb, at)
            if part.kind not in _PLAIN:
                return False
            at = _end(wkb, part)
    except (struct.error, KeyError):
        return False
    return True


def _head(wkb: bytes, at: int) -> _Head:
    order = _ORDERS[struct.unpack_from("B", wkb, at)[0]]
    code = _count(wkb, order, at + 1)
    dims = code % (1 << 16) // 1000
    numbers = 2 + bool(code & _HAS_Z or dims in (1, 3)) + bool(code & _HAS_M or dims in (2, 3))
    return _Head(code % (1 << 16) % 1000, order, 8 * numbers, at + (9 if code & _HAS_SRID else 5))


def _end(wkb: bytes, part: _Head) -> int:
    """Return where a point, line or polygon ends."""
    if part.kind == _POINT:
        return part.end + part.point
    if part.kind == _LINE:
        return part.end + 4 + part.point * _count(wkb, part.order, part.end)
    at = part.end + 4
    for _ in range(_count(wkb, part.order, part.end)):
        at += 4 + part.point * _count(wkb, part.order, at)
    return at


def _count(wkb: bytes, order: str, at: int) -> int:
    return int(struct.unpack_from(f"{order}I", wkb, at)[0])
