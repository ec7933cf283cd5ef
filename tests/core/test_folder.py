"""The cache folder: what it was made from, what it holds, who uses it."""

import errno
import json
import multiprocessing
import os
import pickle
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import attrs
import cache_world as world

from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.listing import Listing
from pluto_core.pipeline import failures, index, listings, locks, maintenance
from pluto_core.pipeline.fingerprint import Fingerprint, fingerprint
from pluto_core.scene import ScenarioId


@pytest.fixture
def folder(tmp_path):
    return world.folder_at(tmp_path / "cache")


def asked(source=None, version="1", config=None, tags=("agents", "future")):
    chosen = world.builders(tags)
    for _, builder in chosen:
        builder.version = version
    return fingerprint((source or world.Source()).identity(), [(tag, builder, config or {}) for tag, builder in chosen])


def test_the_same_again(folder):
    """Opening a cache for what it was made from says nothing and changes nothing."""
    folder.open_or_create(asked())
    before = (folder.path / "manifest.json").read_bytes()
    notes = []
    folder.open_or_create(asked(), note=notes.append)
    assert not notes
    assert (folder.path / "manifest.json").read_bytes() == before
    assert folder.manifest.tags == ("agents", "future")


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ({}, {"version": "2"}, 'builder agents, version: "1" in the cache, "2" asked'),
        (
            {"config": {"radius_m": 120}},
            {"config": {"radius_m": 100.5}},
            "builder agents, config, radius_m: 120 in the cache, 100.5 asked",
        ),
        ({"config": {"a": [1, 2]}}, {}, "builder future, config, a: [1, 2] in the cache, nothing asked"),
        ({}, {"source": world.Source(reader="world/2")}, 'source reader: "world/1" in the cache, "world/2" asked'),
    ],
)
def test_something_else(folder, old, new, line):
    """A cache made from something else is refused: what differs, the path and three ways on; `fresh` starts anew."""
    folder.open_or_create(asked(**old))
    with pytest.raises(PlutoError) as caught:
        folder.open_or_create(asked(**new))
    text = str(caught.value)
    assert line in text.replace("builder future, version", "")
    assert all(word in text for word in (str(folder.path), "cache.path", "--fresh", "undo"))
    folder.open_or_create(asked(**new), fresh=True)
    folder.open_or_create(asked(**new))


def test_a_changed_file_of_the_dataset(folder):
    """A log that has another size is a difference, new and missing ones are not."""
    base = asked()

    def with_files(files):
        return attrs.evolve(base, source={**base.source, "dataset": files})

    folder.open_or_create(with_files({"a.db": 1, "b.db": 2}))
    folder.open_or_create(with_files({"c.db": 3}))
    assert folder.manifest.fingerprint.source["dataset"] == {"a.db": 1, "b.db": 2, "c.db": 3}
    with pytest.raises(PlutoError, match=r"a\.db: 1 when cached, 9 now"):
        folder.open_or_create(with_files({"a.db": 9, "c.db": 3}))
    folder.open_or_create(Fingerprint(builders=base.builders))


def test_more_builders(folder):
    """A builder can be added; a reader that asks for one that never wrote names those that did."""
    folder.open_or_create(asked(tags=("agents",)))
    folder.open_or_create(asked(tags=("future",)))
    assert folder.manifest.tags == ("agents", "future")
    with pytest.raises(PlutoError, match=r"'other'.*agents, future"):
        folder.reader(["other"])


def test_changed_code_is_only_said(folder):
    """A builder whose code changed and whose version did not is one note, every time."""
    folder.open_or_create(asked())
    changed = attrs.evolve(asked(), code={"agents": "0"})
    notes = []
    for _ in range(2):
        folder.open_or_create(changed, note=notes.append)
    assert len(notes) == 2
    assert "agents" in notes[0]
    assert "--recompute" in notes[0]


