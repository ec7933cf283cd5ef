"""Caches pushed to URLs and pulled from them."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cache_world

from pluto_core.errors import PlutoError, Reason
from pluto_core.pipeline import transport
from pluto_core.pipeline.inspection import Damage
from pluto_core.pipeline.transport import INVENTORY, pull, push, store_at
from pluto_core.places import remote

fsspec = pytest.importorskip("fsspec", reason="the extra `remote` is not installed")


@pytest.fixture(params=["memory", "file"])
def url(request, tmp_path):
    """Return a URL at which nothing is yet."""
    found = f"memory://{tmp_path.name}/cache" if request.param == "memory" else f"file://{tmp_path}/away/cache"
    yield found
    system, path = fsspec.core.url_to_fs(found)
    if system.exists(path):
        system.rm(path, recursive=True)


@pytest.fixture(params=["lmdb", "files"])
def cached(request, tmp_path):
    """Return a cache of 40 scenarios, of which one has a failure, in either store."""
    folder = cache_world.folder_at(tmp_path / "here", request.param)
    cache_world.cache(folder, cache_world.listing(2, 20, special=("lost",)))
    return folder


def another(cached, path):
    """Return a cache folder of the same store elsewhere."""
    return cache_world.folder_at(path, cached.name)


def test_a_pulled_cache_is_the_pushed_one(cached, url, tmp_path):
    """Every value, and the manifest; a second push and a second pull move no shard."""
    first = push(cached, url)
    assert first.files >= 1
    assert first.bytes > 0
    assert store_at(url) == cached.name
    copy = another(cached, tmp_path / "there")
    assert pull(url, copy).files >= 1
    assert cache_world.content(copy) == cache_world.content(cached)
    assert copy.manifest == cached.manifest
    assert copy.index().shards == cached.index().shards
    again = push(cached, url)
    assert again.there == first.files
    assert pull(url, copy).files == 0


def test_two_machines_add_to_one_place(cached, url, tmp_path):
    """What each has computed comes together, listings too, and a pull into a cache with samples of its own keeps them."""
    other = another(cached, tmp_path / "other")
    more = cache_world.listing(5, 20)
    cache_world.cache(other, more)
    other.save_listing("abc", more, {})
    push(cached, url)
    push(other, url)
    whole = another(cached, tmp_path / "whole")
    pull(url, whole)
    assert cache_world.content(whole) == cache_world.content(cached) | cache_world.content(other)
    assert whole.load_listing("abc") is not None
    pull(url, cached)
    assert cache_world.content(cached) == cache_world.content(whole)
    assert not any(len(rows) for rows in cached.missing(more, ["agents", "future"]).values())


def test_what_was_found_damaged_stays_left_out(cached, url, tmp_path):
    """A value that `verify` dropped is not back after a pull."""
    (stamp, *_) = cached.shards.sealed()
    key = cached.shards.keys(stamp)[0]
    cached.drop({stamp.name: [Damage(key, Reason.OUT_OF_RANGE, "too far away")]})
    push(cached, url)
    copy = another(cached, tmp_path / "there")
    pull(url, copy)
    assert [copy.index().count(tag) for tag in copy.index().tags] == [cached.index().count(tag) for tag in cached.index().tags]
    pull(url, copy)
    assert (copy.path / "damaged.jsonl").read_bytes() == (cached.path / "damaged.jsonl").read_bytes()


def test_caches_of_something_else_are_refused(cached, url, tmp_path):
    """Neither mixed at the URL nor in a folder; what differs is named."""
    push(cached, url)
    other = another(cached, tmp_path / "other")
    cache_world.cache(other, cache_world.listing(1, 3), source=cache_world.Source(reader="world/2"))
    with pytest.raises(PlutoError, match="world/2"):
        push(other, url)
    with pytest.raises(PlutoError, match="world/2"):
        pull(url, other)
    stored = cache_world.folder_at(tmp_path / "stored", "lmdb" if cached.name == "files" else "files")
    with pytest.raises(PlutoError, match="is stored as"):
        pull(url, stored)
    cache_world.cache(stored, cache_world.listing(1, 3))
    with pytest.raises(PlutoError, match="stored as"):
        push(stored, url)


def test_a_push_that_was_cut_off_is_no_cache_and_goes_on(cached, url, tmp_path, monkeypatch):
    """Shards without an inventory are not taken for a cache; the next push sends what is missing."""
    original = transport.upload

    def cut_off(path, where):
        if where.endswith((INVENTORY, ".json")):
            message = "the network is gone"
            raise PlutoError(message)
        original(path, where)

    monkeypatch.setattr(transport, "upload", cut_off)
    with pytest.raises(PlutoError, match="gone"):
        push(cached, url)
    copy = another(cached, tmp_path / "there")
    with pytest.raises(PlutoError, match="there is no pushed cache"):
        pull(url, copy)
    assert not copy.path.exists()
    monkeypatch.setattr(transport, "upload", original)
    assert push(cached, url).there >= 1
    pull(url, copy)
    assert cache_world.content(copy) == cache_world.content(cached)


def test_the_inventory_of_a_million_scenarios_can_be_pulled(tmp_path):
    """One file a value and two builders: what is pushed then is not longer than what is read."""
    folder = cache_world.folder_at(tmp_path / "here", "files")
    cache_world.cache(folder, cache_world.listing(2, 20))
    push(folder, f"file://{tmp_path}/away")
    inventory = tmp_path / "away" / INVENTORY
    files = len(json.loads(inventory.read_bytes())["files"])
    assert files > 2 * 40
    assert 2_000_000 * inventory.stat().st_size / files < transport._LARGEST_INVENTORY


@pytest.mark.parametrize("more", [b"", b"more"], ids=["as long", "longer"])
def test_a_damaged_file_never_becomes_part_of_a_cache(cached, url, tmp_path, more):
    """What changed at the URL is found by its digest or length, and told as such; nothing half is left."""
    push(cached, url)
    system, path = fsspec.core.url_to_fs(url)
    names = [name for name in json.loads(system.cat_file(f"{path}/{INVENTORY}"))["files"] if name.startswith("shards/")]
    content = bytearray(system.cat_file(f"{path}/{names[0]}"))
    content[len(content) // 2] ^= 1
    system.pipe_file(f"{path}/{names[0]}", bytes(content) + more)
    copy = another(cached, tmp_path / "there")
    with pytest.raises(PlutoError, match=r"is not what was pushed|did it change"):
        pull(url, copy)
    assert not [one for one in (copy.path / "shards").iterdir() if one.name.startswith(".") or one.name in names[0]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[1]", "cannot be read"),
        (b"{", "cannot be read"),
        (b'{"format": 9, "files": {}}', "has format 9"),
        (b'{"format": 1, "files": {"shards/../../x": {"size": 1, "digest": ""}}}', "lies outside"),
        (b'{"format": 1, "files": {"/etc/x": {"size": 1, "digest": ""}}}', "lies outside"),
    ],
)
def test_an_inventory_is_not_trusted(tmp_path, content, said):
    """What is no inventory, or leads out of the cache, is refused."""
    cached = cache_world.folder_at(tmp_path / "here")
    cache_world.cache(cached, cache_world.listing(1, 2))
    url = f"file://{tmp_path}/away"
    push(cached, url)
    (tmp_path / "away" / INVENTORY).write_bytes(content)
    with pytest.raises(PlutoError, match=said):
        pull(url, cache_world.folder_at(tmp_path / "there"))
    assert not (tmp_path / "there").exists()


def test_a_cache_in_memory_has_no_files(tmp_path):
    """It says so."""
    folder = cache_world.folder_at(tmp_path / "cache", "memory")
    with pytest.raises(PlutoError, match="has no files to push"):
        push(folder, "memory://x")


def test_a_network_that_fails_is_a_message(cached, monkeypatch):
    """Not a traceback."""

    def broken(_url):
        message = "the network is gone"
        raise ConnectionError(message)

    monkeypatch.setattr(remote, "_system", broken)
    with pytest.raises(PlutoError, match="the network is gone"):
        push(cached, "memory://nowhere")
