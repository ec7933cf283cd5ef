"""What is packed or nested: small files that would fill the memory or the stack are refused before they do."""

import contextlib
import gzip
import json
import os
import pickle
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluto_core.errors import PlutoError, SampleError
from pluto_core.pipeline import profiles
from pluto_core.pipeline.profiles import Codec
from pluto_core.places.files import parsed
from pluto_core.scene import ScenarioId
from pluto_core.testing.isolation import python
from pluto_devkit import gzip_cache, trees
from pluto_devkit.gzip_cache import Entry
from pluto_devkit.pickles import read_pickle
from pluto_nuplan.maps import mapfile
from pluto_nuplan.maps.mapfile import DamagedError

BOMBS = """
import gzip, resource, sys
from pathlib import Path
from pluto_core.errors import SampleError
from pluto_devkit import gzip_cache
from pluto_devkit.gzip_cache import Entry
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
root = Path(sys.argv[1])
entry = Entry("log", "type", "token")
entry.folder(root).mkdir(parents=True)
(entry.folder(root) / "x.gz").write_bytes(gzip.compress(bytes(1 << 20)) * 300)
try:
    gzip_cache.read(root, entry, "x")
except SampleError as error:
    print(error.detail)
"""


def test_a_gzip_bomb(tmp_path):
    """A file that unpacks to more than features have is refused by its size, not by the end of the memory."""
    assert "unpacks to more than 256 MB" in python(BOMBS, str(tmp_path))


@pytest.mark.parametrize(
    "content", [b"", b"\x1f\x8b", gzip.compress(b"", mtime=0), gzip.compress(b"x" * 100, mtime=0)[:-9], b"x" * 50]
)
def test_gzip_files_that_are_none(content, tmp_path):
    """Empty, cut off and foreign files are damage, with their path."""
    folder = Entry("log", "type", "token").folder(tmp_path)
    folder.mkdir(parents=True)
    (folder / "x.gz").write_bytes(content)
    with pytest.raises(SampleError, match=r"x\.gz"):
        gzip_cache.read(tmp_path, Entry("log", "type", "token"), "x")


def test_a_pipe_for_a_gzip_file(tmp_path):
    """A pipe in the place of a feature is damage, not a reader that waits for ever."""
    folder = Entry("log", "type", "token").folder(tmp_path)
    folder.mkdir(parents=True)
    os.mkfifo(folder / "x.gz")
    with pytest.raises(SampleError, match="no regular file"):
        gzip_cache.read(tmp_path, Entry("log", "type", "token"), "x")


def array_pickle(shape, dtype, data):
    """A pickle of an array that says of itself what it likes."""
    return (
        b"\x80\x04cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01"
        + pickle.dumps(shape, 4)[2:-1]
        + b"cnumpy\ndtype\n"
        + pickle.dumps((dtype, False, True), 4)[2:-1]
        + b"R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        + pickle.dumps(data, 4)[2:-1]
        + b"tb."
    )


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((10**12,), "S0"),
        ((10**6,), "S0"),
        ((10**10,), "U0"),
        ((2**40, 2**40), "f8"),
        ((-1,), "f8"),
        ((2,), "O8"),
        ((2,), "V8"),
        ((0, 10**30), "f8"),
        ((2.0,), "f8"),
    ],
)
def test_arrays_of_hostile_size(shape, dtype):
    """Arrays that take no bytes of the pickle but memory, negative sizes, objects and records are refused."""
    with pytest.raises(SampleError):
        read_pickle(array_pickle(shape, dtype, b"12345678"))
    with pytest.raises(SampleError):
        read_pickle(array_pickle(shape, dtype, b""))


