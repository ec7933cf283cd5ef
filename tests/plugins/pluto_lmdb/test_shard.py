"""What only LMDB shards must survive: growth, forks, pickling, many files, cut and full files."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import lmdb
import pytest

from pluto_core import PlutoError
from pluto_core.component import Context, load
from pluto_lmdb import environments, hooks
from pluto_lmdb.config import LmdbConfig
from pluto_lmdb.shard import LmdbShards


def shard_at(path, count=50, size=5000, **options):
    writer = LmdbShards(**options).create(path)
    for number in range(count):
        writer.put(b"%04d" % number, bytes([number % 256]) * size)
    writer.seal()
    return LmdbShards().open(path)


def read_in_child(path, results):
    results.put(LmdbShards().open(path).get(b"0007"))


def test_the_hook_names_what_exists():
    """The registered import strings lead to a store with the defaults of its config."""
    (component,) = hooks.pluto_register_caches()
    store = load(component.factory)(load(component.config)(), Context())
    assert (store.shared, store.suffix) == (True, ".lmdb")


def test_growth(tmp_path):
    """A file grows far beyond its first map, nothing is lost, and its size is that of its content."""
    reader = shard_at(tmp_path / "a.lmdb", count=200, size=20_000, first_map=1 << 16)
    assert len(reader.keys()) == 200
    assert reader.get(b"0199") == bytes([199]) * 20_000
    assert (tmp_path / "a.lmdb").stat().st_size < 1.3 * 200 * 20_000
    assert os.listdir(tmp_path) == ["a.lmdb"]  # noqa: PTH208 -- no lock file beside it


@pytest.mark.parametrize("key", [b"", b"k" * 512])
def test_keys_that_lmdb_cannot_hold(tmp_path, key):
    """An empty or over-long key is refused with its length; what was put before stays."""
    writer = LmdbShards().create(tmp_path / "a.lmdb")
    writer.put(b"a", b"1")
    with pytest.raises(PlutoError, match=f"not {len(key)}"):
        writer.put(key, b"2")
    writer.seal()
    assert LmdbShards().open(tmp_path / "a.lmdb").keys() == [b"a"]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_other_processes(tmp_path, method):
    """Stores and readers pickle, and processes of either kind read while this one has the file open."""
    reader = shard_at(tmp_path / "a.lmdb")
    assert reader.get(b"0007") == b"\x07" * 5000
    assert pickle.loads(pickle.dumps(reader)).get(b"0008") == b"\x08" * 5000  # noqa: S301
    context = multiprocessing.get_context(method)
    with context.Pool(1) as pool:
        assert pool.apply(pickle.loads(pickle.dumps(LmdbShards())).open(tmp_path / "a.lmdb").get, (b"0007",)) == b"\x07" * 5000  # noqa: S301


def test_fork(tmp_path):
    """A forked child reads a file that its parent has open, and the parent goes on."""
    reader = shard_at(tmp_path / "a.lmdb")
    value = reader.get(b"0007")
    for _ in range(3):
        child = os.fork()
        if not child:
            fine = reader.get(b"0007") == value and LmdbShards().open(tmp_path / "a.lmdb").get(b"0008") == b"\x08" * 5000
            os._exit(0 if fine else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert reader.get(b"0007") == value


def test_few_files_stay_open(tmp_path):
    """However many shards are read by however many threads, no more than the limit stay open."""
    for number in range(12):
        shard_at(tmp_path / f"{number}.lmdb", count=5).close()
    store = LmdbShards(LmdbConfig(open_shards=3))
    readers = [store.open(tmp_path / f"{number}.lmdb") for number in range(12)]

    def read(number):
        return readers[number % 12].get(b"%04d" % (number % 5)) == bytes([number % 5]) * 5000

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(600)))
    assert readers[0].get(b"0001")
    assert len(environments._registry.open) <= 3 + 8
    for reader in readers:
        reader.close()
    assert not [name for name in environments._registry.open if str(tmp_path) in name]


def test_open_files_are_left_to_the_rest_of_the_process(tmp_path, monkeypatch):
    """Where the system allows few open files, shards take half of them, whatever the setting says."""
    monkeypatch.setattr(environments.resource, "getrlimit", lambda _which: (8, 8))
    for number in range(9):
        shard_at(tmp_path / f"{number}.lmdb", count=5).get(b"0001")
    assert len([name for name in environments._registry.open if str(tmp_path) in name]) == 4
    monkeypatch.setattr(environments.resource, "getrlimit", lambda _which: (environments.resource.RLIM_INFINITY,) * 2)
    for number in range(9, 30):
        shard_at(tmp_path / f"{number}.lmdb", count=5).get(b"0001")
    assert len([name for name in environments._registry.open if str(tmp_path) in name]) == 4 + 21


def test_a_file_that_was_cut_off(tmp_path):
    """A file that lost its end is refused by its length, before reading beyond it could kill the process."""
    path = tmp_path / "a.lmdb"
    shard_at(path).close()
    whole = path.stat().st_size
    for size in (0, 100, 4096, whole // 2, whole - 1):
        os.truncate(path, size)
        with pytest.raises(PlutoError, match=r"a\.lmdb"):
            LmdbShards().open(path)


def test_a_damaged_tree(tmp_path):
    """Pages full of noise are an error with the file's name, not a wrong value."""
    path = tmp_path / "a.lmdb"
    shard_at(path).close()
    with lmdb.open(str(path), subdir=False, readonly=True, lock=False) as environment:
        pages = environment.stat()["branch_pages"] + environment.stat()["leaf_pages"]
    assert pages
    content = bytearray(path.read_bytes())
    for start in range(2 * 4096, len(content), 4096):
        content[start : start + 16] = b"\xaa" * 16
    path.write_bytes(content)
    with pytest.raises((PlutoError, KeyError)):
        LmdbShards().open(path).get(b"0007")


