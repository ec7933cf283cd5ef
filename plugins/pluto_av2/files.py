"""Where recordings lie, here or behind a URL, and which of their files are read."""

import fnmatch
from collections.abc import Iterator, Sequence
from pathlib import Path

from pluto_core.errors import PlutoError
from pluto_core.places.copies import Copies
from pluto_core.places.remote import Place, place

POSES = "city_SE3_egovehicle.feather"
"""A sensor log holds it."""
MOTION = "scenario_*.parquet"
"""A motion scenario holds one."""
_MAP = "log_map_archive_*.json"
_DEPTH = 3


def find_recordings(data_root: str, copies: Copies) -> dict[str, Place]:
    """Return the folders of recordings by name, sorted.

    Args:
        data_root: A folder, here or behind a URL; recordings lie up to three folders down.
        copies: Where files from behind URLs are kept.

    Raises:
        PlutoError: The folder is missing, cannot be listed, or holds none.
    """
    root = place(data_root, copies)
    if not root.is_dir():
        message = f"source.data_root: {root} is no folder; give the folder that holds Argoverse 2 logs"
        raise PlutoError(message)
    found = {folder.name: folder for folder in _recordings(root, _DEPTH)}
    if not found:
        message = f"source.data_root: {root} holds no Argoverse 2 log ({POSES} or {MOTION}, up to {_DEPTH} folders deep)"
        raise PlutoError(message)
    return dict(sorted(found.items()))


def _recordings(folder: Place, depth: int) -> Iterator[Place]:
    entries: Sequence[Place] = list(folder.iterdir())
    if any(entry.name == POSES or fnmatch.fnmatchcase(entry.name, MOTION) for entry in entries):
        yield folder
    elif depth:
        for entry in entries:
            if entry.is_dir():
                yield from _recordings(entry, depth - 1)


def map_files(folder: Place) -> list[Place]:
    """Return the map archives of a recording: of a sensor log below `map`, of a motion scenario beside its file."""
    held: Sequence[Place] = list(folder.iterdir())
    inside: Sequence[Place] = [one for entry in held if entry.name == "map" and entry.is_dir() for one in entry.iterdir()]
    return sorted((one for one in inside or held if fnmatch.fnmatchcase(one.name, _MAP)), key=str)


def sizes(folder: Place) -> dict[str, int]:
    """Return the bytes of every file of a recording that is read, by name."""
    tables: Sequence[Place] = [one for one in folder.iterdir() if one.name.endswith((".feather", ".parquet"))]
    return {one.name: _size(one) for one in sorted([*tables, *map_files(folder)], key=lambda one: one.name)}


def _size(file: Place) -> int:
    return file.stat().st_size if isinstance(file, Path) else (file.size or 0)


def city(folder: Place) -> str:
    """Return the city in the name of the map: `log_map_archive_<log>____PIT_city_57819.json`."""
    names = [one.name for one in map_files(folder)]
    parts = names[0].split("____")[-1].split("_") if names else []
    return parts[0] if len(parts) > 1 else "unknown"
