"""Where logs and maps are: the layouts that nuPlan's downloads and its devkit use."""

import fnmatch
from collections.abc import Iterable
from pathlib import Path

from pluto_core.errors import PlutoError

SUFFIX = ".db"
_BASES = ("", "nuplan-v1.1", "nuplan-v1.1/splits", "splits", "data/cache")
_NO_LOGS = frozenset({"sensor_blobs", "maps"})
_ANCESTORS = 4
_WRITES_AT = slice(24, 28)
"""Where SQLite's file header counts the transactions that wrote to the file (big endian)."""


def find_logs(data_root: str | Iterable[str], split: str | Iterable[str] | None) -> dict[str, Path]:
    """Return the files of all logs by log name, in nuPlan's order (by path, one given folder after another).

    A log that several folders hold (the mini split repeats logs of the others) is taken once, from the first of them.

    Args:
        data_root: Folders and files.
        split: Patterns for the names of the folders to take; None: all.

    Raises:
        PlutoError: There is no such folder or file, or no log in it.
    """
    roots = [data_root] if isinstance(data_root, str) else sorted(set(data_root))
    patterns = (split,) if isinstance(split, str) else None if split is None else tuple(split)
    logs: dict[str, Path] = {}
    for root in roots:
        for path in _logs_under(Path(root).expanduser(), patterns):
            logs.setdefault(path.name.removesuffix(SUFFIX), path)
    if not logs:
        message = "source.data_root: the list is empty; name a folder with nuPlan logs (.db)"
        raise PlutoError(message)
    return logs


def _logs_under(root: Path, patterns: tuple[str, ...] | None) -> list[Path]:
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise PlutoError(f"source.data_root: there is no folder or file {root}")
    found = {path: None for folder in _folders(root, patterns) for path in sorted(folder.glob(f"*{SUFFIX}")) if path.is_file()}
    if not found:
        of_split = f" in a folder {' or '.join(patterns)}" if patterns else ""
        raise PlutoError(f"source.data_root: {root} holds no nuPlan log (.db){of_split}; looked in it, splits/*, nuplan-v1.1/*")
    return list(found)


def _folders(root: Path, patterns: tuple[str, ...] | None) -> list[Path]:
    if patterns is None and next(root.glob(f"*{SUFFIX}"), None):
        return [root]
    bases = [root / base for base in _BASES if (root / base).is_dir()]
    children = sorted(child for base in bases for child in base.iterdir() if child.is_dir() and child.name not in _NO_LOGS)
    if patterns is None:
        return list(dict.fromkeys([*bases, *children]))
    return [
        folder for folder in dict.fromkeys([root, *children]) if any(fnmatch.fnmatch(folder.name, word) for word in patterns)
    ]


def find_map_root(map_root: str | None, data_root: str | Iterable[str], map_version: str) -> Path:
    """Return the folder that holds the maps' index file.

    Raises:
        PlutoError: There is none.
    """
    index = f"{map_version}.json"
    if map_root is not None:
        folder = Path(map_root).expanduser()
        if not folder.is_dir():
            raise PlutoError(f"source.map_root: there is no folder {folder}")
        if not (folder / index).is_file():
            raise PlutoError(f"source.map_root: {folder} holds no {index} (source.map_version names it)")
        return folder
    first = Path(data_root if isinstance(data_root, str) else min(data_root)).expanduser().resolve()
    for ancestor in (first, *list(first.parents)[:_ANCESTORS]):
        if (ancestor / "maps" / index).is_file():
            return ancestor / "maps"
    raise PlutoError(
        f"source.map_root: not set, and there is no maps/{index} in {first} or beside it; name the folder of the maps"
    )


def file_state(name: str, path: Path) -> dict[str, int]:
    """Return what tells a database file from what it was before: its size, and how often it was written to.

    Both are part of the file, so that a copy has them too; an update in place leaves the size as it was.
    """
    with path.open("rb") as stream:
        header = stream.read(_WRITES_AT.stop)
    return {name: path.stat().st_size, f"{name} (writes)": int.from_bytes(header[_WRITES_AT], "big")}
