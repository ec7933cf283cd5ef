"""Shards that somebody made to hurt: reading one ends in values or in a message, not in the end of the process."""

import os
import struct

import pytest

from pluto_basics.stores_files import FileShards, _file_of
from pluto_core.errors import PlutoError
from pluto_core.testing.isolation import python
from pluto_lmdb.pages import require_sound
from pluto_lmdb.shard import LmdbShards

KEYS = [b"feature|2021.05.12.19.36.12_veh-35_00005_00204/%016x@%d" % (number, number) for number in range(400)]
PAGE = 4096
ROOT = 88 + 40
"""Place of the root of the keys in a page about the file."""


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    """A shard with branch pages, leaf pages and long values."""
    path = tmp_path_factory.mktemp("shard") / "a.lmdb"
    writer = LmdbShards().create(path)
    for number, key in enumerate(KEYS):
        writer.put(key, bytes([number % 256]) * (9000 if number % 9 == 0 else 100))
    writer.seal()
    return path


def newest(content):
    """Where the page about the file that counts begins."""
    return max(range(0, 2 * PAGE, PAGE), key=lambda at: struct.unpack_from("<Q", content, at + 144)[0])


def root_of(content):
    """Where the root page begins."""
    return PAGE * struct.unpack_from("<Q", content, newest(content) + ROOT)[0]


def first_leaf(content):
    """Where the first leaf begins, found as LMDB finds it."""
    at = root_of(content)
    while struct.unpack_from("<H", content, at + 10)[0] == 1:
        node = at + struct.unpack_from("<H", content, at + 16)[0]
        low, high = struct.unpack_from("<HH", content, node)
        at = PAGE * (low | high << 16)
    return at


