"""The cache does not depend on the worker, on how many there are, on the order, or on the parts of an array job."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "core"))

import cache_world as world

from pluto_basics.workers.processes import Processes
from pluto_basics.workers.sequential import Sequential
from pluto_basics.workers.threads import Threads
from pluto_core.pipeline import maintenance
from pluto_core.pipeline.parts import Part

WANTED = world.listing(7, 12, special=("lost-1", "nan-2"))
SHUFFLED = WANTED.take(np.random.default_rng(3).permutation(len(WANTED)))

TABLE = {
    "threads 3": (Threads(3), WANTED, 1),
    "processes 2, replaced after 40": (Processes(2, max_units=40), WANTED, 1),
    "shuffled": (Sequential(), SHUFFLED, 1),
    "shuffled, threads 2": (Threads(2), SHUFFLED, 1),
    "shards 0/3, 1/3, 2/3": (Sequential(), WANTED, 3),
    "shuffled, shards of 9, threads 2": (Threads(2), SHUFFLED, 9),
}
MORE = {
    "processes 1": (Processes(1), WANTED, 1),
    "processes 2": (Processes(2), WANTED, 1),
    "processes 3, shuffled": (Processes(3), SHUFFLED, 1),
    "shards of 2, processes 2": (Processes(2), WANTED, 2),
}


def made(path, worker, wanted, parts):
    """Return every key and value, and every failure, that some worker gives; parts are done last one first."""
    folder = world.folder_at(path)
    for number in reversed(range(parts)):
        part = Part(number, parts)
        world.cache(folder, wanted.take(part.rows(wanted)), worker=worker, part=part.name if parts > 1 else "all")
    held = [key for stamp in folder.shards.sealed() for key in folder.shards.keys(stamp)]
    assert len(held) == len(set(held))
    assert maintenance.info(folder)["samples"] == 7 * 12
    return world.content(folder), {key: (one.reason, one.detail) for key, one in folder.failures().items()}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Return what the sequential worker gives."""
    return made(tmp_path_factory.mktemp("sequential"), Sequential(), WANTED, 1)


@pytest.mark.parametrize("row", TABLE)
def test_equal(tmp_path, expected, row):
    """Keys, bytes of every value and failures are those of the sequential worker; no key is written twice."""
    assert made(tmp_path, *TABLE[row]) == expected
    assert len(expected[0]) == 7 * (12 * 2 + 1)


def test_threads_fill_a_cache_in_memory(tmp_path, expected):
    """Threads may share what is in the memory of their process."""
    folder = world.folder_at(tmp_path, "memory")
    world.cache(folder, WANTED, worker=Threads(3))
    assert world.content(folder) == expected[0]


@pytest.mark.slow
@pytest.mark.parametrize("row", MORE)
def test_equal_slow(tmp_path, expected, row):
    """The same for more processes."""
    assert made(tmp_path, *MORE[row]) == expected
