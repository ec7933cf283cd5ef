"""Listing with a worker gives what listing alone gives: rows, order, columns, problems."""

from functools import partial

import attrs
import numpy as np
import pytest

from pluto_basics.workers.processes import Processes
from pluto_basics.workers.sequential import Sequential
from pluto_basics.workers.threads import Threads
from pluto_core.errors import PlutoError, Reason
from pluto_core.filters import ScenarioFilter
from pluto_core.jobs import Lost
from pluto_core.listing import Listing
from pluto_core.pipeline.selection import select
from pluto_core.pipeline.spreading import Spread
from pluto_core.protocols import ScenarioSource
from pluto_core.scene import ScenarioId

FILTER = ScenarioFilter(ego_displacement_minimum_m=3.0, num_scenarios_per_type=20, shuffle=True)


@attrs.define
class Town:
    """Thirty logs of up to five scenarios, one of which cannot be read."""

    refuses: str = ""
    asked: list = attrs.field(factory=list, repr=False)
    refused: set = attrs.field(factory=set)
    answers = frozenset({"log_names", "ego_displacement_minimum_m"})

    def logs(self):
        """Return all names."""
        return [f"log-{number:02d}" for number in range(30)]

    def list(self, wanted):
        """Return the scenarios of the logs that are asked for."""
        names = [name for name in self.logs() if wanted.log_names is None or name in wanted.log_names]
        self.asked.append(names)
        if self.refuses in names and len(names) < 30:
            raise PlutoError(self.refuses)
        self.refused |= {"log-13"} & set(names)
        rows = [
            (ScenarioId(name, f"{name}-{place}", place), f"type-{place % 3}", "town")
            for name in names
            for place in range(int(name[-1]) % 6)
            if name != "log-13"
        ]
        return Listing.of(rows)

    def columns(self, listing, names, wanted):
        """Return metres."""
        assert wanted == FILTER
        return {name: np.array([float(sum(map(ord, one.token)) % 9) for one in listing.ids()]) for name in names}

    def problems(self):
        """Return the unreadable log."""
        return [(name, Reason.UNREADABLE_LOG, "cut off") for name in self.refused]

    load = load_many = identity = None


def spread(worker, **settings):
    return Spread(Town(), partial(Town, **settings), lambda: worker, worth_logs=10)


@pytest.mark.parametrize("worker", [Threads(3), pytest.param(Processes(2), marks=pytest.mark.slow), Sequential()], ids=repr)
def test_the_same_listing(worker):
    """Whoever lists, the selection is the same to its digest, and so are its stages and what could not be read."""
    alone, source = Town(), spread(worker)
    assert isinstance(source, ScenarioSource)
    expected, selected = select(alone, FILTER, 0), select(source, FILTER, 0)
    assert selected.listing.digest() == expected.listing.digest()
    assert selected.stages == expected.stages
    assert 10 < len(expected.listing) < len(alone.list(ScenarioFilter()))
    assert list(source.problems()) == list(alone.problems())


def test_few_logs_are_listed_here():
    """For few logs nobody is asked to help."""

    def nobody():
        raise AssertionError

    assert len(Spread(Town(), Town, nobody).list(ScenarioFilter())) == len(Town().list(ScenarioFilter()))


def test_what_sessions_refuse_is_refused_here():
    """Where a session refuses, or is lost, the whole is asked here, so that it is refused, or not, as without a worker."""
    expected = Town().list(ScenarioFilter()).digest()
    assert spread(Threads(2), refuses="log-20").list(ScenarioFilter()).digest() == expected

    class Losing(Threads):
        def run(self, job, batches):
            """Lose the first answer."""
            for number, unit, answer in super().run(job, batches):
                yield number, unit, answer if number else Lost(Reason.TIMEOUT, "")

    assert spread(Losing(2)).list(ScenarioFilter()).digest() == expected