FULL = """
import resource, sys
from pathlib import Path
from pluto_lmdb.shard import LmdbShards
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
writer = LmdbShards().create(Path(sys.argv[1]))
for number in range(1000):
    try:
        writer.put(b"%04d" % number, bytes([number % 256]) * 5000)
    except OSError:
        break
print(number, flush=True)
writer.seal()
"""

FOREVER = """
import sys
from pathlib import Path
from pluto_lmdb.shard import LmdbShards
writer = LmdbShards().create(Path(sys.argv[1]))
for number in range(100_000):
    writer.put(b"%06d" % number, bytes([number % 256]) * 5000)
    if number % 10 == 0:
        print(number, flush=True)
"""


def environment_with_path():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def test_a_full_disk(tmp_path):
    """When the disk is full `put` is an OSError, and what was put before can be sealed and read."""
    path = tmp_path / "a.lmdb"
    done = subprocess.run(
        [sys.executable, "-c", FULL, path], env=environment_with_path(), capture_output=True, text=True, check=True, timeout=60
    )
    count = int(done.stdout)
    assert 20 < count < 100
    assert LmdbShards().open(path).keys() == [b"%04d" % number for number in range(count)]


def test_a_killed_writer(tmp_path):
    """Of a writer that was killed, every value whose `put` had returned is there and right."""
    path = tmp_path / "a.lmdb"
    writer = subprocess.Popen(
        [sys.executable, "-c", FOREVER, path], env=environment_with_path(), stdout=subprocess.PIPE, text=True
    )
    with writer:
        said = 0
        while said < 300:
            said = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split()
    last = max([said, *map(int, rest)])
    keys = LmdbShards().open(path).keys()
    assert keys == [b"%06d" % number for number in range(len(keys))]
    assert len(keys) > last
    values = LmdbShards().open(path).get_many(keys)
    assert all(value == bytes([number % 256]) * 5000 for number, value in enumerate(values))


def test_lent_values(tmp_path):
    """Values are lent as they are, the file stays open meanwhile, and a key that is not there is named."""
    path = tmp_path / "a.lmdb"
    writer = LmdbShards().create(path)
    content = {b"%d" % number: os.urandom(1 + 700 * number) for number in range(20)}
    for key, value in content.items():
        writer.put(key, value)
    writer.seal()
    reader = LmdbShards().open(path)
    keys = list(content)[::-1]
    with reader.lend(keys) as values:
        reader.close()
        assert [bytes(value) for value in values] == [content[key] for key in keys]
    with pytest.raises(KeyError, match="nobody"), reader.lend([b"1", b"nobody"]):
        pass
    assert reader.get(b"3") == content[b"3"]