@settings(max_examples=40)
@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.floats(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_layouts_of_any_form(layout):
    """Whatever JSON stands where a feature's layout should, following it ends in a value or in damage."""
    arrays = {
        "layout": np.frombuffer(json.dumps(layout).encode(), np.uint8),
        "int64": np.arange(4),
        "uint8": np.zeros(4, np.uint8),
    }
    with contextlib.suppress(SampleError):
        trees.decode(arrays)


@pytest.mark.parametrize(
    "layout",
    [
        ["s", "O", [1]],
        ["s", "S0", [10**12]],
        ["a", "int64", [10**12]],
        ["a", "int64", [-1]],
        ["b", "O", [1]],
        ["r", "l", 10**12, ["a", "int64", [4]]],
        ["x", "int64", [1]],
    ],
)
def test_layouts_of_hostile_size(layout):
    """Sizes that are not there, objects and unknown kinds are damage."""
    with pytest.raises(SampleError):
        trees.decode(
            {
                "layout": np.frombuffer(json.dumps(layout).encode(), np.uint8),
                "int64": np.arange(4),
                "uint8": np.zeros(9, np.uint8),
            }
        )


def test_text_nested_without_end():
    """JSON that is deeper than Python reads is no JSON, wherever it stands."""
    with pytest.raises(ValueError, match="nested too deeply"):
        parsed("[" * 10**6)
    with pytest.raises(SampleError):
        trees.decode({"layout": np.frombuffer(b'["l",[' * 10**5, np.uint8)})


@pytest.mark.parametrize("codec", [Codec.LZ4, Codec.ZSTD])
def test_one_array_has_a_limit(codec):
    """A packed array unpacks to 256 MB at most, also where its bytes could hold more; larger ones are stored as they are."""
    most = profiles.LARGEST_PACKED
    with pytest.raises(ValueError, match="cannot hold"):
        profiles.unpack(codec, memoryview(bytes(most // 256 + 10)), most + 1)
    with pytest.raises(ValueError, match="cannot hold"):
        profiles.check_claims(np.asarray([[int(codec)]]), np.asarray([[most]]), np.asarray([[most + 1.0]]))


@pytest.mark.parametrize("key", ["log/t@1²", "log/t@" + "9" * 30, "log/t@-", "t@1", "log/t", "", "@", "/@", "log/t@1e5"])
def test_keys_that_are_none(key):
    """A key whose time is no number of 64 bits is refused by name."""
    with pytest.raises(PlutoError, match="no scenario key"):
        ScenarioId.from_key(key)


@pytest.fixture
def built(tmp_path):
    """A file of arrays as built maps are kept."""
    mapfile.write(tmp_path / "a.map", {"x": np.arange(6.0).reshape(2, 3), "y": np.zeros(0, np.int64)}, {"identity": {}})
    return tmp_path / "a.map"


@pytest.mark.parametrize(
    "entry",
    [
        ["x", "<f8", [10**12], False, 0],
        ["x", "<f8", [2, 3], False, 10**12],
        ["x", "<f8", [2, 3], False, -64],
        ["x", "|O", [1], False, 0],
        ["x", "<f8", [-2, -3], False, 0],
        ["x", "nonsense", [1], False, 0],
        ["x"],
        5,
    ],
    ids=str,
)
def test_files_of_built_maps(built, entry):
    """A built map whose header is sound by its checksum and lies is damaged, and is built anew."""
    content = built.read_bytes()
    size = int.from_bytes(content[8:16], "little")
    about = json.loads(content[24 : 24 + size]) | {"arrays": [entry]}
    header = json.dumps(about).encode().ljust(size)
    header = header if len(header) == size else json.dumps(about | {"digest": ""}).encode().ljust(size)
    assert len(header) == size
    built.write_bytes(content[:16] + zlib.crc32(header).to_bytes(4, "little") + content[20:24] + header + content[24 + size :])
    with pytest.raises(DamagedError):
        mapfile.read(built)


@settings(max_examples=30)
@given(st.data())
def test_any_bytes_of_a_built_map(tmp_path_factory, data):
    """Whatever bytes of a built map are changed, it is read or damaged; nothing else is raised."""
    path = tmp_path_factory.mktemp("built") / "a.map"
    mapfile.write(path, {"x": np.arange(6.0)}, {"identity": {}})
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(DamagedError):
        mapfile.read(path)