def test_another_store(tmp_path):
    """A cache that is stored otherwise is not taken for an empty one."""
    world.cache(world.folder_at(tmp_path / "c", "files"), world.listing(1, 2))
    with pytest.raises(PlutoError, match=r'\[cache\] use = "files"'):
        world.prepared(world.folder_at(tmp_path / "c", "lmdb"))


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"format": 2}', '{"format": 2, "store": "x", "suffix": ".lmdb", "fingerprint": {"x": 1}}']
)
def test_a_broken_manifest(folder, text):
    """A manifest that cannot be read is an error with its path and the ways on, and `fresh` is one."""
    folder.open_or_create(asked())
    (folder.path / "manifest.json").write_text(text)
    with pytest.raises(PlutoError, match=r"manifest\.json"):
        folder.open_or_create(asked())
    folder.open_or_create(asked(), fresh=True)


def test_a_newer_format(folder):
    """A cache of another format is refused by its number."""
    folder.open_or_create(asked())
    place = folder.path / "manifest.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), "format": 99}))
    with pytest.raises(PlutoError, match="format 99"):
        folder.open_or_create(asked())


def test_other_peoples_folders(tmp_path):
    """A folder that holds something else is neither used nor emptied, not even with `fresh`."""
    (tmp_path / "photo.jpg").write_bytes(b"dear")
    folder = world.folder_at(tmp_path)
    for fresh in (False, True):
        with pytest.raises(PlutoError, match="no cache"):
            folder.open_or_create(asked(), fresh=fresh)
    with pytest.raises(PlutoError, match="no cache"):
        folder.reader()
    assert (tmp_path / "photo.jpg").read_bytes() == b"dear"


