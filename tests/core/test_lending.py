"""Memory that batches are made in: lent by the store, shared between processes, kept when it is freed."""

import gc
import platform
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cache_world as world

from pluto_core.pipeline.allocator import keep_freed_memory
from pluto_core.pipeline.shared import SharedBuffer

TAGS = ("agents", "future")


def open_files():
    """Return the number of open files of this process; what earlier tests left to the collector is closed before."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def test_freed_memory_is_kept():
    """The C library glibc takes what it is told; other C libraries are left alone."""
    assert keep_freed_memory() is (platform.libc_ver()[0] == "glibc")


@pytest.mark.parametrize("store", ["lmdb", "files", "memory"])
def test_lent_samples_are_those_that_are_read(tmp_path, store):
    """Whatever the store, samples that are lent for a moment are the same; those that are missing are named."""
    made = world.folder_at(tmp_path / "cache", store)
    world.cache(made, world.listing(2, 6))
    reader = made.reader(TAGS)
    keys = list(reader.keys)[::-1]
    whole = reader.get_many(keys)
    with reader.lend_columns(keys) as lent:
        for row, sample in enumerate(whole):
            assert list(lent) == list(sample)
            for key, column in lent.items():
                array = column.array(row)
                assert not array.flags.writeable
                np.testing.assert_array_equal(array, sample[key])
    with reader.lend_columns(keys, {"future"}) as lent:
        assert list(lent) == ["future"]
    with pytest.raises(KeyError, match="nothing"), reader.lend_columns(["log/nothing@1"]):
        pass


def test_shared_memory_grows_without_moving_what_is_seen():
    """A view stays what it was when the buffer grows, and nothing is left when it is closed."""
    before = open_files()
    buffer = SharedBuffer.make()
    view = buffer.take(1000)
    view[:] = 7
    larger = buffer.take(1_000_000)
    assert (larger[:1000] == 7).all()
    larger[0] = 8
    assert view[0] == 8
    buffer.close()
    assert larger[0] == 8
    del view, larger
    assert open_files() == before
