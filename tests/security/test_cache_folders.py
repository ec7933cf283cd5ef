"""Cache folders of somebody else: every file in them may be a lie, a link, a pipe or a bomb."""

import io
import json
import os
import zipfile

import numpy as np
import pytest

from pluto_basics.stores_files import FileShards
from pluto_core.arrays import ArraySpec, to_plain
from pluto_core.errors import PlutoError
from pluto_core.listing import Listing
from pluto_core.pipeline import codec, failures, maintenance
from pluto_core.pipeline.durable import write_file
from pluto_core.pipeline.fingerprint import Fingerprint
from pluto_core.pipeline.folder import CacheFolder
from pluto_core.pipeline.index import Index, shard_key
from pluto_core.pipeline.locks import Lock, Owner
from pluto_core.pipeline.manifest import Manifest
from pluto_core.pipeline.shards import RollingWriter
from pluto_core.scene import ScenarioId
from pluto_lmdb.shard import LmdbShards

SPEC = {"a": ArraySpec(dims=(2,), dtype="float32")}
IDS = [ScenarioId("log", f"{number:04x}", number) for number in range(3)]
DEEP = b"[" * 100_000
TOO_LARGE = b'{"a": 1e999}'


BOTH = pytest.mark.parametrize("folder", [FileShards, LmdbShards], ids=["files", "lmdb"], indirect=True)


@pytest.fixture
def folder(request, tmp_path):
    """A cache of three samples, with an index and a listing."""
    made = CacheFolder(tmp_path / "cache", getattr(request, "param", FileShards)())
    told = {"version": "1", "config": {}, "window": {}, "spec": to_plain(SPEC)}
    made.open_or_create(Fingerprint(builders={"f": told}))
    writer = RollingWriter(made.shards)
    for one in IDS:
        key = shard_key("f", one.key)
        writer.put(key, codec.encode({"a": np.ones(2, np.float32)}, SPEC, key=key))
    writer.seal()
    made.save_listing("aa", Listing.of([(one, "type", "map") for one in IDS]), {"stages": []})
    made.index()
    return made


@pytest.fixture
def precious(tmp_path):
    """A file outside of the cache, which must stay as it is."""
    path = tmp_path / "precious"
    path.write_text("mine")
    yield path
    assert path.read_text() == "mine"
    assert path.stat().st_nlink == 1


MANIFESTS = {
    "deep": DEEP,
    "a list": b"[]",
    "no tables": b'{"format": 2, "store": "files", "suffix": ".files", "fingerprint": {"builders": [1]}}',
    "no config": b'{"format": 2, "store": "files", "suffix": ".files", "fingerprint": {"builders": {"f": {"spec": {}}}}}',
    "a source of text": b'{"format": 2, "store": "files", "suffix": ".files", "fingerprint": {"source": "x"}}',
    "spec of text": b'{"format": 2, "store": "", "suffix": "", "fingerprint":'
    b' {"builders": {"f": {"version": "1", "config": {}, "spec": ""}}}}',
    "binary": b"\xff\xfe\x00",
    "long numbers": b'{"format": ' + b"9" * 10_000 + b"}",
}


@pytest.mark.parametrize("text", MANIFESTS.values(), ids=MANIFESTS)
def test_manifests(text, tmp_path):
    """Whatever a manifest holds, reading it ends with one message that names it."""
    (tmp_path / "manifest.json").write_bytes(text)
    with pytest.raises(PlutoError, match=r"manifest\.json|has format"):
        Manifest.read(tmp_path)


@pytest.mark.parametrize("name", ["manifest.json", "damaged.jsonl", "failures.jsonl", "listings/aa.npz"])
def test_pipes_are_not_waited_for(folder, name):
    """A pipe in the place of a file is a message, not a reader that waits for ever."""
    (folder.path / name).unlink(missing_ok=True)
    os.mkfifo(folder.path / name)
    with pytest.raises(PlutoError, match=r"cannot be read"):
        (folder.manifest, folder.index(), folder.failures(), folder.load_listing("aa"))


def test_pipes_in_other_places(folder):
    """A pipe where an index, a session's failures or a lock's owner should be counts as absent; as a lock it is refused."""
    before = folder.index().keys.tolist()
    for name in ("index.bin", "failures/0.jsonl", "locks/run-all"):
        (folder.path / name).parent.mkdir(exist_ok=True)
        (folder.path / name).unlink(missing_ok=True)
        os.mkfifo(folder.path / name)
    assert folder.index().keys.tolist() == before
    assert folder.failures() == {}
    assert Owner.read(folder.path / "locks" / "run-all") is None
    with pytest.raises(PlutoError, match="run-all is no file of its own"):
        folder.hold()


