import contextlib

import pytest

from pluto_basics.config import SequentialConfig
from pluto_basics.workers.sequential import make
from pluto_core.component import Context
from pluto_core.jobs import Batch
from pluto_core.protocols import Worker

BATCHES = [Batch(group="a", units=(1, 2, 3)), Batch(group="b", units=()), Batch(group="c", units=(4,))]


class Squares:
    """A job and its session in one: squares units, notes what happens to it."""

    def __init__(self, *, fail_at=None, lose_last=False):
        self.fail_at, self.lose_last, self.log = fail_at, lose_last, []

    def open(self, slot):
        """Return the session."""
        self.log.append(f"open {slot}")
        return self

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.log.append(f"close {kind.__name__ if kind else 'well'}")

    def run(self, batch):
        """Yield squares."""
        for unit in batch.units[: -1 if self.lose_last else None]:
            if unit == self.fail_at:
                raise KeyboardInterrupt
            self.log.append(unit)
            yield unit * unit


def worker():
    return make(SequentialConfig(), Context())


def test_every_unit_once_in_order():
    """Results come with their places, in order, from one session that closes well."""
    job = Squares()
    assert isinstance(worker(), Worker)
    assert list(worker().run(job, BATCHES)) == [(0, 0, 1), (0, 1, 4), (0, 2, 9), (2, 0, 16)]
    assert job.log == ["open 0", 1, 2, 3, 4, "close well"]


def test_results_come_as_soon_as_they_are_done():
    """Nothing is computed ahead of what was asked for."""
    job = Squares()
    results = worker().run(job, BATCHES)
    next(results)
    assert job.log == ["open 0", 1]
    results.close()


def test_closing_ends_the_session():
    """Whoever stops asking leaves no open session."""
    job = Squares()
    with contextlib.closing(worker().run(job, BATCHES)) as results:
        next(results)
    assert job.log == ["open 0", 1, "close GeneratorExit"]


def test_an_interrupt_passes_through_a_closed_session():
    """Ctrl-C inside a unit closes the session and is not swallowed."""
    job = Squares(fail_at=2)
    with pytest.raises(KeyboardInterrupt):
        list(worker().run(job, BATCHES))
    assert job.log[-1] == "close KeyboardInterrupt"


def test_a_session_that_loses_units_is_a_bug():
    """Missing results never pass for done."""
    with pytest.raises(RuntimeError, match="2 results for 3 units of a"):
        list(worker().run(Squares(lose_last=True), BATCHES))


def test_nothing_to_do_opens_nothing():
    """An empty list of batches opens no session."""
    job = Squares()
    assert list(worker().run(job, [])) == []
    assert job.log == []
