"""The parts of `pluto bench`: samples, timed batches, and what is concluded."""

import numpy as np
import pytest

from pluto_core.errors import PlutoError
from pluto_core.jobs import SampleBatch
from pluto_core.listing import Listing
from pluto_core.run import benchmark, stepping
from pluto_core.run.figures import Figure, rounded
from pluto_core.run.stages import spread
from pluto_core.scene import ScenarioId


def listing_of(logs, scenarios):
    """Return a listing of so many scenarios of each of so many logs, shuffled."""
    ids = [ScenarioId(f"log-{log}", f"{log:02x}{one:02x}", 10 * one) for log in range(logs) for one in range(scenarios)]
    order = np.random.default_rng(0).permutation(len(ids))
    return Listing.of([(ids[number], "cruise", "town") for number in order])


def batches_of(rounds, seconds=0.0):
    """Return timed batches, and a list that grows with every round."""
    rows = {"state": np.zeros((2, 3), np.float32)}
    held = [SampleBatch(arrays=rows, ids=(ScenarioId("log", f"{n}", n), ScenarioId("log", f"{n}b", n))) for n in range(2)]
    told = []
    return stepping.TimedBatches({}, 2, held, rounds, seconds, lambda: told.append(1)), told


@pytest.mark.parametrize(("logs", "scenarios", "wanted"), [(9, 30, 48), (2, 3, 48), (1, 50, 7), (30, 1, 5), (3, 10, 2)])
def test_a_sample_is_of_a_few_logs(logs, scenarios, wanted):
    """As many scenarios as are wanted and there, each once, of at most four logs, evenly."""
    found = spread(listing_of(logs, scenarios), wanted)
    used = min(4, logs, wanted)
    assert len(found) == min(wanted, used * scenarios)
    assert len(set(found.ids())) == len(found)
    names = [one.log for one in found.ids()]
    assert len(set(names)) == used
    counts = [names.count(name) for name in set(names)]
    assert max(counts) - min(counts) <= 1


def test_steps_are_timed_until_all_rounds_are_done():
    """A trainer is handed the same batches in turn, until each round has had its steps."""
    batches, told = batches_of(rounds=3)
    seen = []
    with pytest.raises(stepping._Enough):
        seen.extend(batch.ids[0].token for batch in batches.batches(0))
    assert len(batches.steps_s) == 3
    assert len(told) == 4
    assert batches.asked_at > 0
    assert batches.count() > 1000


def test_steps_are_what_the_trainer_takes(monkeypatch):
    """The time of a step is that between a batch and the wish for the next one, by the clock."""
    batches, _ = batches_of(rounds=2, seconds=5.0)
    now = [0.0]
    monkeypatch.setattr(stepping.time, "perf_counter", lambda: now[0])

    def train():
        for _ in batches.batches(0):
            now[0] += 2.0

    with pytest.raises(stepping._Enough):
        train()
    assert batches.steps_s == [2.0, 2.0]


def test_several_processes_are_refused():
    """Steps of several ranks cannot be timed from here, and the way out is named."""
    batches, _ = batches_of(rounds=1)
    with pytest.raises(PlutoError, match=r"trainer\.devices=1"):
        next(batches.batches(0, world=2))


def test_a_trainer_that_stops_early_is_told():
    """A training that ends before it was measured is a mistake with a way out, not a figure."""
    batches, _ = batches_of(rounds=2)
    next(batches.batches(0))
    with pytest.raises(PlutoError, match="max_steps"):
        stepping._figures(batches, batches.held, 0.1)


@pytest.mark.parametrize(
    ("workers", "loaded", "said"),
    [
        (0, 300.0, "takes 25% of its time"),
        (2, 300.0, "does not wait: loading is 3.0 times"),
        (1, 75.0, "waits 25% of its time"),
    ],
)
def test_the_verdict(workers, loaded, said):
    """In one process loading and training take turns; otherwise the slower of the two decides."""
    loader = Figure(part="loader", name="any", unit="samples/s", values=(loaded,), more={"workers": workers})
    step = Figure(part="step", name=stepping.RATE, unit="samples/s", values=(90.0, 100.0, 110.0))
    assert said in benchmark._verdict([loader, step])
    assert benchmark._verdict([loader]) == benchmark._verdict([step]) == ""


def test_numbers_keep_three_digits():
    """Figures are rounded to what a measurement is worth."""
    assert [rounded(value) for value in (12345.6, 123.4, 12.34, 1.234, 0.1234)] == ["12,346", "123", "12.3", "1.23", "0.123"]
