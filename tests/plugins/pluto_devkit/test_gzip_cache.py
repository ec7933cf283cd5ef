import gzip
import pickle

import numpy as np
import pytest

from pluto_core.errors import PlutoError, SampleError
from pluto_core.testing.equality import assert_same
from pluto_devkit import gzip_cache
from pluto_devkit.gzip_cache import Entry

ENTRY = Entry("2021.05.12_veh-35_1_2", "starting_left_turn", "0123456789abcdef")
AGENTS = {"ego": [np.zeros((5, 3), np.float32)], "agents": [np.ones((5, 2, 8), np.float32)]}


def test_features_come_back(tmp_path):
    """What is written has the devkit's place and form (gzip around a pickle), and is read as it was."""
    stem = gzip_cache.write(tmp_path, ENTRY, "agents", AGENTS)
    path = tmp_path / ENTRY.log / ENTRY.scenario_type / ENTRY.token / "agents.gz"
    assert stem == path.with_suffix("")
    assert_same(pickle.loads(gzip.decompress(path.read_bytes())), AGENTS)  # noqa: S301 -- ours
    assert_same(gzip_cache.read(tmp_path, ENTRY, "agents"), AGENTS)
    assert [one.name for one in path.parent.iterdir()] == ["agents.gz"]


def test_scan_finds_scenarios_and_names(tmp_path):
    """Scenarios stand by log, type and token; lists of files and stray files are no scenarios."""
    later = Entry("b", "t", "2")
    for entry, names in ((later, ["agents"]), (ENTRY, ["agents", "raster"])):
        for name in names:
            gzip_cache.write(tmp_path, entry, name, AGENTS)
    gzip_cache.write_metadata(tmp_path, [])
    (tmp_path / "README").write_text("stray")
    found = list(gzip_cache.scan(tmp_path))
    assert found == [(ENTRY, frozenset({"agents", "raster"})), (later, frozenset({"agents"}))]
    assert gzip_cache.is_cache(tmp_path)
    assert not gzip_cache.is_cache(tmp_path / ENTRY.log)
    assert not gzip_cache.is_cache(tmp_path / "nowhere")


def test_metadata(tmp_path):
    """Lists of files have the devkit's name and column; those of all nodes are read together."""
    files = [gzip_cache.write(tmp_path, ENTRY, name, AGENTS) for name in ("agents", "vector_map")]
    path = gzip_cache.write_metadata(tmp_path, files[:1])
    assert path == tmp_path / "metadata" / f"{tmp_path.name}_metadata_node_0.csv"
    assert path.read_text().splitlines() == ["file_name", str(files[0])]
    gzip_cache.write_metadata(tmp_path, files[1:], node=1)
    assert gzip_cache.read_metadata(tmp_path) == [str(file) for file in files]
    path.write_text("names\n")
    with pytest.raises(PlutoError, match="file_name"):
        gzip_cache.read_metadata(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"no gzip", gzip.compress(b"no pickle", mtime=0), gzip.compress(b"\x80\x04", mtime=0)[:-9]]
)
def test_damaged_files_are_named(tmp_path, content):
    """A damaged file is a damaged value, and its path is said."""
    path = gzip_cache.write(tmp_path, ENTRY, "agents", AGENTS).with_suffix(".gz")
    path.write_bytes(content)
    with pytest.raises(SampleError, match=str(path)):
        gzip_cache.read(tmp_path, ENTRY, "agents")


def test_names_that_the_devkit_would_cut(tmp_path):
    """A name with a dot, which the devkit would cut off, is refused."""
    with pytest.raises(PlutoError, match="dots"):
        gzip_cache.write(tmp_path, ENTRY, "agents.v2", AGENTS)
