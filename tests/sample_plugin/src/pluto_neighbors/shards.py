"""The cache `sqlite`: one SQLite file a shard, which any SQLite client can look into."""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pluto_core import Context, PlutoError
from pluto_neighbors.config import SqliteConfig

_MARK = 0x506C7574
"""SQLite's application id of our files."""
_AT_ONCE = 500
"""Keys of one query; older builds of SQLite take 999 parameters."""


def make(config: SqliteConfig, _context: Context) -> "SqliteShards":
    """Return the store of an experiment."""
    return SqliteShards(config)


class SqliteShards:
    """The shard store `sqlite`."""

    shared = True
    suffix = ".sqlite"

    def __init__(self, config: SqliteConfig) -> None:
        """Keep the size of pages."""
        self._page_bytes = config.page_bytes

    def create(self, path: Path) -> "SqliteWriter":
        """Return a writer of a new file.

        Raises:
            FileExistsError: There is something at `path`.
        """
        path.touch(exist_ok=False)
        return SqliteWriter(path, self._page_bytes)

    def open(self, path: Path) -> "SqliteReader":
        """Return a reader of a file.

        Raises:
            PlutoError: It is missing, or no shard of this store.
        """
        connection: sqlite3.Connection | None = None
        try:
            # Not read-only: what a killed writer left half done must be rolled back.
            connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, check_same_thread=False)
            mark = connection.execute("PRAGMA application_id").fetchone()[0]
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            raise PlutoError(f"{path} cannot be read by the cache 'sqlite': {error}") from error
        if mark != _MARK:
            connection.close()
            raise PlutoError(f"{path} is no shard of the cache 'sqlite'")
        return SqliteReader(connection, path)


class SqliteWriter:
    """One file being filled; every value is a transaction of its own, so that a killed process loses none."""

    def __init__(self, path: Path, page_bytes: int) -> None:
        """Make the table."""
        self._path = path
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.executescript(
            f"PRAGMA page_size = {page_bytes};"
            "PRAGMA journal_mode = TRUNCATE;"
            "PRAGMA synchronous = OFF;"  # `seal` brings all to the disk at once
            "CREATE TABLE shard (key BLOB PRIMARY KEY, value BLOB NOT NULL);"
            f"PRAGMA application_id = {_MARK};"
        )

    def put(self, key: bytes, value: bytes) -> None:
        """Store a value.

        Raises:
            OSError: The disk is full or gone.
        """
        try:
            self._connection.execute("INSERT OR REPLACE INTO shard VALUES (?, ?)", (key, value))
        except sqlite3.OperationalError as error:
            raise OSError(f"{self._path}: {error}") from error

    def seal(self) -> None:
        """Bring everything to the disk and close."""
        self._connection.execute("PRAGMA journal_mode = DELETE")
        self._connection.close()
        with self._path.open("rb") as file:
            os.fsync(file.fileno())


class SqliteReader:
    """One file being read."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        """Take an open file."""
        self._connection = connection
        self._path = path

    def keys(self) -> list[bytes]:
        """Return all keys, ascending."""
        return [key for (key,) in self._ask("SELECT key FROM shard ORDER BY key", ())]

    def get(self, key: bytes) -> bytes:
        """Return a value."""
        return self.get_many([key])[0]

    def get_many(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return values in the order of `keys`."""
        found: dict[bytes, bytes] = {}
        for first in range(0, len(keys), _AT_ONCE):
            some = tuple(keys[first : first + _AT_ONCE])
            marks = ", ".join("?" * len(some))
            found.update(self._ask(f"SELECT key, value FROM shard WHERE key IN ({marks})", some))  # noqa: S608 -- question marks
        return [found[key] for key in keys]

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _ask(self, query: str, values: Sequence[bytes]) -> list[Any]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise PlutoError(f"{self._path} is damaged: {error}") from error
