"""While a batch is in use the next one is being filled: nothing changes by that, and nothing is left over."""

import contextlib
import gc
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cache_world as world

from pluto_core import arrays
from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.pipeline import beside, fields
from pluto_core.pipeline.loader import BatchLoader
from pluto_core.settings import LoaderSettings

TAGS = ("agents", "future")
PATIENCE_S = 60.0


class Watched:
    """A reader that says how often its samples are lent now; some of them are damaged, or cannot be read at all."""

    def __init__(self, reader, damaged=(), lost=()):
        self.reader, self.damaged, self.lost = reader, frozenset(damaged), frozenset(lost)
        self.lent, self.most = 0, 0

    @contextlib.contextmanager
    def lend_columns(self, keys, names=None):
        """Lend samples, and count."""
        self._ask(keys)
        with self.reader.lend_columns(keys, names) as columns:
            self.lent += 1
            self.most = max(self.most, self.lent)
            try:
                yield columns
            finally:
                self.lent -= 1

    def get_many(self, keys):
        """Return samples."""
        self._ask(keys)
        return self.reader.get_many(keys)

    def _ask(self, keys):
        if not self.lost.isdisjoint(keys):
            message = "the disk is gone"
            raise OSError(message)
        if not self.damaged.isdisjoint(keys):
            raise SampleError(Reason.DAMAGED_VALUE, "broken")


@pytest.fixture(params=["raw", "default", "small"])
def folder(tmp_path, monkeypatch, request):
    """Return a cache of 24 samples, most arrays of which are large enough to be left to the thread beside, in pieces."""
    monkeypatch.setattr(fields, "LARGE", 4096)
    monkeypatch.setattr(fields, "HEAVY", 1024)
    monkeypatch.setattr(fields, "PIECE", 3 * 8192)
    made = world.folder_at(tmp_path / "cache")
    world.cache(made, world.listing(2, 12), profile=request.param)
    return made


def loader(reader, *, slots=4, **settings):
    return BatchLoader(
        reader,
        world.listing(2, 12),
        spec=arrays.join([(tag, builder.spec) for tag, builder in world.builders(TAGS)]),
        settings=LoaderSettings(**{"batch_size": 5, "threads": 2} | settings),
        part="train",
        seed=3,
        slots=slots,
    )


def ids(batches):
    return [[one.key for one in batch.ids] for batch in batches]


@pytest.mark.parametrize("skip", [0, 2])
def test_batches_are_the_same(folder, skip):
    """Two threads, the one ahead of the other, give the batches of one, to the last byte, for as long as promised."""
    one = loader(folder.reader(TAGS), threads=1).batches(1, skip=skip)
    held = []
    for ours in loader(folder.reader(TAGS), slots=2).batches(1, skip=skip):
        theirs = next(one)
        assert ours.ids == theirs.ids
        held.append((ours, {key: array.copy() for key, array in theirs.arrays.items()}))
        for batch, content in held[-2:]:
            for key, array in content.items():
                np.testing.assert_array_equal(batch.arrays[key], array, err_msg=key)
    assert not list(one)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("how", "error"), [("damaged", PlutoError), ("lost", OSError)])
def test_a_mistake_comes_when_it_is_its_turn(folder, how, error, threads):
    """Batches before the one that cannot be read are given out first; then the mistake is raised, and nothing stays lent."""
    order = ids(loader(folder.reader(TAGS)).batches(0))
    reader = Watched(folder.reader(TAGS), **{how: order[2][1:2]})
    given = []
    with pytest.raises(error, match=r"broken|gone"):
        given.extend([one.key for one in batch.ids] for batch in loader(reader, threads=threads).batches(0))
    assert given == order[:2]
    assert not reader.lent


@pytest.mark.parametrize("taken", [1, 2, 5])
def test_nothing_stays_lent(folder, taken):
    """Of an epoch that is left early, or ends, no sample stays lent; meanwhile those of two batches are."""
    reader = Watched(folder.reader(TAGS))
    batches = loader(reader).batches(0)
    for _ in range(taken):
        next(batches)
    assert reader.lent == (taken < 5)
    assert reader.most == 2
    batches.close()
    assert not reader.lent


def test_what_stands_in_for_a_sample_stands_in_its_batch_alone(folder):
    """A damaged sample of a batch that is read ahead is replaced as without reading ahead, in the first epoch and later."""
    order = ids(loader(folder.reader(TAGS)).batches(0))
    bad = [order[0][0], order[3][2]]
    made, plain = (loader(Watched(folder.reader(TAGS), bad), on_damaged="replace", threads=threads) for threads in (2, 1))
    for epoch in (0, 1):
        assert ids(made.batches(epoch)) == ids(plain.batches(epoch))
    assert made.replaced == plain.replaced
    assert made.replaced.keys() == set(bad)


def test_a_fork_does_not_wait_for_what_its_parent_reads_ahead(folder):
    """A process that is forked while a batch is read ahead lets go of it and ends; the parent's batches are unharmed."""
    made = loader(folder.reader(TAGS))
    batches = made.batches(0)
    first = next(batches)
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            signal.alarm(int(PATIENCE_S / 2))
            del first
            batches.close()
            gc.collect()
            os._exit(0)
        os._exit(1)
    deadline = time.monotonic() + PATIENCE_S
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert os.waitstatus_to_exitcode(ended[1]) == 0
    assert ids([first, *batches]) == ids(loader(folder.reader(TAGS)).batches(0))


def test_an_errand_is_done_once():
    """Every piece is done by one of two threads; a mistake of either is raised here, after all has ended."""
    done = []

    def run(*pieces):
        errand = beside.Errand(pieces)
        errand.start()
        errand.finish()

    run(*[lambda number=number: done.append(number) for number in range(2000)])
    assert sorted(done) == list(range(2000))

    def fail():
        raise SampleError(Reason.DAMAGED_VALUE, "broken")

    with pytest.raises(SampleError, match="broken"):
        run(fail, *[lambda: done.append(-1)] * 10)


def test_an_errand_that_is_interrupted_as_it_begins_is_awaited(monkeypatch):
    """Ctrl-C just after the thread beside was told: whoever finishes waits for what that thread has begun."""
    begun, done = threading.Event(), []

    def slow():
        begun.set()
        time.sleep(0.2)
        done.append(1)

    errand = beside.Errand([slow])
    errand.finish()
    assert not done
    submit = ThreadPoolExecutor.submit

    def interrupted(pool, action):
        submit(pool, action)
        begun.wait(PATIENCE_S)
        raise KeyboardInterrupt

    monkeypatch.setattr(ThreadPoolExecutor, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        errand.start()
    monkeypatch.undo()
    errand.finish()
    assert done == [1]