def test_killed_before_the_manifest_had_its_name(tmp_path):
    """A folder whose maker was killed while it wrote the first manifest is a cache to be, and `clear` leaves nothing of it."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / ".manifest.json.0a1b2c3d").write_bytes(b'{"form')
    folder = world.folder_at(tmp_path / "cache")
    folder.open_or_create(asked())
    assert folder.manifest.fingerprint == asked()
    maintenance.delete(folder)
    assert not folder.path.exists()


def test_fresh_keeps_what_is_not_the_cache(folder):
    """`fresh` removes samples, failures and listings, and leaves other files in the folder alone."""
    wanted = world.listing(1, 4, special=("boom",))
    world.cache(folder, wanted)
    folder.save_listing("abc", wanted, {})
    (folder.path / "notes.txt").write_text("mine")
    world.prepared(folder, fresh=True)
    assert folder.load_listing("abc") is None
    assert not folder.failures()
    assert not len(folder.index().keys)
    assert (folder.path / "notes.txt").read_text() == "mine"


def test_listings(folder):
    """A listing comes back row by row with its funnel; an unknown filter gives None, a damaged file an error."""
    folder.open_or_create(asked())
    for wanted in (world.listing(3, 7), Listing.of([])):
        folder.save_listing("abc", wanted, {"all": 21})
        found, funnel = folder.load_listing("abc")
        assert funnel == {"all": 21}
        assert found.digest() == wanted.digest()
        assert list(found.ids()) == list(wanted.ids())
    assert folder.load_listing("def") is None
    (folder.path / "listings" / "abc.npz").write_bytes(b"PK\3\4 torn")
    with pytest.raises(PlutoError, match=r"abc\.npz"):
        folder.load_listing("abc")


def test_listings_are_never_unpickled(folder):
    """A listing with pickled objects in it is damaged, not run."""
    folder.open_or_create(asked())
    (folder.path / "listings").mkdir()
    np.savez(folder.path / "listings" / "abc.npz", tokens=np.asarray([{}], object))
    with pytest.raises(PlutoError, match=r"abc\.npz"):
        folder.load_listing("abc")


def test_keys_of_a_listing():
    """The keys of a listing are those of its ids."""
    wanted = world.listing(3, 5)
    assert [key.decode() for key in listings.keys_of(wanted)] == [scenario.key for scenario in wanted.ids()]


def test_the_reader(folder):
    """A reader gives the samples of all builders by key, in the order asked for, and a listing with types and maps."""
    wanted = world.listing(2, 6)
    folder.open_or_create(asked())
    folder.save_listing("abc", wanted, {})
    world.cache(folder, wanted.take(np.arange(9)))
    reader = folder.reader()
    assert list(reader.keys) == sorted(scenario.key for scenario in list(wanted.ids())[:9])
    assert list(reader.keys[2:4]) == [reader.keys[2], reader.keys[3]]
    assert [scenario.key for scenario in reader.listing.ids()] == list(reader.keys)
    assert reader.listing.types.text(1) == "type-1"
    order = [reader.keys[5], reader.keys[0], reader.keys[5]]
    samples = reader.get_many(order)
    for key, sample in zip(order, samples, strict=True):
        assert sample.keys() == reader.spec.keys() == {"agent/position", "agent/valid", "map", "future"}
        scene = world.scene_of(ScenarioId.from_key(key), world.Agents.window)
        built = world.Agents().build(scene)
        np.testing.assert_array_equal(sample["agent/position"], built["agent/position"].astype(np.float32))
        np.testing.assert_array_equal(sample["map"], built["map"].astype(np.float16))
    assert reader.get_many([]) == []
    assert set(reader.get_many(order[:1], ["future"])[0]) == {"future"}
    with pytest.raises(KeyError):
        reader.get_many(["log-0/absent@1"])
    with pytest.raises(KeyError):
        reader.get_many([reader.keys[0] + "0" * 90])
    assert len(folder.reader(["future"], verify=True).get_many(order)) == 3


def test_a_reader_in_a_forked_process(folder):
    """A reader that is in use works in a forked process, and goes on working here."""
    world.cache(folder, world.listing(1, 4))
    reader = folder.reader()
    here = read_future(reader, 1)
    child = os.fork()
    if not child:
        os._exit(0 if read_future(reader, 1) == here else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert read_future(reader, 1) == here


def test_a_reader_in_a_spawned_process(folder):
    """A reader that is in use pickles, small, and works in a spawned process."""
    world.cache(folder, world.listing(1, 40))
    reader = folder.reader()
    here = read_future(reader, 1)
    assert len(pickle.dumps(reader)) < 4000
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(reader.get_many, ([reader.keys[1]],))[0]["future"][0, 0] == here


def read_future(reader, row):
    return float(reader.get_many([reader.keys[row]])[0]["future"][0, 0])


def test_scenarios_that_no_listing_knows(folder):
    """Stored scenarios without a listing are listed with unknown type and map."""
    wanted = world.listing(2, 3)
    folder.open_or_create(asked())
    folder.save_listing("abc", wanted.take(np.array([1, 4])), {})
    world.cache(folder, wanted)
    listing = folder.reader().listing
    assert list(listing.ids()) == list(wanted.ids())
    assert [listing.types.text(row) for row in range(6)] == ["unknown", "type-1", "unknown", "unknown", "type-1", "unknown"]


def test_the_index_follows_the_shards(folder):
    """A missing, stale or damaged index is made again; shards that came or went are seen."""
    world.cache(folder, world.listing(2, 3))
    world.cache(folder, world.listing(2, 6))
    whole = folder.index()
    assert whole.count("agents") == 12
    place = folder.path / "index.bin"
    content = bytearray(place.read_bytes())
    content[len(content) // 2] ^= 4
    for damaged in (b"", b"noise", bytes(content), None):
        place.unlink()  # the old file stays mapped; writers replace it and never change it
        if damaged is not None:
            place.write_bytes(damaged)
        again = folder.index()
        np.testing.assert_array_equal(again.keys, whole.keys)
        np.testing.assert_array_equal(again.places, whole.places)
    folder.shards.path(folder.shards.sealed()[0].name).unlink()
    assert folder.index().count("agents") == 6
    assert len(folder.missing(world.listing(2, 6), ["agents"])["agents"]) == 6


def test_a_shard_that_was_cut_off(folder):
    """A shard that cannot be read is named; the next run moves it away and computes its samples again."""
    wanted = world.listing(2, 6)
    world.cache(folder, wanted)
    before = world.content(folder)
    name = folder.shards.sealed()[0].name
    os.truncate(folder.shards.path(name), 9000)
    assert name in folder.problems()[0]
    notes = []
    report = world.cache(folder, wanted, note=notes.append)
    assert report.done == 12
    assert any(name in note for note in notes)
    assert (folder.path / "damaged" / name).exists()
    assert world.content(folder) == before
    assert not folder.problems()


def test_damaged_values_are_named(folder):
    """Reading a damaged value says which scenario, which shard, and what to run."""
    world.cache(folder, world.listing(1, 3))
    reader = folder.reader()
    reader._values = lambda _shard, keys: [b"noise" for _ in keys]
    with pytest.raises(SampleError, match="cache verify") as caught:
        reader.get_many([reader.keys[0]])
    assert caught.value.reason is Reason.DAMAGED_VALUE


def test_lookups_of_any_width():
    """Keys are found by their whole text, however long those of the index are."""
    keys = np.sort(np.array([b"a", b"ab", b"abc", b"b"]))
    known = index.Index(shards=(index.Stamp("s", 0),), tags=("t",), keys=keys, places=np.zeros((1, 4), np.int32))
    asked_for = np.array([b"abc", b"abcd", b"aa", b"", b"b", b"abcdefgh"])
    assert known.rows(asked_for).tolist() == [2, -1, -1, -1, 3, -1]
    assert index.EMPTY.rows(asked_for).tolist() == [-1] * 6


def test_failures_are_merged(folder):
    """Failures of several sessions become one file; torn lines and those that have a sample by now are left out."""
    folder.open_or_create(asked())
    ids = list(world.listing(1, 3).ids())
    logs = [failures.FailureLog(folder.path) for _ in range(2)]
    for log, scenario in zip(logs, ids, strict=False):
        log.add(
            failures.Failure(scenario=scenario, builder="agents", reason=Reason.NO_ROUTE, detail="none", traceback="t" * 99_999)
        )
    logs[0].close()
    with (folder.path / "failures" / "killed.jsonl").open("wb") as file:
        file.write(failures.Failure(scenario=ids[2], builder="agents", reason=Reason.TIMEOUT, detail="").line() + b'{"log": "l')
    folder.tidy()
    assert len(list((folder.path / "failures").glob("*.jsonl"))) == 1
    assert {key for _, key in folder.failures()} == {scenario.key for scenario in ids}
    logs[1].close()
    left = failures.merge(folder.path, lambda _tag, key: key == ids[0].key)
    assert {key for _, key in left} == {ids[1].key, ids[2].key}
    assert all(len(line) < 10_000 for line in (folder.path / "failures.jsonl").read_bytes().splitlines())


def test_locks(tmp_path):
    """A run holds its part: the same part and the whole are refused with the owner's name, other parts are not."""
    place = tmp_path / "cache" / "locks"
    with locks.hold_run(place, "1-of-2"):
        for part in ("1-of-2", "all"):
            with pytest.raises(PlutoError, match=f"process {os.getpid()} on .* since"):
                locks.hold_run(place, part)
        with locks.hold_run(place, "2-of-2"):
            pass
    with locks.hold_run(place, "all"), pytest.raises(PlutoError):
        locks.hold_run(place, "1-of-2")
    (place / "run-all").write_text('{"host": "elsewhere", "boot": "x", "process": 5, "since": "then"}')
    with pytest.raises(PlutoError, match=r"process 5 on elsewhere.*remove"):
        locks.hold_run(place, "all")
    (place / "run-all").write_text("torn")
    locks.hold_run(place, "all").release()


def test_a_file_system_without_locks(folder, monkeypatch):
    """It is told as such, and not as one without room."""

    def refuse(_descriptor, _operation):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    with pytest.raises(PlutoError, match=r"file system of .* has no locks .*choose another cache\.path"):
        folder.hold()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not write")
def test_a_folder_that_cannot_be_written():
    """A cache is read by somebody who may not write to it, also when its index has to be made again."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        folder = world.folder_at(Path(place) / "cache")
        world.cache(folder, world.listing(1, 5))
        (folder.path / "index.bin").unlink()
        child = os.fork()
        if not child:
            os.setuid(65534)
            reader = folder.reader()
            os._exit(len(reader.get_many(list(reader.keys))) if not os.access(folder.path, os.W_OK) else 99)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
        assert not (folder.path / "index.bin").exists()
