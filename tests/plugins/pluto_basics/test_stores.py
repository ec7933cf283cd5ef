"""What only folders of files and shards in memory must do."""

import errno

import pytest

from pluto_basics import stores_files
from pluto_basics.config import FilesConfig, MemoryConfig
from pluto_basics.stores_files import make as make_files
from pluto_basics.stores_memory import make as make_memory
from pluto_core import PlutoError
from pluto_core.component import Context


def test_a_file_a_value(tmp_path):
    """Every value is one file; what a killed writer left half done is not seen."""
    store = make_files(FilesConfig(), Context())
    writer = store.create(tmp_path / "a.files")
    for number in range(5):
        writer.put(b"k%d" % number, b"v" * number)
    (tmp_path / "a.files" / "0123.new").write_bytes(b"half")
    reader = store.open(tmp_path / "a.files")
    assert reader.keys() == [b"k%d" % number for number in range(5)]
    assert len(list((tmp_path / "a.files").glob("*.value"))) == 5


@pytest.mark.parametrize("place", [0, 2, 4, 6])
def test_a_damaged_file(tmp_path, place):
    """A file with a flipped bit in its length or key is not listed and never given out; the others are."""
    store = make_files(FilesConfig(), Context())
    writer = store.create(tmp_path / "a.files")
    writer.put(b"first", b"1")
    path = next((tmp_path / "a.files").glob("*.value"))
    writer.put(b"second", b"2")
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    reader = store.open(tmp_path / "a.files")
    assert reader.keys() == [b"second"]
    with pytest.raises(KeyError):
        reader.get(b"first")


def test_a_file_that_cannot_be_read_now(tmp_path, monkeypatch):
    """A disk that fails, or a process with too many files open, does not pass for a value that is not there."""
    store = make_files(FilesConfig(), Context())
    store.create(tmp_path / "a.files").put(b"k", b"v")
    (tmp_path / "a.files" / "folder.value").mkdir()
    (tmp_path / "a.files" / "circle.value").symlink_to("circle.value")
    reader = store.open(tmp_path / "a.files")
    assert reader.keys() == [b"k"]

    def fail(path):
        raise OSError(errno.EMFILE, "too many open files", str(path))

    monkeypatch.setattr(stores_files, "opened", fail)
    with pytest.raises(OSError, match="too many open files"):
        reader.keys()


def test_memory_is_of_this_process(tmp_path):
    """Shards in memory say that they cannot be shared, leave no file, and can be given back."""
    store = make_memory(MemoryConfig(), Context())
    assert not store.shared
    store.create(tmp_path / "a").put(b"k", b"v")
    assert store.open(tmp_path / "a").get(b"k") == b"v"
    assert not list(tmp_path.iterdir())
    store.discard(tmp_path / "a")
    store.discard(tmp_path / "a")
    with pytest.raises(PlutoError, match="memory"):
        store.open(tmp_path / "a")
