"""What `pluto cache` tells about a cache, and what it does with damage."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cache_world as world

from pluto_core.errors import PlutoError
from pluto_core.pipeline import codec, copying, maintenance
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


def test_bit_flips(folder):
    """Whatever bit flips in a shard: `verify` finds what it hit, and the next run leaves the cache as it was."""
    before = world.content(folder)
    wanted = world.listing(2, 9, special=("lost-1", "boom-2"))
    chance = random.Random(5)  # noqa: S311 -- places, not secrets
    for _ in range(12):
        shard = folder.shards.path(chance.choice(folder.shards.sealed()).name)
        path = chance.choice(sorted(shard.glob("*.value"))) if shard.is_dir() else shard
        flip(path, chance.randrange(path.stat().st_size * 8))
        report = maintenance.verify(folder)
        reader = folder.reader(verify=True)
        reader.get_many(list(reader.keys))
        world.cache(folder, wanted)
        index = folder.index()
        assert (index.count("agents"), index.count("future")) == (18, 20), report
        after = {}
        for tag in ("agents", "future"):
            for key, shard_number in zip(index.keys.tolist(), index.places_of(tag, index.keys), strict=True):
                if shard_number >= 0:
                    full = tag.encode() + b"|" + key
                    after[full] = folder.shards.open(index.shards[shard_number].name).get(full)
        assert after == before


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
