"""Memory that is freed and asked for again at once stays with the process.

Values of a megabyte are read for every batch. glibc gives what is freed at the end of its heap back to the system, and every
page that it is given anew is cleared and mapped when it is first touched: that took two thirds of the time of reading.
"""

import ctypes
import functools

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""`M_TRIM_THRESHOLD`, `M_MMAP_THRESHOLD` of malloc.h."""
_KEPT, _OWN_MAPPING = 256 << 20, 32 << 20
"""Bytes that may be free at the end of the heap; bytes from which on a piece gets a mapping of its own (the most allowed)."""


@functools.cache
def keep_freed_memory() -> bool:
    """Let this process keep freed memory for what it asks for next; return whether the C library knows how."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _KEPT)) and bool(mallopt(_MMAP_THRESHOLD, _OWN_MAPPING))
