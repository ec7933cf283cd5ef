"""The cache step: what is missing is computed, what fails is told, what was computed is never lost."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cache_world as world

from pluto_core.errors import ExitCode, PlutoError, Reason, TooManyFailuresError
from pluto_core.jobs import Lost
from pluto_core.pipeline import caching

SPECIAL = ("lost-1", "nan-2", "boom-3", "broken-4", "broken-5")


@pytest.fixture(params=sorted(world.STORES))
def folder(request, tmp_path):
    return world.folder_at(tmp_path / "cache", request.param)


@pytest.fixture
def lmdb_folder(tmp_path):
    return world.folder_at(tmp_path / "cache")


def test_a_run_and_the_next(folder):
    """A run computes everything once and reports it; the next one finds it there and writes nothing."""
    wanted = world.listing(3, 20)
    states = []
    report = world.cache(folder, wanted, progress=states.append)
    assert (report.asked, report.present, report.done, report.failed, report.failed_before) == (60, 0, 60, {}, 0)
    stored = world.content(folder)
    assert report.bytes == sum(len(value) for value in stored.values())
    assert (states[-1].done, states[-1].total, states[-1].bytes) == (60, 60, report.bytes)
    assert len(stored) == 120
    again = world.cache(folder, wanted)
    assert (again.asked, again.present, again.done, again.bytes) == (60, 60, 0, 0)
    assert world.content(folder) == stored


def test_more_scenarios_and_more_builders(folder):
    """Only what is missing is computed: new scenarios, and for old ones a new builder."""
    world.cache(folder, world.listing(2, 5), tags=("agents",))
    world.cache(folder, world.listing(2, 8), tags=("agents",))
    first = world.content(folder)
    report = world.cache(folder, world.listing(2, 8))
    assert (report.asked, report.present, report.done) == (16, 0, 16)
    stored = world.content(folder)
    assert {key: stored[key] for key in first} == first
    assert Counter(key.partition(b"|")[0] for key in stored) == {b"agents": 16, b"future": 16}


def test_failures(folder):
    """A scenario that fails is a row with builder, reason and traceback; the others are computed; nobody tries it again."""
    wanted = world.listing(2, 6, special=SPECIAL)
    report = world.cache(folder, wanted)
    assert (report.asked, report.done) == (22, 12)
    assert report.failed == {"unreadable_log": 2, "not_finite": 2, "exception": 6}
    found = {(tag, key.partition("/")[2].partition("@")[0]): failure for (tag, key), failure in folder.failures().items()}
    reasons = {name: failure.reason for name, failure in found.items()}
    assert reasons == {
        **{(tag, "lost-1"): Reason.UNREADABLE_LOG for tag in ("agents", "future")},
        ("agents", "nan-2"): Reason.NOT_FINITE,
        ("agents", "boom-3"): Reason.EXCEPTION,
        **{(tag, token): Reason.EXCEPTION for tag in ("agents", "future") for token in ("broken-4", "broken-5")},
    }
    assert "in build" in found["agents", "boom-3"].traceback
    assert "RuntimeError: boom-3" in found["agents", "boom-3"].detail
    assert "ZeroDivisionError" in found["future", "broken-4"].traceback
    again = world.cache(folder, wanted)
    assert (again.present, again.done, again.failed, again.failed_before) == (12, 0, {}, 10)
    retried = world.cache(folder, wanted, retry=True)
    assert (retried.present, retried.done, retried.failed_before) == (12, 0, 0)
    assert sum(retried.failed.values()) == 10


def test_a_retry_that_succeeds(lmdb_folder, monkeypatch):
    """What failed and then succeeds is no failure any more."""
    wanted = world.listing(1, 4, special=("boom",))
    world.cache(lmdb_folder, wanted)
    assert len(lmdb_folder.failures()) == 1
    monkeypatch.setattr(world.Agents, "build", lambda _self, scene: world.Agents_build(scene), raising=True)
    monkeypatch.setattr(world, "Agents_build", lambda _scene: empty_agents(), raising=False)
    report = world.cache(lmdb_folder, wanted, retry=True)
    assert (report.done, report.present) == (1, 4)
    assert not lmdb_folder.failures()
    assert (lmdb_folder.path / "failures.jsonl").read_bytes() == b""


def empty_agents():
    return {
        "agent/position": np.zeros((0, 11, 2)),
        "agent/valid": np.zeros((0, 11), bool),
        "map": np.zeros((64, 64), np.float32),
    }


def test_too_many_failures(folder):
    """More failures than allowed end the run with exit code 3; what was computed is kept; another run fails too."""
    wanted = world.listing(1, 20, special=("lost-1", "lost-2", "lost-3"))
    for _ in range(2):
        with pytest.raises(TooManyFailuresError, match="max_failures allows 1") as caught:
            world.cache(folder, wanted, max_failures=1)
        assert caught.value.exit_code is ExitCode.TOO_MANY_FAILURES
        assert folder.index().count("agents") == 10
    assert world.cache(folder, wanted, max_failures=3).done == 10


def test_ten_thousand_failures(lmdb_folder):
    """However many scenarios fail, the run ends well, and the next one knows them all."""
    wanted = world.listing(10, 0, special=tuple(f"lost-{number}" for number in range(1000)))
    report = world.cache(lmdb_folder, wanted, tags=("future",))
    assert report.failed == {"unreadable_log": 10_000}
    assert world.cache(lmdb_folder, wanted, tags=("future",)).failed_before == 10_000


def test_repeated_scenarios(folder):
    """A scenario that stands several times in a listing is computed once."""
    wanted = world.listing(2, 5)
    report = world.cache(folder, wanted.take(np.array([3, 3, 7, 1, 7])))
    assert (report.asked, report.done) == (3, 3)
    assert len(world.content(folder)) == 6


def test_the_order_does_not_matter(tmp_path):
    """Key for key, the values do not depend on the order of the listing or on what was there before."""
    wanted = world.listing(3, 9, special=("lost-1", "boom-1"))
    stored = []
    for number, order in enumerate((np.arange(33), np.arange(33)[::-1], np.random.default_rng(0).permutation(33))):
        folder = world.folder_at(tmp_path / str(number))
        world.cache(folder, wanted.take(order[:9]), tags=("future",))
        world.cache(folder, wanted.take(order))
        stored.append(world.content(folder))
    assert stored[0] == stored[1] == stored[2]


def test_batches_of_long_logs(lmdb_folder):
    """Scenarios of one log go together, long logs in several batches, and no scenario is left out."""
    wanted = world.listing(3, 600).take(np.random.default_rng(0).permutation(1800))
    world.prepared(lmdb_folder)
    work = caching.Work(wanted, lmdb_folder.missing(wanted, ["future"]), ["future"])
    batches = list(work)
    assert len(batches) == 9
    assert all({unit.scenario.log for unit in batch.units} == {batch.group} for batch in batches)
    assert {unit.scenario for batch in batches for unit in batch.units} == set(wanted.ids())


class Losing(world.Here):
    """Loses the second scenario of every batch."""

    def run(self, job, batches):
        """Yield `Lost` for some."""
        for number, place, result in super().run(job, batches):
            yield number, place, Lost(Reason.WORKER_LOST, "killed twice") if place == 1 else result


def test_lost_scenarios(lmdb_folder):
    """What a worker lost is a failure of each builder, unless its sample had been written."""
    report = world.cache(lmdb_folder, world.listing(2, 4), worker=Losing())
    assert report.failed == {"worker_lost": 2}
    assert not lmdb_folder.failures()
    assert world.cache(lmdb_folder, world.listing(2, 4)).present == 8


def test_memory_is_refused_with_processes(tmp_path):
    """A store that cannot be shared and a worker with processes do not go together."""
    worker = world.Here()
    worker.processes = True
    with pytest.raises(PlutoError, match="'memory'"):
        world.cache(world.folder_at(tmp_path / "c", "memory"), world.listing(1, 1), worker=worker)


def test_a_bug_in_the_machinery_is_not_hidden(lmdb_folder):
    """An error of the source's making that concerns all scenarios stops the run, and what was written is sealed."""

    class Broken(world.Here):
        def run(self, job, batches):
            yield from list(super().run(job, list(batches)[:1]))
            message = "the map folder is missing"
            raise PlutoError(message)

    with pytest.raises(PlutoError, match="map folder"):
        world.cache(lmdb_folder, world.listing(2, 3), worker=Broken())
    assert lmdb_folder.index().count("future") == 3
