"""Samples that fail when they are read: rows of the failures, computed again by the next cache step."""

import json
import multiprocessing
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cache_world as world

from pluto_core.errors import Reason, SampleError
from pluto_core.pipeline import codec
from pluto_core.pipeline.failures import NAME, Failure

TAGS = ("agents", "future")


@pytest.fixture
def folder(tmp_path):
    """Return a cache of eight samples."""
    made = world.folder_at(tmp_path / "cache", "files")
    world.cache(made, world.listing(2, 4))
    return made


def spoil(folder, row=3):
    """Flip a bit of a stored value and return its scenario."""
    index = folder.index()
    key = bytes(index.keys[row])
    place = folder.shards.path(index.shards[index.places_of("agents", index.keys[row : row + 1])[0]].name)
    value = folder.shards.open(place.name).get(b"agents|" + key)
    (file,) = [path for path in (place, *place.rglob("*")) if path.is_file() and value in path.read_bytes()]
    content = file.read_bytes()
    end = content.index(value) + len(value)
    file.write_bytes(content[: end - 1] + bytes([content[end - 1] ^ 1]) + content[end:])
    return key.decode()


def taken(folder):
    """Return the stored values that readers take: a shard of before may still hold a spoiled one beside them."""
    index = folder.index()
    places = index.places_of("agents", index.keys)
    names = [index.shards[place].name for place in places]
    keys = [b"agents|" + bytes(key) for key in index.keys]
    return {key: bytes(folder.shards.open(name).get(key)) for key, name in zip(keys, names, strict=True)}


def read_all(folder):
    """Prove every sample and return the keys of those that fail."""
    reader = folder.reader(TAGS, verify=True)
    failed = []
    for key in reader.keys:
        try:
            reader.get_many([key])
        except SampleError:
            failed.append(key)
    reader.close()
    return failed


def test_what_fails_when_read_is_a_row(folder):
    """It says scenario, builder, reason and shard, once however often it is read, and is no reason to give up."""
    key = spoil(folder)
    assert read_all(folder) == read_all(folder) == [key]
    ((name, failure),) = folder.failures().items()
    assert name == ("agents", key)
    assert (failure.scenario.key, failure.reason) == (key, Reason.DAMAGED_VALUE)
    assert failure.shard in {stamp.name for stamp in folder.shards.sealed()}
    assert {json.loads(line)["shard"] for line in (folder.path / NAME).read_text().splitlines()} == {failure.shard}
    assert not folder.given_up()
    folder.tidy()
    assert len(folder.missing(world.listing(2, 4), TAGS)["agents"]) == 1


def test_the_next_cache_step_computes_it_again(folder):
    """The same values come out, the row goes, and the user is told."""
    before = taken(folder)
    key = spoil(folder)
    assert read_all(folder) == [key]
    notes = []
    folder.tidy(notes.append)
    assert any("1 sample failed when it was read" in note for note in notes)
    report = world.cache(folder, world.listing(2, 4))
    assert (report.done, report.present) == (1, 7)
    assert not folder.failures()
    assert read_all(folder) == []
    assert taken(folder) == before


def test_a_row_of_a_shard_of_before_changes_nothing(folder):
    """A training that still reads the old shard says nothing about the sample that was computed since."""
    spoil(folder)
    late = folder.reader(TAGS, verify=True)
    keys = list(late.keys)
    late.get_many(keys[:1])
    read_all(folder)
    world.cache(folder, world.listing(2, 4))
    with pytest.raises(SampleError):
        late.get_many(keys)
    report = world.cache(folder, world.listing(2, 4))
    assert (report.done, report.present) == (0, 8)
    assert not folder.failures()


def _prove(folder):
    read_all(folder)


def test_other_processes_tell_as_well(folder):
    """Rows of a process that loads are there for its parent."""
    key = spoil(folder)
    helper = multiprocessing.get_context("fork").Process(target=_prove, args=(folder,))
    helper.start()
    helper.join(60)
    assert list(folder.failures()) == [("agents", key)]


def test_a_cache_that_cannot_be_written_is_read_all_the_same(folder, monkeypatch):
    """Where no row can be written, the error is that of the sample."""
    key = spoil(folder)

    def refuse(*_arguments):
        raise PermissionError(13, "read-only")

    monkeypatch.setattr("pluto_core.pipeline.failures.append", refuse)
    with pytest.raises(SampleError, match=Reason.DAMAGED_VALUE.value):
        folder.reader(TAGS, verify=True).get_many([key])


def test_a_cache_of_links_is_read_all_the_same(folder, tmp_path):
    """Where shards lie elsewhere and nothing is written, the error is that of the sample, and not that of the link."""
    key = spoil(folder)
    folder.index()
    (folder.path / "shards").rename(tmp_path / "elsewhere")
    (folder.path / "shards").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SampleError, match=Reason.DAMAGED_VALUE.value):
        folder.reader(TAGS, verify=True).get_many([key])


def test_a_torn_line_costs_no_other(folder):
    """A line that a power failure tore keeps its place; rows behind it are read."""
    (folder.path / NAME).write_bytes(b'{"log": "l')
    key = spoil(folder)
    read_all(folder)
    assert list(folder.failures()) == [("agents", key)]


@pytest.mark.parametrize("key", [b"", b"agents", b"agents|nothing", b"agents|\xff/t@1", b"\xff|l/t@1"])
def test_a_key_without_a_scenario_is_no_row(key):
    """Damage that hit a key itself leaves nothing to name."""
    assert Failure.of_value(key, shard="s", reason=Reason.DAMAGED_VALUE, detail="") is None


def test_what_a_builder_refuses_has_its_reason(folder):
    """A stored sample of numbers that are not finite fails with that reason, not as damage."""
    index = folder.index()
    key = bytes(index.keys[0])
    reader = folder.reader(TAGS, verify=True)
    sample = codec.decode(reader._values(0, [b"agents|" + key])[0], key=b"agents|" + key)
    bad = {**sample, "agent/position": sample["agent/position"] * float("nan")}
    value = codec.encode(bad, world.Agents.spec, key=b"agents|" + key)
    reader._values = lambda _shard, keys: [value for _ in keys]
    with pytest.raises(SampleError):
        reader.get_many([key.decode()])
    assert {failure.reason for failure in folder.failures().values()} == {Reason.NOT_FINITE}
