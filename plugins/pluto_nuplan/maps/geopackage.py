"""Layers of a GeoPackage (OGC 12-128r18) as numpy columns and shapely geometries."""

import contextlib
import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import shapely

from pluto_core.errors import Reason, SampleError
from pluto_nuplan.maps.wellknown import is_flat

Ints = npt.NDArray[np.int64]
Geometries = npt.NDArray[np.object_]

MISSING = -1
"""Stands for an id that a row does not give."""

_NO_ID = 2.0**63
"""The first number that is too large for one."""
_HEADER_BYTES = 8
_ENVELOPE_BYTES = (0, 32, 48, 48, 64, 0, 0, 0)
_FLAGS = 3
_EMPTY = 0b10000
_GEOGRAPHIC = 4326
_ROOM = 8
"""Digits that a number shows for each byte that it takes, and some more."""


@attrs.frozen(eq=False)
class Layer:
    """One layer, rows in ascending fid."""

    name: str
    fids: Ints
    """(n,) primary keys."""
    geometries: Geometries
    """(n,) shapely geometries as stored; None where the row holds none that can be read."""
    geographic: bool
    """Whether coordinates are longitude and latitude, not yet metres."""
    columns: dict[str, list[Any]]
    """The columns that were asked for, values as SQLite gives them."""


def as_ids(values: Sequence[Any]) -> Ints:
    """Return (n,) ids stored as integers, numbers without fraction or text; `MISSING` for everything else."""
    return np.array([as_id(value) for value in values], np.int64).reshape(-1)


def as_id(value: Any) -> int:
    """Return one id; see `as_ids`."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return MISSING
    return int(number) if number.is_integer() and 0 <= number < _NO_ID else MISSING


class GeoPackage:
    """A GeoPackage opened for reading."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        # No views: they compute, and may do so for ever.
        stored = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0")
        self._tables = {str(row[0]) for row in stored}

    def lacking(self, name: str, columns: Sequence[str]) -> list[str]:
        """Return what a layer lacks, in words: the layer itself, or columns of it."""
        if name not in self._tables:
            return [f"layer {name}"]
        present = self._columns(name)
        return [f"column {name}.{column}" for column in ("fid", *columns) if column not in present]

    def layer(self, name: str, columns: Sequence[str]) -> Layer:
        """Return a layer with its geometry and the columns asked for, in ascending fid.

        Raises:
            SampleError: Its geometry column is not registered, its coordinate system is neither WGS84 nor the projected one, or
                its rows are larger than the file.
        """
        geometry, srs = self._geometry_column(name)
        self._require_room(name, (geometry, *columns))
        selected = ", ".join(_quoted(column) for column in ("fid", geometry, *columns))
        rows = self._connection.execute(f"SELECT {selected} FROM {_quoted(name)} ORDER BY fid").fetchall()  # noqa: S608 -- names are quoted, SQL takes no parameters for them
        values = list(zip(*rows, strict=True)) or [() for _ in range(len(columns) + 2)]
        fids = as_ids(values[0])
        if (np.diff(fids, prepend=MISSING) <= 0).any():
            message = f"{self.path}: the ids of layer {name} are no unique whole numbers; fetch the map again"
            raise SampleError(Reason.BROKEN_MAP, message)
        return Layer(
            name=name,
            fids=fids,
            geometries=decode(values[1]),
            geographic=srs == _GEOGRAPHIC,
            columns={column: list(value) for column, value in zip(columns, values[2:], strict=True)},
        )

    def projected_epsg(self) -> int:
        """Return the EPSG code of the projected frame that table `meta` names.

        Raises:
            SampleError: There is no such row, or it is no northern UTM zone on WGS84.
        """
        rows = []
        if not self.lacking("meta", ("key", "value")):
            rows = self._connection.execute("SELECT value FROM meta WHERE key = ?", ("projectedCoordSystem",)).fetchall()
        found = re.fullmatch(r"epsg:(326\d\d)", str(rows[0][0]).strip(), re.IGNORECASE) if rows else None
        if found is None:
            stated = f"names {rows[0][0]!r}" if rows else "names none"
            message = f"{self.path}: table meta must name a UTM zone as projectedCoordSystem (such as EPSG:32611), it {stated}"
            raise SampleError(Reason.BROKEN_MAP, message)
        return int(found.group(1))

    def _columns(self, name: str) -> set[str]:
        return {str(row[0]) for row in self._connection.execute("SELECT name FROM pragma_table_info(?)", (name,))}

    def _require_room(self, name: str, columns: Sequence[str]) -> None:
        """Refuse a layer with more bytes than the file: a column's default is stored once, and given for every row."""
        lengths = " + ".join(f"coalesce(length({_quoted(column)}), 0)" for column in columns)
        taken = self._connection.execute(f"SELECT coalesce(sum({lengths}), 0) FROM {_quoted(name)}").fetchone()[0]  # noqa: S608 -- as in `layer`
        if taken > _ROOM * self.path.stat().st_size:
            message = f"{self.path}: layer {name} holds more than the file has room for; fetch the map again"
            raise SampleError(Reason.BROKEN_MAP, message)

    def _geometry_column(self, name: str) -> tuple[str, int]:
        query = "SELECT column_name, srs_id FROM gpkg_geometry_columns WHERE table_name = ?"
        row = self._connection.execute(query, (name,)).fetchone()
        if row is None or row[0] not in self._columns(name):
            message = f"{self.path}: layer {name} has no geometry column"
            raise SampleError(Reason.BROKEN_MAP, message)
        geometry, srs = str(row[0]), int(row[1])
        if srs not in {_GEOGRAPHIC, self.projected_epsg()}:
            message = f"{self.path}: layer {name} is stored in EPSG:{srs}; only WGS84 and the map's own UTM zone are understood"
            raise SampleError(Reason.BROKEN_MAP, message)
        return geometry, srs


@contextlib.contextmanager
def opened(path: Path) -> Iterator[GeoPackage]:
    """Yield a GeoPackage for reading; the file is never written or locked.

    Raises:
        SampleError: The file is no GeoPackage that SQLite can read.
    """
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            connection.text_factory = _text
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cell_size_check = ON")
            yield GeoPackage(path, connection)
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter: of what SQLite says about names that are no text
        message = f"{path} cannot be read as a GeoPackage ({error}); fetch the map again"
        raise SampleError(Reason.BROKEN_MAP, message) from error


def decode(blobs: Sequence[Any]) -> Geometries:
    """Return the geometries of GeoPackage blobs; None for null, empty and damaged ones, and for collections.

    A blob is `GP`, version, flags, srs_id, an envelope whose size the flags tell, and well-known binary.
    """
    readable = np.array([_well_known(blob) for blob in blobs], object).reshape(-1)
    with np.errstate(all="ignore"):  # numbers that are none
        geometries = shapely.from_wkb(readable, on_invalid="ignore")
    geometries[shapely.is_empty(geometries)] = None
    return np.asarray(geometries, object)


def _well_known(blob: Any) -> bytes | None:
    if not isinstance(blob, bytes) or blob[:2] != b"GP" or len(blob) <= _HEADER_BYTES or blob[_FLAGS] & _EMPTY:
        return None
    wkb = blob[_HEADER_BYTES + _ENVELOPE_BYTES[blob[_FLAGS] >> 1 & 0b111] :]
    return wkb if is_flat(wkb) else None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")
