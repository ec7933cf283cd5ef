"""Rows that lie anywhere in memory come to lie behind one another."""

import mmap
import tracemalloc

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


def test_rows_on_both_sides_of_the_target_need_no_second_buffer():
    """Where rows lie before the target and behind it, they are copied at once as well: little memory is used meanwhile."""
    size, count = 1 << 16, 16
    around = np.random.default_rng(0).integers(0, 255, 3 * count * size, np.uint8)
    target = around[count * size : 2 * count * size]
    places = [*range(0, count * size, 2 * size), *range(2 * count * size, 3 * count * size, 2 * size)]
    for order in (places, places[::-1], [place for pair in zip(places[:8], places[8:], strict=True) for place in pair]):
        rows = [around[place : place + size] for place in order]
        tracemalloc.start()
        gathering(rows, target)()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        np.testing.assert_array_equal(target, np.concatenate(rows))
        assert most < target.nbytes / 4
