"""A log file as columns: SQL in, numpy arrays out, without a Python object a cell.

SQLite is dynamically typed, and the driver guesses a column's type from its first rows; so queries say
`coalesce(cast(… AS REAL), 9e999)`, and a missing number arrives as infinity. Batches hold whole tables, so that nothing is
guessed from a part of one.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import adbc_driver_manager
import adbc_driver_sqlite
import attrs
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pluto_core.errors import Reason, SampleError
from pluto_core.places.remote import Place, local

Words = npt.NDArray[np.uint64]

_BATCH_ROWS = str(1 << 24)
_TOKEN_BYTES = 8
_TABLES = (
    "log",
    "lidar",
    "lidar_pc",
    "ego_pose",
    "scene",
    "scenario_tag",
    "track",
    "category",
    "lidar_box",
    "traffic_light_status",
)
_COMPUTED = (
    "SELECT 1 AS found FROM sqlite_master AS m LEFT JOIN pragma_table_xinfo(m.name) AS c "
    "WHERE m.type IN ('table', 'view') AND lower(m.name) IN (SELECT value FROM json_each(?)) "
    "AND (coalesce(m.rootpage, 0) = 0 OR c.hidden > 0 OR length(c.dflt_value) > 100) LIMIT 1"
)
NO_TOKEN = np.uint64(0)
"""In place of a token that is missing or is no 8-byte blob; no random token is all zeros."""


@attrs.frozen
class Columns:
    """The rows of one query, by column."""

    table: Any
    """`pyarrow.Table`, each column in one piece."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self.table.num_rows)

    def floats(self, name: str) -> npt.NDArray[np.float64]:
        """Return a column of numbers; infinite where the query's `coalesce` said so."""
        return np.asarray(self._piece(name), np.float64)

    def integers(self, name: str) -> npt.NDArray[np.int64]:
        """Return a column of integers."""
        return np.asarray(self._piece(name), np.int64)

    def texts(self, name: str) -> list[str | None]:
        """Return a column of text; None where it is NULL or no text."""
        piece = self._piece(name)
        if not pa.types.is_string(piece.type):
            return [None] * len(piece)
        return [None if value is None else value.decode(errors="replace") for value in piece.cast(pa.binary()).to_pylist()]

    def coded(self, name: str) -> tuple[list[str], npt.NDArray[np.int64]]:
        """Return the different values of a text column without NULLs, and for each row which one it holds."""
        if not len(self):
            return [], np.zeros(0, np.int64)
        piece = self._piece(name)
        octets = piece if pa.types.is_binary(piece.type) else piece.cast(pa.string()).cast(pa.binary())
        encoded = octets.dictionary_encode()
        values = [value.decode(errors="replace") for value in encoded.dictionary.to_pylist()]
        return values, np.asarray(encoded.indices, np.int64)

    def tokens(self, name: str) -> Words:
        """Return 8-byte tokens as integers whose order is that of their text; `NO_TOKEN` where there is none."""
        piece = self._piece(name)
        if not (pa.types.is_binary(piece.type) or pa.types.is_string(piece.type)):
            return np.zeros(len(piece), np.uint64)
        _, offset_buffer, data = piece.buffers()
        offsets = np.frombuffer(offset_buffer, np.int32)[piece.offset : piece.offset + len(piece) + 1]
        whole = np.diff(offsets) == _TOKEN_BYTES
        if whole.all():
            return (
                np.frombuffer(data, ">u8", len(piece), int(offsets[0])).astype(np.uint64)
                if len(piece)
                else np.zeros(0, np.uint64)
            )
        words = np.zeros(len(piece), np.uint64)
        octets = np.frombuffer(data, np.uint8)[offsets[:-1][whole, None] + np.arange(_TOKEN_BYTES)]
        words[whole] = octets.view(">u8")[:, 0]
        return words

    def _piece(self, name: str) -> Any:
        column = self.table.column(name)
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


@attrs.frozen
class Database:
    """An open log file."""

    name: str
    connection: Any

    def read(self, sql: str, parameters: npt.NDArray[Any] | list[Any] | None = None) -> Columns:
        """Return the rows of a query; with parameters, of the query once for each of them, one after another.

        Raises:
            SampleError: `UNREADABLE_LOG`: the file is damaged, or lacks a table or column.
        """
        try:
            with adbc_driver_manager.AdbcStatement(self.connection) as statement:
                statement.set_options(**{"adbc.sqlite.query.batch_rows": _BATCH_ROWS})
                statement.set_sql_query(sql)
                if parameters is not None:
                    statement.prepare()
                    statement.bind(pa.record_batch([pa.array(parameters)], names=["0"]))
                stream, _ = statement.execute_query()
                return Columns(pa.RecordBatchReader.from_stream(stream).read_all())
        except (adbc_driver_manager.Error, pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise _unreadable(self.name, error) from None

    def require_stored(self) -> None:
        """Refuse a log whose rows are computed and not stored: by views, by virtual tables or columns, by long defaults.

        Raises:
            SampleError: It has such; what they compute may have no end.
        """
        if len(self.read(_COMPUTED, [json.dumps(_TABLES)])):
            raise SampleError(Reason.UNREADABLE_LOG, f"{self.name}: it holds views or computed columns where logs hold tables")

    def indexed(self, table: str, column: str) -> bool:
        """Return whether rows of `table` with a given `column` are found without reading the whole table."""
        sql = (
            "SELECT count(*) AS n FROM pragma_index_list(?) AS l, pragma_index_info(l.name) AS i "
            "WHERE l.partial = 0 AND i.seqno = 0 AND i.name = 'lidar_pc_token'"
        )
        return bool(self.read(sql.replace("'lidar_pc_token'", f"'{column}'"), [table]).integers("n").sum())


@contextmanager
def opened(path: Place) -> Iterator[Database]:
    """Open a log for reading; no lock is taken and nothing is written beside it. One behind a URL is fetched first.

    Raises:
        SampleError: `UNREADABLE_LOG`: there is no such file, or it cannot be opened.
    """
    try:
        with (
            adbc_driver_sqlite.connect(_uri(local(path))) as database,
            adbc_driver_manager.AdbcConnection(database) as connection,
        ):
            found = Database(path.name, connection)
            found.require_stored()
            yield found
    except (adbc_driver_manager.Error, OSError) as error:
        raise _unreadable(path.name, error) from None


def hex_tokens(words: Words) -> npt.NDArray[np.bytes_]:
    """Return tokens as 16 lower-case hex digits (ASCII bytes)."""
    return np.frombuffer(words.astype(">u8").tobytes().hex().encode(), "S16")


def token_words(tokens: list[str] | tuple[str, ...]) -> Words:
    """Return hex tokens as integers; `NO_TOKEN` for a text that is none."""
    return np.fromiter((_word(token) for token in tokens), np.uint64, len(tokens))


def _word(token: str) -> int:
    try:
        return int(token, 16) if len(token) == 2 * _TOKEN_BYTES else 0
    except ValueError:
        return 0


def _uri(path: Path) -> str:
    journal = path.with_name(path.name + "-wal")
    in_use = journal.exists() and journal.stat().st_size > 0
    return path.resolve().as_uri() + ("?mode=ro" if in_use else "?mode=ro&immutable=1")


def _unreadable(name: str, error: Exception) -> SampleError:
    text = str(error).partition("\nquery:")[0].rpartition("query: ")[2]
    return SampleError(Reason.UNREADABLE_LOG, f"{name}: {text.rpartition('Failed to prepare query: ')[2]}")