@pytest.mark.parametrize("make", [os.symlink, os.link], ids=["symbolic", "hard"])
@pytest.mark.parametrize("name", ["gate", "run-all"])
def test_a_lock_that_is_a_link(folder, precious, name, make):
    """Nothing is written through a link in the place of a lock."""
    (folder.path / "locks").mkdir(exist_ok=True)
    (folder.path / "locks" / name).unlink(missing_ok=True)
    make(precious, folder.path / "locks" / name)
    with pytest.raises(PlutoError, match=f"{name} is no file of its own"):
        folder.hold()
    with pytest.raises(PlutoError, match=f"{name} is no file of its own"):
        Lock.take(folder.path / "locks" / name)
    (folder.path / "locks" / name).unlink()


@BOTH
@pytest.mark.parametrize("name", ["shards", "unsealed", "damaged", "locks", "failures", "listings", "failures.jsonl"])
def test_folders_that_are_links(folder, name, tmp_path):
    """A cache whose folders lead elsewhere can be read; what writes, clears or removes refuses, and touches nothing there."""
    place, elsewhere = folder.path / name, tmp_path / "elsewhere"
    if place.exists():
        place.rename(elsewhere)
    else:
        elsewhere.mkdir()
        (elsewhere / f"precious{folder.store.suffix}").write_text("mine")
    place.symlink_to(elsewhere)
    before = sorted(entry.name for entry in elsewhere.iterdir())
    for write in (folder.hold, folder.clear, lambda: maintenance.delete(folder), lambda: maintenance.verify(folder)):
        with pytest.raises(PlutoError, match=f"{name} is a link"):
            write()
    assert sorted(entry.name for entry in elsewhere.iterdir()) == before
    assert len(folder.reader().keys) == 3


@pytest.mark.parametrize("name", ["manifest.json", "index.bin", "damaged.jsonl", "listings/aa.npz", "shards/x"])
def test_files_that_are_links(folder, precious, name):
    """Clearing a cache removes links, and writing replaces them; what they lead to stays."""
    place = folder.path / (name if name != "shards/x" else f"shards/x{folder.store.suffix}")
    manifest = (folder.path / "manifest.json").read_bytes()
    place.unlink(missing_ok=True)
    place.symlink_to(precious)
    write_file(place, manifest)
    assert not place.is_symlink()
    place.unlink()
    place.symlink_to(precious)
    (folder.path / "manifest.json").unlink()
    (folder.path / "manifest.json").write_bytes(manifest)
    assert folder.clear()
    assert not os.path.lexists(place)


@BOTH
def test_shards_that_lead_nowhere(folder, tmp_path):
    """A shard that is a link to nothing, or a pipe, is told as unreadable and set aside; the others are read."""
    for number, make in enumerate((lambda place: place.symlink_to(tmp_path / "nothing"), os.mkfifo)):
        place = folder.path / "shards" / f"{number}{folder.store.suffix}"
        make(place)
        assert list(folder.index().unreadable) == [place.name]
        assert len(folder.reader().keys) == 3
        folder.tidy()
        assert not os.path.lexists(place)
        assert os.path.lexists(folder.path / "damaged" / place.name)


def test_scratch_of_somebody_else(folder, tmp_path, monkeypatch):
    """A folder for shards being written that another user made, in a place where all may write, is refused."""
    other = CacheFolder(folder.path, folder.store, scratch=tmp_path / "tmp")
    other.shards.unsealed.parent.mkdir()
    (tmp_path / "theirs").mkdir()
    other.shards.unsealed.symlink_to(tmp_path / "theirs")
    with pytest.raises(PlutoError, match="belongs to somebody else"):
        other.shards.create()
    other.shards.unsealed.unlink()
    other.shards.unsealed.mkdir()
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(PlutoError, match="belongs to somebody else"):
        other.shards.adopt(print)