def long_value(content):
    """Where the number of the page of a long value stands."""
    leaf = first_leaf(content)
    for slot in range((struct.unpack_from("<H", content, leaf + 12)[0] - 16) // 2):
        node = leaf + struct.unpack_from("<H", content, leaf + 16 + 2 * slot)[0]
        flags, key_size = struct.unpack_from("<HH", content, node + 4)
        if flags:
            return node, node + 8 + key_size
    raise AssertionError


def put(place, form, *numbers):
    """Return a change of some bytes; `place` may depend on the content."""

    def change(content):
        struct.pack_into(form, content, place(content) if callable(place) else place, *numbers)

    return change


def everywhere(place, form, *numbers):
    """Return the same change of both pages about the file."""

    def change(content):
        for at in (0, PAGE):
            struct.pack_into(form, content, at + place, *numbers)

    return change


HOSTILE = {
    "no magic": (everywhere(16, "<I", 7), "no LMDB shard"),
    "another version": (everywhere(20, "<I", 2), "no LMDB shard"),
    "pages of no size": (everywhere(40, "<I", 0), "pages of 0 bytes"),
    "pages of a byte": (everywhere(40, "<I", 1), "pages of 1 bytes"),
    "vast pages": (everywhere(40, "<I", 2**31), "pages of 2147483648 bytes"),
    "small pages": (everywhere(40, "<I", 512), "shard"),
    "other tables": (everywhere(88 + 4, "<H", 4), "other tables"),
    "more pages than bytes": (everywhere(136, "<Q", 2**40), "cut off"),
    "most pages": (everywhere(136, "<Q", 2**64 - 2), "cut off"),
    "a root beyond": (everywhere(ROOT, "<Q", 2**50), "a page outside of the file"),
    "a root before": (everywhere(ROOT, "<Q", 1), "a page outside of the file"),
    "a root of another kind": (put(lambda content: root_of(content) + 10, "<H", 4), "a page of another kind"),
    "a table of odd length": (put(lambda content: root_of(content) + 12, "<H", 19), "no table"),
    "a long table": (put(lambda content: root_of(content) + 12, "<H", 65_534), "no table"),
    "a short branch": (put(lambda content: root_of(content) + 12, "<H", 18), "no table"),
    "no table": (put(lambda content: first_leaf(content) + 12, "<H", 0), "no table"),
    "nodes beyond": (put(lambda content: first_leaf(content) + 14, "<H", 65_535), "no table"),
    "a node beyond": (put(lambda content: first_leaf(content) + 16, "<H", 65_535), "a node outside"),
    "a long key": (
        put(
            lambda content: first_leaf(content) + struct.unpack_from("<H", content, first_leaf(content) + 16)[0] + 6, "<H", 512
        ),
        "a key that is too long",
    ),
    "a value beyond its page": (
        put(lambda content: first_leaf(content) + struct.unpack_from("<H", content, first_leaf(content) + 18)[0], "<I", 2**30),
        "a value outside of its page",
    ),
    "a value of values": (
        put(lambda content: first_leaf(content) + struct.unpack_from("<H", content, first_leaf(content) + 18)[0] + 4, "<H", 2),
        "a value of another kind",
    ),
    "a long value beyond": (put(lambda content: long_value(content)[1], "<Q", 2**40), "a value outside of the file"),
    "a value of 4 GB": (put(lambda content: long_value(content)[0], "<I", 2**32 - 1), "a value outside of the file"),
}


@pytest.mark.parametrize(("change", "said"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_pages(shard, tmp_path, change, said):
    """Each lie that LMDB would follow out of the file is refused before LMDB opens it, with the file's name."""
    content = bytearray(shard.read_bytes())
    change(content)
    path = tmp_path / "b.lmdb"
    path.write_bytes(content)
    with pytest.raises(PlutoError, match=rf"b\.lmdb .*{said}"):
        LmdbShards().open(path)


def test_a_circle_of_branches(shard, tmp_path):
    """A branch page that leads to itself is refused."""
    content = bytearray(shard.read_bytes())
    root = root_of(content)
    node = root + struct.unpack_from("<H", content, root + 18)[0]
    struct.pack_into("<HHH", content, node, *(root // PAGE >> shift & 0xFFFF for shift in (0, 16, 32)))
    (tmp_path / "b.lmdb").write_bytes(content)
    with pytest.raises(PlutoError, match="a page that is reached twice"):
        LmdbShards().open(tmp_path / "b.lmdb")


def test_sound_shards_are_sound(shard, tmp_path):
    """Shards as they are written pass: full, empty, with one value, and while a writer has them open."""
    require_sound(shard)
    assert LmdbShards().open(shard).keys() == KEYS
    path = tmp_path / "c.lmdb"
    writer = LmdbShards(first_map=1 << 20).create(path)
    require_sound(path)
    for number in range(300):
        writer.put(b"%d" % number, os.urandom(number * 40))
        require_sound(path)
    writer.seal()
    assert len(LmdbShards().open(path).keys()) == 300


FLIPS = """
import random, resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
from pluto_core.errors import PlutoError
from pluto_lmdb.shard import LmdbShards
whole, path, begin, end = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
tree = [at for at in range(0, len(whole), 4096) if int.from_bytes(whole[at + 10 : at + 12], "little") & 0xB]
read = 0
for seed in range(begin, end):
    chance = random.Random(seed)
    content = bytearray(whole)
    for _ in range(chance.choice([1, 1, 2, 4, 32])):
        page = chance.choice(tree)
        place = chance.choice([chance.randrange(160), chance.randrange(4096)])
        content[page + place] = chance.choice([0, 1, 2, 127, 128, 255, chance.randrange(256)])
    if chance.random() < 0.1:
        del content[chance.randrange(len(content)) :]
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    try:
        reader = LmdbShards().open(path)
    except PlutoError:
        continue
    try:
        keys = reader.keys()
        for key in keys:
            try:
                reader.get(key)
            except KeyError:
                pass
        with reader.lend(keys[:5]) as values:
            sum(map(sum, values))
        read += 1
    except (PlutoError, KeyError):
        pass
    finally:
        reader.close()
print("alive", read)
"""


@pytest.mark.parametrize(("begin", "end"), [(0, 100), pytest.param(100, 1100, marks=pytest.mark.slow)])
def test_any_bytes_of_the_tree(shard, tmp_path, begin, end):
    """Whatever bytes of pages are changed: the process that opens and reads all of it lives on, in 3 GB of addresses."""
    word, read = python(FLIPS, str(shard), str(tmp_path / "b.lmdb"), str(begin), str(end)).split()
    assert word == "alive"
    assert 0 < int(read) < end - begin


@pytest.mark.parametrize("head", [b"", b"\xff", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f" + b"x" * 100])
def test_files_with_a_hostile_key(head, tmp_path):
    """The length of a key in the store `files` is believed as far as the file goes; what is damaged is left out."""
    writer = FileShards().create(tmp_path / "a.files")
    writer.put(b"f|log/t@1", b"value")
    writer.seal()
    (tmp_path / "a.files" / f"{'0' * 32}.value").write_bytes(head)
    os.mkfifo(tmp_path / "a.files" / f"{'1' * 32}.value")
    reader = FileShards().open(tmp_path / "a.files")
    assert reader.keys() == [b"f|log/t@1"]
    assert reader.get(b"f|log/t@1") == b"value"


def test_files_with_a_long_key(tmp_path):
    """A key that would widen every row of an index is not written, and not listed where somebody else wrote it."""
    store = FileShards()
    writer = store.create(tmp_path / "a.files")
    writer.put(b"k" * 4096, b"value")
    with pytest.raises(PlutoError, match="keys of up to 4096 bytes, not 4097"):
        writer.put(b"k" * 4097, b"value")
    long = b"k" * 5000
    _file_of(tmp_path / "a.files", long).write_bytes(struct.pack("<I", len(long)) + long + b"value")
    assert store.open(tmp_path / "a.files").keys() == [b"k" * 4096]
