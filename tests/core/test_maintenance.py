"""What `pluto cache` tells about a cache, and what it does with damage."""

import os
import random
import signal
import sys
from contextlib import closing
from pathlib import Path

import attrs
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cache_world as world

from pluto_core.errors import PlutoError
from pluto_core.pipeline import codec, copying, inspection, maintenance, shards
from pluto_core.scene import ScenarioId


@pytest.fixture(params=["files", "lmdb"])
def folder(request, tmp_path):
    folder = world.folder_at(tmp_path / "cache", request.param)
    wanted = world.listing(2, 9, special=("lost-1", "boom-2"))
    world.prepared(folder)
    folder.save_listing("abc", wanted, {})
    world.cache(folder, wanted)
    return folder


def test_info(folder):
    """`info` counts samples by type and builder, failures by reason, bytes and shards."""
    told = maintenance.info(folder)
    assert told["samples"] == 18
    assert told["builders"]["agents"] == {"samples": 18, "version": "1", "arrays": 3, "failed": 4}
    assert told["builders"]["future"]["samples"] == 20
    assert sum(told["types"].values()) == 18
    assert told["maps"] == {"town": 18}
    assert told["failures"] == {"unreadable_log": 4, "exception": 2}
    assert told["bytes"] >= sum(len(value) for value in world.content(folder).values())
    assert (told["shards"], told["unsealed_shards"], told["listings"], told["runs"]) == (1, 0, ["abc"], [])
    assert maintenance.store_name(folder.path) == folder.name


def test_export(folder, tmp_path):
    """`export` writes one file a sample, as cached, named by its token, and by time and log where tokens repeat."""
    assert maintenance.export(folder, tmp_path / "out") == 18
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert len(names) == 18
    reader = folder.reader()
    key = reader.keys[0]
    scenario = ScenarioId.from_key(key)
    with np.load(tmp_path / "out" / f"{scenario.token}@{scenario.start_us}@{scenario.log}.npz") as file:
        stored = reader.get_many([key])[0]
        assert set(file.files) == set(stored)
        for name, array in stored.items():
            np.testing.assert_array_equal(file[name], array)
            assert file[name].dtype == array.dtype