@pytest.mark.parametrize(
    "change",
    [
        {"places": np.full((1, 3), 1, np.int32)},
        {"places": np.full((1, 3), -2, np.int32)},
        {"places": np.zeros((2, 3), np.int32)},
        {"places": np.zeros((1, 9), np.int32)},
        {"places": np.zeros((1, 3), np.int64)},
        {"keys": np.zeros((3, 0), np.uint8)},
        {"keys": np.zeros(3, np.uint8)},
        {"about": np.frombuffer(b'{"shards": [["x", 1e999]], "tags": [], "damaged": "", "unreadable": {}}', np.uint8)},
        {"about": np.frombuffer(b'{"shards": 5, "tags": [], "damaged": "", "unreadable": {}}', np.uint8)},
        {"about": np.frombuffer(b'{"shards": [], "tags": [], "damaged": "", "unreadable": []}', np.uint8)},
        {"about": np.frombuffer(DEEP, np.uint8)},
    ],
    ids=["beyond", "below", "more tags", "more rows", "dtype", "no width", "flat", "endless", "shards", "unreadable", "deep"],
)
def test_an_index_is_not_believed(folder, change):
    """An index with sound checksums that says what cannot be is made anew from the shards."""
    whole = codec.decode((folder.path / "index.bin").read_bytes())
    spec = {key: ArraySpec(dims=tuple("xyz"[: array.ndim]), dtype=array.dtype.name) for key, array in (whole | change).items()}
    (folder.path / "index.bin").write_bytes(codec.encode(whole | change, spec, "raw"))
    assert Index.read(folder.path) is None
    reader = folder.reader()
    assert len(reader.get_many(reader.keys)) == 3


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[]", b"5", b'{"shard": 1, "key": 2}', DEEP, b"\xff", b'{"shard": [], "key": "f|x"}']
)
def test_lists_of_damage(folder, line):
    """Lines that tell nothing are passed over."""
    (folder.path / "damaged.jsonl").write_bytes(line + b'\n{"shard": "s", "key": "f|log/t@1"}\n')
    assert folder.dropped()["s"] == {b"f|log/t@1"}
    assert len(folder.reader().keys) == 3


@pytest.mark.parametrize(
    "line",
    [b"{}", b"[]", DEEP, b"\xff", b'{"log":"l","token":"t","start_us":1e999,"builder":"f","reason":"timeout","detail":""}'],
)
def test_lists_of_failures(folder, line):
    """Lines that are no failure are passed over."""
    (folder.path / "failures.jsonl").write_bytes(line + b"\n")
    assert failures.read(folder.path) == {}


def stored(folder, **changes):
    """Store a listing whose arrays are changed, and return its path."""
    path = folder.path / "listings" / "aa.npz"
    with np.load(path) as file:
        arrays = dict(file) | changes
    np.savez(path, **arrays)
    return path


def as_json(value):
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


BAD_LISTINGS = {
    "objects": {"tokens": np.array([{}, {}, {}], object)},
    "strange tokens": {"tokens": np.array([b"\xff", b"a", b"b"])},
    "long tokens": {"tokens": np.array([b"x" * 5000, b"a", b"b"])},
    "a long log": {"logs.values": as_json(["x" * 10**6])},
    "logs of text": {"logs.values": as_json("abc")},
    "deep": {"funnel": np.frombuffer(DEEP, np.uint8)},
    "a funnel of text": {"funnel": as_json("abc")},
    "codes beyond": {"logs.codes": np.full(3, 7, np.int32)},
    "codes below": {"logs.codes": np.full(3, -1, np.int32)},
    "other rows": {"start_us": np.zeros(2, np.int64)},
}


@pytest.mark.parametrize("changes", BAD_LISTINGS.values(), ids=BAD_LISTINGS)
def test_listings(folder, changes):
    """A listing that contradicts itself, or holds objects, is one message with its path; nothing is unpickled."""
    stored(folder, **changes)
    with pytest.raises(PlutoError, match=r"aa\.npz cannot be read"):
        folder.load_listing("aa")


def header(shape, dtype="'|S8'"):
    """An array file that says it has a shape."""
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + (len(text) + 1).to_bytes(2, "little") + text + b"\n"


@pytest.mark.parametrize(
    "member",
    [
        header("(10**15,)"),
        header("(1000000000000000,)"),
        header("(-5,)"),
        header("(2**70, 2**70)"),
        header("()" * 5000),
        header("(3,)", "'O'"),
        header("(3,)", "__import__('os').abort()"),
        b"",
        b"\x93NUMPY",
    ],
)
def test_headers_of_arrays(folder, member):
    """Sizes that are not there, expressions and objects in an array's header are refused."""
    path = stored(folder)
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()} | {"tokens.npy": member}
    with zipfile.ZipFile(path, "w") as new:
        for name, data in members.items():
            new.writestr(name, data)
    with pytest.raises(PlutoError, match=r"aa\.npz cannot be read"):
        folder.load_listing("aa")


def test_a_bomb_for_a_listing(folder):
    """A compressed archive, which we never write, is not unpacked."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tokens.npy", bytes(10**7))
    (folder.path / "listings" / "aa.npz").write_bytes(buffer.getvalue())
    with pytest.raises(PlutoError, match="compressed"):
        folder.load_listing("aa")
