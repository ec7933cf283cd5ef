"""Names that come with data lead nowhere: files are written into the folder that was named, and nowhere else."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluto_basics.stores_files import FileShards
from pluto_core.arrays import ArraySpec, to_plain
from pluto_core.errors import PlutoError, SampleError
from pluto_core.pipeline import codec, maintenance
from pluto_core.pipeline.fingerprint import Fingerprint
from pluto_core.pipeline.folder import CacheFolder
from pluto_core.pipeline.index import shard_key
from pluto_core.pipeline.shards import RollingWriter
from pluto_core.places.copies import Copies
from pluto_core.places.names import file_name, is_file_name
from pluto_core.scene import ScenarioId
from pluto_devkit import exporting, gzip_cache, trees
from pluto_devkit.gzip_cache import Entry
from pluto_nuplan.maps.folder import find_map
from pluto_viz import rendering, runs

SPEC = {"a": ArraySpec(dims=(2,), dtype="float32")}
HOSTILE = (
    "..",
    ".",
    "",
    "../../x",
    "/etc/x",
    "a/b",
    "a\0b",
    "x" * 2000,
    ".hidden",
    "a\nb",
    "\udcff",
    "~",
    "-rf",
    "$(touch x)",
    "CON",
)


@given(st.text(st.characters(exclude_categories=[])))
def test_any_text_becomes_a_plain_name(text):
    """Whatever a token is, its file's name is one part, not hidden, printable ASCII and not too long; plain ones stay."""
    name = file_name(text)
    assert is_file_name(name)
    assert name.isascii()
    assert name.isprintable()
    assert not name.startswith(".")
    assert len(name) < 200
    assert Path("folder", name).parent == Path("folder")
    assert file_name(name) == name


@pytest.mark.parametrize("text", ["3f2a00c1d9e85b77", "starting_left_turn-0a1b", "log_315968080", "a@17", "2021.06.07-x"])
def test_tokens_as_they_are_stay(text):
    """Names of scenarios as datasets have them are names of files."""
    assert file_name(text) == text


def test_different_texts_stay_apart():
    """Texts that differ only in what cannot stand in a name get different names."""
    assert len({file_name(text) for text in ("a/b", "a\\b", "a:b", "a b", "a_b")}) == 5


def cache(path, ids, sample=None, spec=None, tag="f"):
    """A cache with one builder's samples of scenarios of any name."""
    spec = spec or SPEC
    folder = CacheFolder(path, FileShards())
    told = {"version": "1", "config": {}, "window": {}, "spec": to_plain(spec)}
    folder.open_or_create(Fingerprint(builders={tag: told}))
    writer = RollingWriter(folder.shards)
    for one in ids:
        key = shard_key(tag, one.key)
        writer.put(key, codec.encode(sample or {"a": np.ones(2, np.float32)}, spec, key=key))
    writer.seal()
    return folder


def files_below(path):
    """Every file below a folder, links and hidden ones too."""
    return {entry.relative_to(path).as_posix() for entry in path.rglob("*") if not entry.is_dir()}


@pytest.mark.parametrize("token", [text for text in HOSTILE if "/" not in text and text != "\udcff"])
def test_export_writes_into_its_folder(token, tmp_path):
    """Tokens that are no names, from a cache of somebody else's, become files in the folder that was named."""
    folder = cache(tmp_path / "cache", [ScenarioId("../../log", token, 1), ScenarioId("../log", token, 1)])
    before = files_below(tmp_path)
    assert maintenance.export(folder, tmp_path / "out" / "here") == 2
    new = files_below(tmp_path) - before - {"cache/index.bin"}
    assert len(new) == 2
    assert all(name.startswith("out/here/") and name.endswith(".npz") for name in new)


def test_export_replaces_links(tmp_path):
    """A link in the place of a file is replaced; what it leads to stays as it was."""
    folder = cache(tmp_path / "cache", [ScenarioId("log", "token", 1)])
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "token.npz").symlink_to(tmp_path / "mine")
    maintenance.export(folder, tmp_path / "out")
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "out" / "token.npz").is_symlink()


@pytest.mark.parametrize("place", ["log", "scenario_type", "token", "name"])
@pytest.mark.parametrize("text", ["..", "../../x", "/x", "a/b", "", "a\0b"])
def test_the_devkits_cache_stays_in_its_folder(place, text, tmp_path):
    """What nuplan-devkit's layout makes a folder of (log, type, token, feature) cannot lead elsewhere: it is refused."""
    named = {"log": "log", "scenario_type": "type", "token": "token", "name": "feature"} | {place: text}
    name = named.pop("name")
    with pytest.raises(PlutoError, match="nuplan-devkit cannot store"):
        gzip_cache.write(tmp_path / "root", Entry(**named), name, {"a": 1})
    assert files_below(tmp_path) == set()


def test_a_hostile_cache_is_not_exported_elsewhere(tmp_path):
    """The whole way: a cache whose layout names a type `../../..` writes nothing."""
    sample = trees.encode("devkit", {"scenario_type": "../../..", "features": {"x": {"a": np.ones(2, np.float32)}}})
    spec = {key: ArraySpec(dims=(key,), dtype=array.dtype.name, optional=True) for key, array in sample.items()}
    folder = cache(tmp_path / "cache", [ScenarioId("log", "token", 1)], sample, spec)
    with pytest.raises(PlutoError, match="names no folder"):
        exporting.write_cache(folder.reader(), tmp_path / "out")
    assert not list(tmp_path.rglob("*.gz"))


def test_pictures_stay_in_their_folder(tmp_path, monkeypatch):
    """Types and tokens of a hostile listing become names of pictures, not paths."""
    wanted = rendering.Wanted(what=tmp_path)
    drawing = type("Drawing", (), {"scenario_type": "/etc/../..", "id": ScenarioId("log", "../../x", 1), "errors": {}})
    path = rendering._placed(drawing, wanted, tmp_path)
    assert path.parent == tmp_path
    saved = []
    monkeypatch.setattr(runs, "figure", lambda *_arguments, **_options: None)
    monkeypatch.setattr(runs, "save", lambda _picture, path: saved.append(path))
    drawing.sketch = drawing.plan = None
    step = type(
        "Step", (), {"name": "test", "run_dir": tmp_path, "scenarios": staticmethod(lambda _count: [drawing]), "note": print}
    )
    runs.draw_step(step)
    assert [path.parent for path in saved] == [tmp_path / "pictures"]


def test_names_of_built_maps_and_copies(tmp_path):
    """A map's index cannot name a folder outside of the map root, and a URL no copy outside of the folder of copies."""
    (tmp_path / "maps" / "town").mkdir(parents=True)
    (tmp_path / "map.gpkg").touch()
    for location, version in (
        ("..", "."),
        ("town", "../.."),
        ("town", ".."),
        ("town", ""),
        ("", "town"),
        ("town", "/"),
        ("town", "a\0b"),
    ):
        (tmp_path / "maps" / "nuplan-maps-v1.0.json").write_text(json.dumps({location: {"version": version}}))
        with pytest.raises(SampleError, match="no plain folder names"):
            find_map(tmp_path / "maps", location)
    copies = Copies(tmp_path / "copies", 10**6)
    for name in ("..", "a%00b", "x" * 4000):
        path = copies.get(f"s3://bucket/{name}", 3, "", lambda part: part.write_bytes(b"abc") and None)
        assert path.parent.parent == tmp_path / "copies"
        assert os.path.realpath(path) == str(path)
