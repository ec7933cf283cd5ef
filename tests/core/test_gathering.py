"""Rows that lie anywhere in memory come to lie behind one another."""

import mmap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluto_core.pipeline.gathering import gathering


@given(
    begins=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40)), min_size=1, max_size=12),
    pieces=st.integers(1, 9),
    unit=st.sampled_from([1, 16, 64, 128, 384]),
)
def test_rows_are_copied_behind_one_another(begins, pieces, unit):
    """Wherever rows begin, near each other or far, once or twice: the target holds their bytes, and nothing else changes."""
    size = pieces * unit
    sources = [np.random.default_rng(number).integers(0, 255, 40 * unit + size, np.uint8) for number in range(3)]
    rows = [sources[source][begin * unit : begin * unit + size] for source, begin in begins]
    around = np.full(len(rows) * size + 256, 7, np.uint8)
    first = -around.ctypes.data % 64
    target = around[first : first + len(rows) * size]
    gathering(rows, target)()
    np.testing.assert_array_equal(target, np.concatenate(rows))
    assert (around[:first] == 7).all()
    assert (around[first + len(rows) * size :] == 7).all()


@pytest.mark.parametrize("offset", [0, 64, 32])
def test_rows_of_several_files(tmp_path, offset):
    """Rows of files that are mapped into memory, read-only and of any shape and dtype, are those of the target."""
    rows = []
    for number in range(3):
        path = tmp_path / str(number)
        path.write_bytes(np.random.default_rng(number).integers(0, 255, 1 << 16, np.uint8).tobytes())
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        rows.append(np.ndarray((16, 24), np.float32, mapped, offset + 4096 * number + (offset == 32) * 8 * number))
    target = np.zeros(3 * 16 * 24 * 4, np.uint8)
    gathering(rows, target)()
    assert target.tobytes() == b"".join(row.tobytes() for row in rows)
