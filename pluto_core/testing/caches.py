"""`CacheSuite`: a shard gives back what was put into it, or says that it cannot; never anything else."""

import os
import pickle
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pluto_core.errors import PlutoError
from pluto_core.protocols import ShardReader, ShardStore
from pluto_core.testing.components import ComponentSuite, Recipe
from pluto_core.testing.isolation import elsewhere

_BIG = 10 * 2**20
_VALUES = {b"a": b"first", b"b/2": bytes(range(256)), b"log/token@7": b""}
_ACKNOWLEDGED = 50
"""Values after which the writer is killed."""

_WRITE = """
import pickle, sys
from pathlib import Path
writer = pickle.loads(sys.stdin.buffer.read())().create(Path(sys.argv[1]))
number = 0
while True:
    writer.put(b"key-%06d" % number, b"%06d" % number * 500)
    print(number, flush=True)
    number += 1
"""


class CacheSuite(ComponentSuite, suite=True):
    """Tests of a shard store."""

    kinds: ClassVar[tuple[str, ...]] = ("caches",)
    subject: ClassVar[str] = "shards"
    concurrent_readers: ClassVar[bool] = True
    """Whether threads may read one shard at a time, each through a reader of its own."""
    longest_key: ClassVar[int] = 200
    """Bytes of the longest key that it must take."""

    @pytest.fixture
    def shards(self, request: pytest.FixtureRequest) -> ShardStore:
        """Return the store."""
        made: ShardStore = self.make(request)
        return made

    @pytest.fixture
    def path(self, shards: ShardStore, tmp_path: Path) -> Path:
        """Return where a shard may be made."""
        return tmp_path / f"shard{shards.suffix}"

    @pytest.fixture
    def sealed(self, shards: ShardStore, path: Path) -> Path:
        """Return a sealed shard of a few values."""
        fill(shards, path, _VALUES)
        return path

    def test_keeps_the_protocol(self, shards: ShardStore) -> None:
        """It creates and opens shards, and says how they are named and who can open them."""
        assert isinstance(shards, ShardStore)
        assert isinstance(shards.shared, bool)
        assert shards.suffix == "" or shards.suffix.startswith(".")
        assert shards.suffix or not shards.shared, "a store without files cannot be shared"

    def test_round_trip(self, shards: ShardStore, tmp_path: Path) -> None:
        """Whatever is put is got, under whatever key."""
        numbers = iter(range(1_000_000))
        keys = st.binary(min_size=1, max_size=self.longest_key)

        @settings(max_examples=20, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(st.dictionaries(keys, st.binary(max_size=500), max_size=12))
        def holds(values: dict[bytes, bytes]) -> None:
            path = tmp_path / f"{next(numbers)}{shards.suffix}"
            fill(shards, path, values)
            reader = shards.open(path)
            assert list(reader.keys()) == sorted(values)
            assert {key: reader.get(key) for key in values} == values
            reader.close()

        holds()

    def test_missing_key(self, shards: ShardStore, sealed: Path) -> None:
        """A key that is not there is a KeyError, alone or among others."""
        reader = shards.open(sealed)
        with pytest.raises(KeyError):
            reader.get(b"missing")
        with pytest.raises(KeyError):
            reader.get_many([b"a", b"missing"])
        reader.close()

    def test_keys_are_ascending(self, shards: ShardStore, path: Path) -> None:
        """Keys come in ascending order of bytes, in whatever order they were put."""
        given_keys = [b"b", b"a", b"\xff", b"aa", b"\x00", b"Z"]
        fill(shards, path, dict.fromkeys(given_keys, b"v"))
        reader = shards.open(path)
        assert list(reader.keys()) == sorted(given_keys)
        reader.close()

    def test_many_come_in_the_order_asked_for(self, shards: ShardStore, sealed: Path) -> None:
        """Several values come in the order of the keys, also when a key is named twice."""
        reader = shards.open(sealed)
        asked = [b"log/token@7", b"a", b"b/2", b"a"]
        assert list(reader.get_many(asked)) == [_VALUES[key] for key in asked]
        assert list(reader.get_many([])) == []
        reader.close()

    def test_empty_value_and_big_value(self, shards: ShardStore, path: Path) -> None:
        """Values of no byte and of 10 MB are values."""
        values = {b"empty": b"", b"big": os.urandom(_BIG)}
        fill(shards, path, values)
        assert read(shards, path) == values

    def test_empty_shard(self, shards: ShardStore, path: Path) -> None:
        """A shard without values can be sealed and opened."""
        fill(shards, path, {})
        assert read(shards, path) == {}

    def test_nothing_is_overwritten(self, shards: ShardStore, sealed: Path) -> None:
        """A shard is not made where there is one; what was there stays."""
        with pytest.raises(FileExistsError):
            shards.create(sealed)
        assert read(shards, sealed) == _VALUES

    def test_what_is_no_shard_is_refused(self, shards: ShardStore, tmp_path: Path) -> None:
        """Nothing, an empty file and a file of something else are mistakes with one message."""
        empty, other = tmp_path / f"empty{shards.suffix}", tmp_path / f"other{shards.suffix}"
        empty.touch()
        other.write_bytes(b"something else" * 1000)
        for path in (tmp_path / f"missing{shards.suffix}", empty, other):
            with pytest.raises(PlutoError):
                read(shards, path)

    def test_closing(self, shards: ShardStore, sealed: Path) -> None:
        """A second close does nothing, values stay valid, and the shard can be opened again."""
        reader = shards.open(sealed)
        value = reader.get(b"b/2")
        reader.close()
        reader.close()
        assert value == _VALUES[b"b/2"]
        assert read(shards, sealed) == _VALUES

    def test_two_readers(self, shards: ShardStore, sealed: Path) -> None:
        """Two readers of one shard do not disturb each other, also when one closes."""
        first, second = shards.open(sealed), shards.open(sealed)
        assert first.get(b"a") == second.get(b"a")
        first.close()
        assert second.get(b"b/2") == _VALUES[b"b/2"]
        second.close()

    def test_readers_in_threads(self, shards: ShardStore, sealed: Path) -> None:
        """Threads read at the same time, unless `concurrent_readers` says otherwise."""
        if not self.concurrent_readers:
            pytest.skip("threads may not read at the same time (concurrent_readers = False)")
        with ThreadPoolExecutor(4) as pool:
            assert all(found == _VALUES for found in pool.map(lambda _: read(shards, sealed), range(16)))

    def test_reader_in_another_process(self, sealed: Path, shards: ShardStore, recipe: Recipe) -> None:
        """Another process reads a sealed shard, if the store says that shards are `shared`."""
        if not shards.shared:
            pytest.skip("shards belong to one process (shared = False)")
        assert elsewhere(_read, recipe, sealed) == _VALUES

    def test_sealed_shard_survives_a_move(self, shards: ShardStore, sealed: Path, tmp_path: Path) -> None:
        """A sealed shard can be moved, file or folder."""
        if not shards.suffix:
            pytest.skip("the store has no files")
        folder = tmp_path / "elsewhere"
        folder.mkdir()
        moved = folder / f"moved{shards.suffix}"
        sealed.rename(moved)
        assert read(shards, moved) == _VALUES

    def test_killed_writer(self, shards: ShardStore, path: Path, recipe: Recipe) -> None:
        """Of a shard whose writer was killed, all that was put is there, or it is noticed; never a wrong value."""
        if not shards.shared:
            pytest.skip("shards end with their process (shared = False)")
        acknowledged = _write_until_killed(path, recipe)
        try:
            found = read(shards, path)
        except PlutoError:
            return
        assert all(value == b"%06d" % int(key[4:]) * 500 for key, value in found.items())
        lost = [number for number in range(acknowledged) if b"key-%06d" % number not in found]
        assert not lost, f"{len(lost)} of {acknowledged} values that were put are gone, and nothing says so"


def fill(shards: ShardStore, path: Path, values: dict[bytes, bytes]) -> None:
    """Make and seal a shard."""
    writer = shards.create(path)
    for key, value in values.items():
        writer.put(key, value)
    writer.seal()


def read(shards: ShardStore, path: Path) -> dict[bytes, bytes]:
    """Return all that a shard holds."""
    reader: ShardReader = shards.open(path)
    try:
        held = list(reader.keys())
        return {key: reader.get(key) for key in held}
    finally:
        reader.close()


def _read(recipe: Recipe, path: Path) -> dict[bytes, bytes]:
    return read(recipe(), path)


def _write_until_killed(path: Path, recipe: Recipe) -> int:
    """Return how many values a writer had put when it was killed in the middle of its work."""
    import_path = os.pathsep.join(folder for folder in sys.path if folder)
    process = subprocess.Popen(  # noqa: S603 -- this interpreter
        [sys.executable, "-c", _WRITE, str(path)],
        env={**os.environ, "PYTHONPATH": import_path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process, process.stdin, process.stdout:
        process.stdin.write(_pickled(recipe))
        process.stdin.close()
        put = 0
        for line in process.stdout:
            put = int(line) + 1
            if put == _ACKNOWLEDGED:
                process.send_signal(signal.SIGKILL)
    assert put >= _ACKNOWLEDGED, "the writer ended by itself"
    return put


def _pickled(recipe: Recipe) -> bytes:
    return pickle.dumps(recipe)
