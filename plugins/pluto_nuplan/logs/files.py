"""Where logs and maps are: the layouts that nuPlan's downloads and its devkit use."""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pluto_core.errors import PlutoError
from pluto_core.places.copies import Copies
from pluto_core.places.remote import Place, RemotePath, heads, place

SUFFIX = ".db"
_BASES = ("", "nuplan-v1.1", "nuplan-v1.1/splits", "splits", "data/cache")
_NO_LOGS = frozenset({"sensor_blobs", "maps"})
_ANCESTORS = 4
_WRITES_AT = slice(24, 28)
"""Where SQLite's file header counts the transactions that wrote to the file (big endian)."""


def find_logs(data_root: str | Iterable[str], split: str | Iterable[str] | None, copies: Copies) -> dict[str, Place]:
    """Return the files of all logs by log name, in nuPlan's order (by path, one given folder after another).

    A log that several folders hold (the mini split repeats logs of the others) is taken once, from the first of them.

    Args:
        data_root: Folders and files, here or behind URLs.
        split: Patterns for the names of the folders to take; None: all.
        copies: Where files from behind URLs are kept.

    Raises:
        PlutoError: There is no such folder or file, or no log in it.
    """
    roots = [data_root] if isinstance(data_root, str) else sorted(set(data_root))
    patterns = (split,) if isinstance(split, str) else None if split is None else tuple(split)
    logs: dict[str, Place] = {}
    for root in roots:
        for path in _logs_under(place(root, copies), patterns):
            logs.setdefault(path.name.removesuffix(SUFFIX), path)
    if not logs:
        message = "source.data_root: the list is empty; name a folder with nuPlan logs (.db)"
        raise PlutoError(message)
    return logs


def _logs_under(root: Place, patterns: tuple[str, ...] | None) -> list[Place]:
    if root.is_file():
        return [root.known() if isinstance(root, RemotePath) else root]
    if not root.is_dir():
        raise PlutoError(f"source.data_root: there is no folder or file {root}")
    listed: list[Place] = [path for folder in _folders(root, patterns) for path in _in_order(folder.glob(f"*{SUFFIX}"))]
    found = {path: None for path in listed if path.is_file()}
    if not found:
        of_split = f" in a folder {' or '.join(patterns)}" if patterns else ""
        raise PlutoError(f"source.data_root: {root} holds no nuPlan log (.db){of_split}; looked in it, splits/*, nuplan-v1.1/*")
    return list(found)


def _folders(root: Place, patterns: tuple[str, ...] | None) -> list[Place]:
    if patterns is None and next(root.glob(f"*{SUFFIX}"), None):
        return [root]
    bases = [root / base for base in _BASES if (root / base).is_dir()]
    inside: list[Place] = [child for base in bases for child in base.iterdir()]
    children = _in_order(child for child in inside if child.is_dir() and child.name not in _NO_LOGS)
    if patterns is None:
        return list(dict.fromkeys([*bases, *children]))
    return [
        folder for folder in dict.fromkeys([root, *children]) if any(fnmatch.fnmatch(folder.name, word) for word in patterns)
    ]


def _in_order(paths: Iterable[Place]) -> list[Place]:
    return sorted(paths, key=lambda path: path.parts)


def find_map_root(map_root: str | None, data_root: str | Iterable[str], map_version: str, copies: Copies) -> Place:
    """Return the folder that holds the maps' index file.

    Raises:
        PlutoError: There is none.
    """
    index = f"{map_version}.json"
    if map_root is not None:
        folder = place(map_root, copies)
        if not folder.is_dir():
            raise PlutoError(f"source.map_root: there is no folder {folder}")
        if not (folder / index).is_file():
            raise PlutoError(f"source.map_root: {folder} holds no {index} (source.map_version names it)")
        return folder
    first = place(data_root if isinstance(data_root, str) else min(data_root), copies)
    first = first.resolve() if isinstance(first, Path) else first
    above: Sequence[Place] = first.parents
    for ancestor in (first, *above[:_ANCESTORS]):
        if (ancestor / "maps" / index).is_file():
            return ancestor / "maps"
    raise PlutoError(
        f"source.map_root: not set, and there is no maps/{index} in {first} or beside it; name the folder of the maps"
    )


def file_states(files: Mapping[str, Place]) -> dict[str, int]:
    """Return what tells database files from what they were before: the size of each, and how often it was written to.

    Both are part of the file, so that a copy has them too; an update in place leaves the size as it was.

    Raises:
        PlutoError: A file behind a URL cannot be read.
    """
    far = {name: path for name, path in files.items() if isinstance(path, RemotePath)}
    first = dict(zip(far, heads(list(far.values()), _WRITES_AT.stop), strict=True))
    states: dict[str, int] = {}
    for name, path in files.items():
        if isinstance(path, RemotePath):
            header, size = first[name], path.size or 0
        else:
            with path.open("rb") as stream:
                header, size = stream.read(_WRITES_AT.stop), path.stat().st_size
        states |= {name: size, f"{name} (writes)": int.from_bytes(header[_WRITES_AT], "big")}
    return states
