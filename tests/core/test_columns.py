"""Batches filled from where values lie in a store: the same as from arrays, whatever the way."""

import os
import sys
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path

import attrs
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cache_world as world

from pluto_core import arrays
from pluto_core.arrays import ArrayClass, ArraySpec
from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.pipeline import beside, codec, fields
from pluto_core.pipeline.columns import columns_of
from pluto_core.pipeline.layout import Layout
from pluto_core.pipeline.loader import BatchLoader
from pluto_core.pipeline.ring import Ring, aligned
from pluto_core.settings import LoaderSettings

TAGS = ("agents", "future")
SPEC = {
    "agent/position": ArraySpec(dims=("agent", 3, 2), dtype="float32", pad=-5.0),
    "agent/category": ArraySpec(dims=("agent",), dtype="int8", pad=-1),
    "line/valid": ArraySpec(dims=("line", "point"), dtype="bool", pad=1),
    "origin": ArraySpec(dims=(3,), dtype="float64"),
    "cast": ArraySpec(dims=("agent",), dtype="float64", at_rest="float32"),
    "speed": ArraySpec(dims=(), dtype="float32"),
    "map": ArraySpec(dims=(32, 32), dtype="float16", array_class=ArrayClass.RASTER),
    "hint": ArraySpec(dims=(2,), dtype="float32", optional=True, pad=3.0),
    "causal": ArraySpec(dims=("event", 2), dtype="int32", batch=False),
}


def sample(agents, lines, points, seed, *, hint=True):
    rng = np.random.default_rng(seed)
    made = {
        "agent/position": rng.normal(size=(agents, 3, 2)).astype(np.float32),
        "agent/category": rng.integers(0, 5, agents).astype(np.int8),
        "line/valid": rng.random((lines, points)) < 0.5,
        "origin": rng.normal(size=3) * 1e6,
        "cast": rng.normal(size=agents).astype(np.float32).astype(np.float64),
        "speed": np.asarray(rng.normal(), np.float32),
        "map": np.add.outer(np.arange(32), np.arange(32)).astype(np.float16) + seed,
        "causal": np.zeros((seed % 3, 2), np.int32),
    }
    return made | ({"hint": np.full(2, seed, np.float32)} if hint else {})


DIRT = cycle((0xA5, 0x5A))


def dirty(nbytes):
    """Return a buffer full of something, and the next time of something else: cells that nobody writes differ."""
    buffer = aligned(nbytes)
    buffer.fill(next(DIRT))
    return buffer


def assert_equal(ours, theirs):
    assert list(ours) == list(theirs)
    for key, array in ours.items():
        assert (array.dtype, array.shape) == (theirs[key].dtype, theirs[key].shape)
        assert array.tobytes() == theirs[key].tobytes(), key


@pytest.mark.parametrize("profile", ["raw", "default", "small"])
@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.parametrize("heavy", [0, 1 << 17])
@pytest.mark.parametrize("sizes", [[(3, 2, 4), (0, 0, 0), (7, 1, 5), (2, 2, 2)], [(4, 2, 3)] * 3, [(0, 1, 1)]])
def test_stored_values_make_the_batch_of_their_arrays(monkeypatch, sizes, heavy, threads, profile):
    """Packed or not, cast, ragged in one dim or two, empty, few or many bytes: in a dirty buffer, to the last byte."""
    monkeypatch.setattr(fields, "LARGE", 512)
    monkeypatch.setattr(fields, "HEAVY", heavy)
    samples = [sample(*free, seed) for seed, free in enumerate(sizes)]
    plain = Layout(SPEC)
    expected = plain.arrange({"anchor": samples})
    columns = codec.columns([codec.encode(one, SPEC, profile) for one in samples], [b""] * len(samples), names=plain.spec)
    found = plain.arrange_columns(columns, len(samples))
    assert (found.nbytes, found.filled) == (expected.nbytes, expected.filled)
    buffer = dirty(found.nbytes)
    found.write(buffer, threads=threads)
    assert_equal(found.filled.views(buffer), expected.fill(dirty(expected.nbytes)))


def test_a_stored_map_is_cropped():
    """A fixed dim that the batch wants smaller is cut around the centre, straight out of the value."""
    smaller = SPEC | {"map": attrs.evolve(SPEC["map"], dims=(8, 8))}
    samples = [sample(2, 1, 1, seed) for seed in range(3)]
    columns = codec.columns([codec.encode(one, SPEC) for one in samples], [b""] * 3)
    cropping = Layout(SPEC, {"anchor": smaller})
    marked = columns | columns_of([{"role": np.int8(0), "role_valid": np.bool_(1)}] * 3)
    found = cropping.arrange_columns(marked, 3)
    assert_equal(found.fill(dirty(found.nbytes)), cropping.fill({"anchor": samples}, dirty(found.nbytes)))


@pytest.mark.parametrize(
    ("key", "array"), [("origin", np.zeros(4)), ("agent/position", np.zeros((2, 4, 2), np.float32)), ("hint", np.zeros((2, 2)))]
)
def test_stored_arrays_that_are_not_what_their_spec_says_are_named(key, array):
    """A wrong size or rank in one of the values is an error that names the key."""
    wrong = sample(2, 1, 1, 0) | {key: array}
    kinds = SPEC | {key: ArraySpec(dims=array.shape, dtype=SPEC[key].dtype)}
    samples = [sample(1, 1, 1, 1) | ({"hint": np.zeros((1, 1), np.float32)} if key == "hint" else {}), wrong]
    columns = codec.columns([codec.encode(one, kinds) for one in samples], [b""] * 2)
    with pytest.raises(SampleError, match=key):
        Layout(SPEC).arrange_columns(columns, 2)


