"""While a batch is in use the next one is being filled: nothing changes by that, and nothing is left over."""

import contextlib
import gc
import os
import resource
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import attrs
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cache_world as world

from pluto_core import arrays
from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.pipeline import beside, caching, fields, session
from pluto_core.pipeline.loader import BatchLoader
from pluto_core.pipeline.ring import Ring
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


def loader(reader, *, slots=4, listing=None, **settings):
    return BatchLoader(
        reader,
        listing or world.listing(2, 12),
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


@pytest.fixture
def late(monkeypatch):
    """Return an event: once it is set the thread beside does nothing; and one that lets it go on."""
    stops, goes_on, work = threading.Event(), threading.Event(), beside.Errand._work

    def later(errand):
        if stops.is_set() and threading.current_thread() is not threading.main_thread():
            goes_on.wait(PATIENCE_S)
        work(errand)

    monkeypatch.setattr(beside.Errand, "_work", later)
    yield stops, goes_on
    goes_on.set()


@pytest.mark.parametrize("takes_more", [False, True])
def test_a_fork_has_nothing_of_what_its_parent_reads_ahead(folder, late, takes_more):
    """A process that is forked while a batch is read ahead lets go of it, or reads it itself; the parent's are unharmed."""
    expected = copies(loader(folder.reader(TAGS), threads=1).batches(0))
    stops, goes_on = late
    batches = loader(folder.reader(TAGS)).batches(0)
    given = copies([next(batches)])
    beside._thread().submit(bool).result(PATIENCE_S)  # the next batch is there, and only the one after it is to be late
    stops.set()
    given += copies([next(batches)])
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            signal.alarm(int(PATIENCE_S / 2))
            stops.clear()
            if takes_more:
                assert_same(copies(batches), expected[2:])
            batches.close()
            os._exit(0)
        os._exit(1)
    deadline = time.monotonic() + PATIENCE_S
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    goes_on.set()
    assert os.waitstatus_to_exitcode(ended[1]) == 0
    assert_same(given + copies(batches), expected)


def copies(batches):
    return [(batch.ids, {key: array.copy() for key, array in batch.arrays.items()}) for batch in batches]


def assert_same(ours, theirs):
    for (ids_, one), (wanted, other) in zip(ours, theirs, strict=True):
        assert ids_ == wanted
        for key, array in other.items():
            np.testing.assert_array_equal(one[key], array, err_msg=key)


def test_what_is_dropped_is_given_back_when_it_is_done(folder, late):
    """A batch that was begun, and that nobody finishes, keeps what it reads for as long as the thread beside works on it."""
    stops, goes_on = late
    stops.set()
    reader = Watched(folder.reader(TAGS))
    made = loader(reader)
    batches = made.batches(0)
    order = next(made._order(rows, 0, Ring(1).turn()) for rows in made._sampler.batch_rows(0))
    made._filler = attrs.evolve(made._filler, threads=True)
    begun = made._begun(order)
    assert reader.lent == 1
    del begun, batches
    gc.collect()
    assert reader.lent == 1
    goes_on.set()
    deadline = time.monotonic() + PATIENCE_S
    while reader.lent:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_epoch_that_is_collected_in_the_thread_beside_is_not_awaited_there(folder):
    """An epoch that was left early may be closed by a garbage collection, which may run in that thread: it ends."""
    reader = Watched(folder.reader(TAGS))
    made = loader(reader)
    begun, ready = [], threading.Event()
    closing = beside._thread().submit(lambda: ready.wait(PATIENCE_S) and begun.pop().finish())
    begun.append(made._begun(next(made._order(rows, 0, Ring(1).turn()) for rows in made._sampler.batch_rows(0))))
    ready.set()
    assert closing.result(PATIENCE_S) is None
    beside._thread().submit(bool).result(PATIENCE_S)
    assert not reader.lent
    assert len(list(loader(reader).batches(1))) == 5


@pytest.mark.parametrize("slots", [2, 3])
def test_batches_stay_valid_after_an_epoch_that_was_left_early(folder, slots):
    """A batch of an epoch that was left is as valid during the next one as if that had gone on."""
    made = loader(folder.reader(TAGS), slots=slots)
    batches = made.batches(0)
    held = next(batches)
    ((_, expected),) = copies([held])
    batches.close()
    others = made.batches(1)
    for _ in range(slots - 1):
        next(others)
        for key, array in expected.items():
            np.testing.assert_array_equal(held.arrays[key], array, err_msg=key)


def test_the_thread_beside_is_not_asked_for_nothing(folder, monkeypatch):
    """Batches of few bytes are made without it."""
    monkeypatch.setattr(fields, "LARGE", 1 << 30)
    monkeypatch.setattr(fields, "HEAVY", 1 << 30)  # arrays that are packed, or cast
    monkeypatch.setattr(beside, "_thread", lambda: pytest.fail("the thread beside was asked"))
    assert len(list(loader(folder.reader(TAGS)).batches(0))) == 5


@pytest.mark.parametrize("files", range(98, 102))
def test_as_many_open_files_as_without_reading_ahead(tmp_path, monkeypatch, files):
    """Where two batches together reach into more shards than may be open, they are read one after the other."""
    monkeypatch.setattr(caching, "CacheJob", partial(session.CacheJob, seal_samples=1))
    listing = world.listing(2, 90)
    made = world.folder_at(tmp_path / "cache")
    world.cache(made, listing)
    assert len(made.shards.sealed()) > 150
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files + len(list(Path("/proc/self/fd").iterdir())), usual[1]))
    try:
        lengths = [len(batch.ids) for batch in loader(made.reader(TAGS), listing=listing, batch_size=60).batches(0)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)
    assert lengths == [60, 60, 60]


def test_an_errand_is_done_once():
    """Every piece is done by one of two threads; a mistake of either is raised here, after all has ended."""
    done = []

    def run(*pieces):
        errand = beside.Errand(pieces, contextlib.ExitStack())
        errand.start()
        assert errand.finish()

    run()
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

    errand = beside.Errand([slow], contextlib.ExitStack())
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
