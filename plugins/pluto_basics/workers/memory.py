"""How much memory a process holds."""

import os
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


def held_bytes(process: int | None = None) -> int | None:
    """Return the memory that a process (None: this one) holds for itself, in bytes; None where the system does not tell.

    Pages of mapped files (shards, maps) do not count: the kernel takes those back where it needs them.
    """
    place = "self" if process is None else str(process)
    try:
        resident, shared = Path(f"/proc/{place}/statm").read_text("ascii").split()[1:3]
    except (OSError, ValueError):
        return None
    return (int(resident) - int(shared)) * _PAGE