def test_export_of_different_tokens(tmp_path):
    """A token that occurs once is the whole name."""
    folder = world.folder_at(tmp_path / "cache")
    world.cache(folder, world.listing(1, 2))
    maintenance.export(folder, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{number:016x}.npz" for number in range(2)]


def test_a_whole_cache_is_verified(folder):
    """Nothing is found in a whole cache, and nothing is changed; samples computed again are equal."""
    before = world.content(folder)
    recompute = maintenance.Recompute(Loading(), world.builders(("agents", "future")), 5)
    report = maintenance.verify(folder, recompute=recompute)
    assert (report.ok, report.values, report.recomputed) == (True, 38, 5)
    assert world.content(folder) == before


class Loading(world.Source):
    """Loads scenarios one by one."""

    def load(self, scenario, window):
        """Return a scene."""
        return world.scene_of(scenario, window)


def test_what_is_computed_otherwise_now(folder, monkeypatch):
    """Samples that would come out otherwise today are named by builder, scenario and array."""
    monkeypatch.setattr(world.Future, "build", lambda _self, scene: {"future": scene.ego.position + 1})
    recompute = maintenance.Recompute(Loading(), world.builders(("agents", "future")), 3)
    report = maintenance.verify(folder, recompute=recompute)
    assert len(report.different) == 3
    assert all(line.startswith("future log-") and line.endswith(" future") for line in report.different)


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place // 8] ^= 1 << place % 8
    path.with_name("beside").write_bytes(content)
    path.with_name("beside").rename(path)


def flip_and_mend(folder, times, seed, places):
    """Flip one bit after another, verify, run again, and compare with the undisturbed cache; return how often it was seen."""
    before = world.content(folder)
    wanted = world.listing(2, 9, special=("lost-1", "boom-2"))
    chance = random.Random(seed)  # noqa: S311 -- places, not secrets
    seen = 0
    for _ in range(times):
        shard = folder.shards.path(chance.choice(folder.shards.sealed()).name)
        path = chance.choice(sorted(shard.glob("*.value"))) if shard.is_dir() else shard
        flip(path, chance.choice(places(path)))
        report = maintenance.verify(folder)
        seen += not report.ok
        with closing(folder.reader(verify=True)) as reader:  # a file that stays open stays what it was before the next flip
            reader.get_many(list(reader.keys))
        world.cache(folder, wanted)
        index = folder.index()
        assert (index.count("agents"), index.count("future")) == (18, 20), report
        assert live_values(folder) == before
    return seen


def live_values(folder):
    """Return every value that the index finds."""
    index = folder.index()
    found = {}
    for tag in ("agents", "future"):
        for key, number in zip(index.keys.tolist(), index.places_of(tag, index.keys), strict=True):
            if number >= 0:
                full = tag.encode() + b"|" + key
                with closing(folder.shards.open(index.shards[number].name)) as reader:
                    found[full] = reader.get(full)
    return found


def anywhere(path):
    """Return all bits of a file."""
    return range(path.stat().st_size * 8)


def in_the_tree(path):
    """Return the bits of an LMDB file's branch and leaf pages, and of its first two pages."""
    content = path.read_bytes()
    pages = [
        place for place in range(0, len(content), 4096) if int.from_bytes(content[place + 10 : place + 12], "little") & 0xB
    ]
    return [bit for page in pages for bit in range(page * 8, (page + 4096) * 8)]


def test_bit_flips(folder):
    """Whatever bit flips in a shard: `verify` finds what it hit, and the next run leaves the cache as it was."""
    assert flip_and_mend(folder, 3, 11, anywhere)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("places", [anywhere, in_the_tree])
def test_many_bit_flips(tmp_path, places):
    """The same for a hundred flips one after another, in values and in the tree that leads to them."""
    folder = world.folder_at(tmp_path / "cache", "lmdb")
    world.cache(folder, world.listing(2, 9, special=("lost-1", "boom-2")))
    assert flip_and_mend(folder, 100, 7, places)


@pytest.mark.parametrize("folder", ["lmdb"], indirect=True)
def test_a_shard_that_kills_its_reader(folder, tmp_path):
    """Where reading a shard ends the process, `verify` survives, moves that shard away, and the next run computes it again."""
    folder.store = Deadly(folder.shards.sealed()[0].name, type(folder.store)())
    folder.shards = shards.Shards(folder.path, folder.store)
    (tmp_path / "armed").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEADLY", str(tmp_path / "armed"))
        report = maintenance.verify(folder)
    (tmp_path / "armed").unlink()
    assert list(report.unreadable.values()) == ["reading it killed the process (SIGBUS)"]
    assert (report.ok, report.values, report.lost) == (False, 0, 38)
    assert world.cache(folder, world.listing(2, 9, special=("lost-1", "boom-2"))).done == 20
    assert maintenance.verify(folder).ok


@attrs.frozen
class Deadly:
    """A store one of whose shards, if armed, is read at the price of the process."""

    name: str
    inner: object
    shared = True

    @property
    def suffix(self):
        """Return the ending of the inner store."""
        return self.inner.suffix

    def create(self, path):
        """Return a writer of the inner store."""
        return self.inner.create(path)

    def open(self, path):
        """Return a reader of the inner store, or die."""
        if path.name == self.name and Path(os.environ.get("DEADLY", "absent")).exists():
            os.kill(os.getpid(), signal.SIGBUS)
        return self.inner.open(path)


@pytest.mark.parametrize("folder", ["lmdb"], indirect=True)
def test_a_helper_that_ends_otherwise(folder, monkeypatch):
    """Where the helper of `verify` ends for another reason, such as too little memory, no shard is moved."""
    monkeypatch.setattr(inspection, "_CRASHES", (signal.SIGSEGV,))
    monkeypatch.setenv("DEADLY", str(folder.path))
    folder.store = Deadly(folder.shards.sealed()[0].name, type(folder.store)())
    folder.shards = shards.Shards(folder.path, folder.store)
    with pytest.raises(PlutoError, match="Nothing was changed"):
        maintenance.verify(folder)
    assert len(folder.shards.sealed()) == 1


def test_a_damaged_value_is_computed_again(folder):
    """A value that is not what its spec says is left out, counted by shard, and computed again by the next run."""
    before = world.content(folder)
    key = b"future|" + folder.reader().keys[0].encode()
    shard = folder.shards.create()
    wrong = {"future": np.zeros((3, 2))}
    shard.put(key, codec.encode(wrong, world.Future.spec, key=key))
    shard.name = "99" + shard.name
    shard.seal()
    report = maintenance.verify(folder)
    assert report.damaged == {shard.name: 1}
    assert not report.ok
    assert maintenance.verify(folder).ok
    assert world.cache(folder, world.listing(2, 9, special=("lost-1", "boom-2"))).present == 18
    assert folder.reader().get_many([key.partition(b"|")[2].decode()])[0]["future"].shape == (21, 2)
    assert before.keys() == world.content(folder).keys()


def test_copies(folder, tmp_path):
    """A cache is copied into any store, value by value; a second copy adds nothing."""
    for name in ("files", "lmdb", "memory"):
        target = world.folder_at(tmp_path / f"copy-{name}", name)
        assert copying.copy(folder, target) == 38
        assert copying.copy(folder, target) == 0
        assert world.content(target) == world.content(folder)
        assert target.load_listing("abc")[0].digest() == folder.load_listing("abc")[0].digest()


def test_deleting(folder):
    """A cache is removed with its folder, but not what somebody else put there; what is no cache is refused."""
    (folder.path / "notes.txt").write_text("mine")
    maintenance.delete(folder)
    assert [path.name for path in folder.path.iterdir()] == ["notes.txt"]
    with pytest.raises(PlutoError, match="no cache"):
        maintenance.delete(folder)