@pytest.fixture
def folder(tmp_path):
    """Return a cache of 24 samples."""
    made = world.folder_at(tmp_path / "cache")
    world.cache(made, world.listing(2, 12))
    return made


def loader(reader, *, slots=4, **settings):
    return BatchLoader(
        reader,
        world.listing(2, 12),
        spec=arrays.join([(tag, builder.spec) for tag, builder in world.builders(TAGS)]),
        settings=LoaderSettings(**{"batch_size": 5} | settings),
        part="train",
        seed=3,
        slots=slots,
    )


class Plain:
    """A reader that lends nothing."""

    def __init__(self, reader):
        self.get_many = reader.get_many


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("store", ["lmdb", "files", "memory"])
def test_lent_batches_are_those_that_are_read(tmp_path, store, verify):
    """Whatever the store and whether or not values are proved, an epoch is the one that a reader of arrays gives."""
    made = world.folder_at(tmp_path / "cache", store)
    world.cache(made, world.listing(2, 12))
    ours = loader(made.reader(TAGS, verify=verify), threads=1 + verify).batches(0)
    for one, other in zip(ours, loader(Plain(made.reader(TAGS))).batches(0), strict=True):
        assert one.ids == other.ids
        assert_equal(one.arrays, other.arrays)


def test_values_with_other_arrays_share_a_batch(tmp_path):
    """An optional array that some values lack is padded; such a batch is laid out from arrays."""
    samples = [sample(2, 1, 1, seed, hint=bool(seed % 2)) for seed in range(4)]
    values = [codec.encode(one, SPEC) for one in samples]
    assert codec.columns(values, [b""] * 4) is None
    wanted = Layout(SPEC)
    found = wanted.arrange_columns(columns_of([codec.decode(value) for value in values]), 4)
    assert_equal(found.fill(dirty(found.nbytes)), wanted.fill({"anchor": samples}, dirty(found.nbytes)))


@pytest.fixture
def damage(folder):
    """Return a cache with one map that cannot be unpacked, and its scenario; the head of the value is sound."""
    index = folder.index()
    key = index.keys[7].tolist()
    shard = folder.shards.path(index.shards[index.places_of("agents", index.keys[7:8])[0]].name)
    value = folder.shards.open(shard.name).get(b"agents|" + key)
    folder.shards.open(shard.name).close()
    content = shard.read_bytes()
    place = content.index(value[:200]) + len(value) - 40
    shard.write_bytes(content[:place] + b"\xff" * 40 + content[place + 40 :])
    with pytest.raises(SampleError):
        folder.reader(TAGS).get_many([key.decode()])
    return folder, key.decode()


def test_a_map_that_cannot_be_unpacked_is_named(damage):
    """What is found while a batch is being filled stops training, naming the sample."""
    folder, key = damage
    with pytest.raises(PlutoError, match=key):
        list(loader(folder.reader(TAGS)).batches(0))


@pytest.mark.parametrize("slots", [2, 3])
def test_a_replacement_takes_no_second_slot(damage, slots):
    """Where another sample stands in, batches stay valid for as long as promised, and nothing else changes."""
    folder, key = damage
    sound = {}
    made = loader(folder.reader(TAGS), slots=slots, on_damaged="replace")
    held = []
    for batch in made.batches(0):
        held.append((batch, {name: array.copy() for name, array in batch.arrays.items()}))
        for earlier, content in held[-slots:]:
            assert_equal(earlier.arrays, content)
        sound |= dict.fromkeys(one.key for one in batch.ids)
    assert list(made.replaced) == [key]
    assert made.replaced[key].reason is Reason.DAMAGED_VALUE
    assert key not in sound


def test_a_turn_is_one_slot():
    """What a turn gives is one slot, however often it is asked; it grows in place of moving on."""
    ring = Ring(2)
    first, second = ring.turn(), ring.turn()
    assert first(100).ctypes.data == first(50).ctypes.data
    assert not np.shares_memory(first(10_000), second(10_000))
    assert ring.take(10).ctypes.data == first(10).ctypes.data


def test_epochs_share_memory_unless_they_are_taken_together(folder):
    """The next epoch is made in the memory of the last one; two at a time have their own."""
    made = loader(folder.reader(TAGS), slots=2)

    def places(batches):
        return {batch.arrays["map"].base.ctypes.data for batch in batches}

    for _ in range(2):
        places(made.batches(0))
    assert places(made.batches(0)) == places(made.batches(0))
    one, other = made.batches(0), made.batches(0)
    assert places(islice(one, 2)).isdisjoint(places(islice(other, 2)))


def test_two_threads_do_all_the_work_once():
    """Every piece is done, none twice, and what comes then comes here; a mistake beside is raised after all has ended."""
    pieces, done = iter(range(2000)), []
    beside.together(lambda: done.extend(pieces), lambda: done.append(-1))
    assert sorted(done) == [-1, *range(2000)]

    def fail():
        raise SampleError(Reason.DAMAGED_VALUE, "broken")

    for action, then in ((fail, done.clear), (done.clear, fail)):
        with pytest.raises(SampleError, match="broken"):
            beside.together(action, then)


def test_a_fork_has_a_thread_of_its_own():
    """A process that is forked after the thread was started does its work, and does not wait for a thread that it lacks."""
    beside.together(int, int)
    child = os.fork()
    if not child:
        with suppress(BaseException):
            done = []
            beside.together(lambda: done.append(1), int)
            os._exit(len(done))
        os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
