"""Every shard store keeps the promises of `protocols.ShardStore`, and the core's handling of shards rests on them."""

import json
import socket
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cache_world as world

from pluto_core.errors import PlutoError
from pluto_core.pipeline import codec, shards
from pluto_core.pipeline.index import Stamp
from pluto_core.protocols import ShardStore

PAIRS = {b"b": b"two", b"a": b"", b"long" * 100: bytes(range(256)) * 40_000, "ü|x/y@1".encode(): b"text"}


ON_DISK = pytest.mark.parametrize("store", ["files", "lmdb"], indirect=True)


@pytest.fixture(params=sorted(world.STORES))
def store(request):
    return world.STORES[request.param]()


@pytest.fixture
def place(store, tmp_path):
    return tmp_path / f"shard{store.suffix}"


def written(store, place, pairs=PAIRS):
    writer = store.create(place)
    for key, value in pairs.items():
        writer.put(key, value)
    writer.seal()
    return store.open(place)


def test_round_trip(store, place):
    """Empty, short and 10 MB values come back under ascending keys, one by one and many at a time, in the order asked for."""
    assert isinstance(store, ShardStore)
    reader = written(store, place)
    assert list(reader.keys()) == sorted(PAIRS)
    assert reader.get_many([*PAIRS, b"a", b"a"]) == [*PAIRS.values(), b"", b""]
    assert reader.get(b"b") == b"two"
    reader.close()
    reader.close()
    assert store.open(place).get(b"b") == b"two"


@pytest.mark.parametrize("key", [b"", b"c", b"z" * 5000])
def test_missing_keys(store, place, key):
    """A key that is not there is a KeyError, also an empty one and one that is too long for the store."""
    reader = written(store, place)
    with pytest.raises(KeyError):
        reader.get(key)
    with pytest.raises(KeyError):
        reader.get_many([b"a", key])


def test_values_outlive_the_shard(store, place):
    """A value stays what it is after the reader was closed."""
    reader = written(store, place)
    value = reader.get(b"long" * 100)
    reader.close()
    assert value == PAIRS[b"long" * 100]


def test_the_last_put_wins(store, place):
    """Putting a key again replaces its value."""
    writer = store.create(place)
    writer.put(b"k", b"old" * 9999)
    writer.put(b"k", b"new")
    writer.seal()
    assert store.open(place).get_many([b"k"]) == [b"new"]


def test_no_overwriting(store, place):
    """A shard is never created over another one, and takes nothing after it was sealed."""
    writer = store.create(place)
    with pytest.raises(FileExistsError):
        store.create(place)
    writer.seal()
    with pytest.raises(ValueError, match="sealed"):
        writer.put(b"a", b"1")


def test_what_is_no_shard(store, tmp_path):
    """A missing shard and something else in its place are refused with their path."""
    stranger = tmp_path / "other"
    stranger.write_bytes(b"nothing of ours" * 1000)
    for path in (stranger, tmp_path / "absent"):
        with pytest.raises(PlutoError, match=path.name):
            store.open(path)


@ON_DISK
def test_a_moved_shard(store, place, tmp_path):
    """A sealed shard is whole wherever it is moved to."""
    written(store, place).close()
    moved = place.rename(tmp_path / f"moved{store.suffix}")
    assert store.open(moved).get(b"b") == b"two"


def sample(key, number):
    return codec.encode(*world_sample(number), key=key)


def world_sample(number):
    builder = world.Future()
    scene = world.scene_of(world.listing(1, number + 1).id(number), builder.window)
    return builder.build(scene), builder.spec


@pytest.fixture
def yard(store, tmp_path):
    (tmp_path / "cache").mkdir()
    return shards.Shards(tmp_path / "cache", store)


def test_sealing(yard):
    """A shard is part of the cache once it is sealed, and not before; an empty one leaves nothing behind."""
    shard = yard.create()
    shard.put(b"a", b"1")
    assert yard.sealed() == ()
    shard.seal()
    (stamp,) = yard.sealed()
    assert yard.keys(stamp) == [b"a"]
    yard.create().seal()
    assert len(yard.sealed()) == 1
    assert not yard.store.suffix or not list(yard.unsealed.iterdir())


def test_rolling(yard):
    """A writer seals after so many samples, and the rest in the end."""
    writer = shards.RollingWriter(yard, samples=3)
    for number in range(7):
        writer.put(b"%d" % number, b"v")
        writer.end_sample()
    assert len(yard.sealed()) == 2
    writer.seal()
    writer.seal()
    assert sorted(key for stamp in yard.sealed() for key in yard.keys(stamp)) == [b"%d" % number for number in range(7)]


def test_rolling_by_time(yard):
    """A writer seals when its shard is old enough."""
    writer = shards.RollingWriter(yard, seconds=0.0)
    writer.put(b"a", b"v")
    writer.end_sample()
    assert len(yard.sealed()) == 1


def abandoned(yard, values):
    shard = yard.create()
    for key, value in values.items():
        shard.put(key, value)
    shard.writer.seal()
    shard.lock.release()
    return shard


@ON_DISK
def test_adoption(yard):
    """Whole values of a shard whose owner is gone are taken over, damaged ones are left; a live owner's stay."""
    good = {key: sample(key, number) for number, key in enumerate((b"f|a/1@2", b"f|a/2@3"))}
    abandoned(yard, good)
    abandoned(yard, {b"f|a/3@4": good[b"f|a/1@2"], b"f|a/5@6": sample(b"f|a/5@6", 3)})
    abandoned(yard, {b"f|a/7@8": b"noise"})
    live = yard.create()
    live.put(b"f|a/9@9", sample(b"f|a/9@9", 4))
    notes = []
    assert yard.adopt(notes.append) == 3
    assert sorted(key for stamp in yard.sealed() for key in yard.keys(stamp)) == [b"f|a/1@2", b"f|a/2@3", b"f|a/5@6"]
    assert len(notes) == 3
    live.seal()
    assert len(yard.sealed()) == 3
    assert not list(yard.unsealed.iterdir())


@ON_DISK
def test_a_shard_from_before_the_power_went(yard):
    """A shard that was written before the machine went down is thrown away, not trusted."""
    shard = abandoned(yard, {b"f|a/1@2": sample(b"f|a/1@2", 0)})
    owner = {"host": socket.gethostname(), "boot": "another", "process": 1, "since": "then"}
    (yard.unsealed / (shard.name + ".owner")).write_text(json.dumps(owner))
    notes = []
    assert yard.adopt(notes.append) == 0
    assert "went down" in notes[0]
    assert not list(yard.unsealed.iterdir())


@ON_DISK
def test_a_shard_of_another_host(yard):
    """A shard that another host writes is left alone: from here nobody can tell whether its owner lives."""
    shard = abandoned(yard, {b"f|a/1@2": sample(b"f|a/1@2", 0)})
    (yard.unsealed / (shard.name + ".owner")).write_text('{"host": "elsewhere", "boot": "x", "process": 1, "since": "then"}')
    assert yard.adopt(print) == 0
    assert shard.path.exists()


@ON_DISK
def test_scratch(store, tmp_path):
    """With a scratch folder, shards are written there and moved into the cache when sealed."""
    (tmp_path / "cache").mkdir()
    yard = shards.Shards(tmp_path / "cache", store, tmp_path / "scratch")
    shard = yard.create()
    assert tmp_path / "scratch" in shard.path.parents
    shard.put(b"a", b"1")
    shard.seal()
    assert [yard.keys(stamp) for stamp in yard.sealed()] == [[b"a"]]
    assert isinstance(yard.sealed()[0], Stamp)
