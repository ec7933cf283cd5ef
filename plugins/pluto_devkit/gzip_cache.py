"""The cache of nuplan-devkit: one gzip file a feature, `{log}/{type}/{token}/{name}.gz`, and lists of what a node wrote.

Its way of storing (nuPlan v1.1, LocalStore and `cache_data`): gzip level 1 around the pickle of what a feature serialises to;
`metadata/{cache}_metadata_node_{rank}.csv` with the column `file_name`. Reading goes through `pickles`; writing is atomic.
"""

import csv
import gzip
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.places.files import opened
from pluto_core.places.names import is_file_name
from pluto_devkit.pickles import read_pickle, write_pickle

SUFFIX = ".gz"
METADATA = "metadata"
_COLUMN = "file_name"
_LEVEL = 1
_LARGEST = 256 << 20
"""Bytes that one file may unpack to."""


@attrs.frozen(order=True)
class Entry:
    """The folder of one scenario."""

    log: str
    scenario_type: str
    token: str

    def folder(self, root: Path) -> Path:
        """Return where its files lie."""
        return root / self.log / self.scenario_type / self.token


def scan(root: Path) -> Iterator[tuple[Entry, frozenset[str]]]:
    """Yield the scenarios of a cache with the names of their features, by log, type and token."""
    for log in _folders(root):
        if log.name == METADATA:
            continue
        for kind in _folders(Path(log.path)):
            for token in _folders(Path(kind.path)):
                names = frozenset(file.name[: -len(SUFFIX)] for file in os.scandir(token.path) if file.name.endswith(SUFFIX))
                if names:
                    yield Entry(log.name, kind.name, token.name), names


def _folders(path: Path) -> list["os.DirEntry[str]"]:
    with os.scandir(path) as found:
        return sorted((one for one in found if one.is_dir()), key=lambda one: one.name)


def is_cache(root: Path) -> bool:
    """Return whether a folder has the layout of such a cache: some file lies four levels down, and ends in `.gz`."""
    return root.is_dir() and next(scan(root), None) is not None


def read(root: Path, entry: Entry, name: str, allowed: Mapping[tuple[str, str], type] | None = None) -> Any:
    """Return what one feature was serialised to.

    Args:
        root: The cache.
        entry: The scenario.
        name: The feature's unique name.
        allowed: Classes that pickles may hold; see `pickles`.

    Raises:
        SampleError: The file is missing or damaged, or its pickle is refused.
    """
    path = entry.folder(root) / (name + SUFFIX)
    try:
        with opened(path) as packed, gzip.open(packed) as file:
            data = file.read(_LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise SampleError(Reason.DAMAGED_VALUE, f"{path} cannot be read: {error}") from None
    if len(data) > _LARGEST:
        raise SampleError(Reason.DAMAGED_VALUE, f"{path} unpacks to more than {_LARGEST >> 20} MB")
    try:
        return read_pickle(data, allowed)
    except SampleError as error:
        raise SampleError(error.reason, f"{path}: {error.detail}") from None


def write(root: Path, entry: Entry, name: str, data: Mapping[str, Any]) -> Path:
    """Store what a feature serialises to, and return the file's path without its ending, as lists of files want it.

    Raises:
        PlutoError: The name cannot be a file name of the devkit's, which cuts off what stands behind a dot, or log, type or
            token cannot be the name of a folder.
    """
    if "." in name or not is_file_name(name):
        message = f"nuplan-devkit cannot store a feature called {name!r}: its names hold neither dots nor slashes"
        raise PlutoError(message)
    strange = [part for part in attrs.astuple(entry) if not is_file_name(part)]
    if strange:
        message = f"nuplan-devkit cannot store scenario {entry.token!r} of log {entry.log!r}: {strange[0]!r} names no folder"
        raise PlutoError(message)
    folder = entry.folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (name + SUFFIX)
    draft = folder / f".{name}{SUFFIX}.{os.getpid()}"
    with gzip.open(draft, "wb", compresslevel=_LEVEL) as file:
        file.write(write_pickle(data))
    draft.replace(path)
    return folder / name


def write_metadata(root: Path, files: Iterable[Path], *, node: int = 0) -> Path:
    """Write the list of the files that a node stored, and return its path."""
    path = root / METADATA / f"{root.name}_metadata_node_{node}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([_COLUMN])
        writer.writerows([str(one)] for one in files)
    return path


def read_metadata(root: Path) -> list[str]:
    """Return the file names that the lists of all nodes hold, without endings, in the lists' order.

    Raises:
        PlutoError: A list lacks its column.
    """
    found: list[str] = []
    for path in sorted((root / METADATA).glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            if _COLUMN not in (rows.fieldnames or ()):
                raise PlutoError(f"{path} has no column {_COLUMN!r}")
            found += [row[_COLUMN] for row in rows]
    return found
