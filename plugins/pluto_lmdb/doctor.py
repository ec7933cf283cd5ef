"""What `pluto doctor` looks at for LMDB: whether the cache folder's file system can map files."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import lmdb

from pluto_core import PlutoError
from pluto_core.moments import Finding, Surroundings
from pluto_lmdb.shard import LmdbShards


def examine(surroundings: Surroundings) -> Iterator[Finding]:
    """Yield whether a shard can be written, sealed and mapped in the user's cache folder."""
    home = surroundings.cache_home
    advice = 'keep caches on a local disk, or write [cache] use = "files"'
    try:
        with tempfile.TemporaryDirectory(dir=home) as folder:
            _round_trip(Path(folder) / "trial.lmdb")
    except (OSError, lmdb.Error, PlutoError) as error:
        yield Finding(subject="shards", state="broken", text=f"no shard can be kept in {home}: {error}", advice=advice)
    else:
        text = f"lmdb {'.'.join(map(str, lmdb.version()))}: a shard was written and mapped in {home}"
        yield Finding(subject="shards", state="ok", text=text)


def _round_trip(path: Path) -> None:
    """Write a value, seal, and read it back.

    Raises:
        OSError: What came back is something else.
    """
    store = LmdbShards(first_map=1 << 20)
    writer = store.create(path)
    writer.put(b"key", b"value")
    writer.seal()
    reader = store.open(path)
    value = bytes(reader.get(b"key"))
    reader.close()
    if value != b"value":
        message = f"{path.name} gives back something else than what was put into it"
        raise OSError(message)
