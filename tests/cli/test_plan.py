"""`pluto plan`: what it says before a run, and that the run then agrees."""

import re
import sys
from pathlib import Path

import attrs
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cache_experiment
from cache_experiment import told

from pluto_core.errors import ExitCode


def test_plan(say, here):
    """Time, bytes, memory and failures of a sample; nothing is written; the run then takes about what was said."""
    slow = ("--set", "source.scenarios=40", "--set", "source.delay_s=0.01", "--set", "cache.use=files")
    plan = told(say("plan", "small.toml", *slow, "--samples", "60", "--json"))
    assert not (here / "cache").exists()
    assert (plan["listed"], plan["scenarios"], plan["sampled"], plan["present"]) == (120, 120, 60, 0)
    assert (plan["workers"], plan["problems"]) == (1, [])
    assert plan["failures"] == pytest.approx(24, abs=6)
    assert plan["sampled_failures"].keys() == {"no_route"}
    assert "not in the mood" in plan["examples"]["no_route"]
    assert 20e6 < plan["memory_bytes"] < 400e6
    assert plan["hours"] == plan["seconds"] / 3600
    say("run", "small.toml", *slow).ok()
    took = told(say("cache", "info", "cache", "--json"))
    assert plan["bytes"] == pytest.approx(took["bytes"], rel=0.1)
    assert plan["seconds"] > 120 * 0.01


def test_plan_as_text(cached):
    """For people: what is there, what is to be computed, time, disk, memory, failures with an example."""
    text = cached("plan", "small.toml", "--set", "source.scenarios=20").ok()
    assert "60 scenarios, 24 of them cached, 30 to compute" in text
    assert "6 failed before and are not tried again (pluto cache retry)" in text
    for word in ("time ", "disk ", "memory ", "failures "):
        assert word in text
    assert "ms a scenario and worker" in text
    assert re.search(r"no_route \d+ of 30, such as\n +mood log-", text)
    assert "0 to compute" in cached("plan", "small.toml").ok()


@pytest.mark.slow
def test_plan_with_processes(say, here):
    """Where the experiment has several processes they compute the sample, side by side; the run then takes what was said."""
    slow = ("--set", "source.scenarios=40", "--set", "source.delay_s=0.02", "--set", "cache.use=files")
    several = (*slow, "--set", "worker.use=processes", "--set", "worker.count=2")
    plan = told(say("plan", "small.toml", *several, "--samples", "60", "--json"))
    assert not (here / "cache").exists()
    assert (plan["scenarios"], plan["workers"], plan["processes"]) == (120, 2, 2)
    assert 60 <= plan["sampled"] <= 63
    assert plan["sampled_failures"].keys() == {"no_route"}
    assert plan["scenario_s"] >= 0.02
    assert 20e6 < plan["memory_bytes"] < 400e6
    assert "in 2 processes at a time" in say("plan", "small.toml", *several, "--samples", "20").ok()
    say("run", "small.toml", *several).ok()
    took = told(say("cache", "info", "cache", "--json"))
    assert plan["bytes"] == pytest.approx(took["bytes"], rel=0.1)


def test_plan_warns(say, monkeypatch):
    """Too little disk and more failures than allowed are said before the run."""
    monkeypatch.setattr("pluto_core.run.planning.shutil.disk_usage", lambda _path: Usage())
    text = say("plan", "small.toml", "--set", "max_failures=3").ok()
    assert "TOO LITTLE is free" in text
    assert "MORE than max_failures = 3 allows" in text


@pytest.mark.parametrize("store", ["files", "memory"])
def test_plan_for_other_stores(say, here, store):
    """Whatever the store, bytes are those of the values or more, and no file is left behind."""
    plan = told(say("plan", "small.toml", "--set", f"cache.use={store}", "--json"))
    assert (plan["scenarios"], plan["sampled"]) == (30, 30)
    assert plan["scenario_bytes"] > 21 * 2 * 8
    assert [path.name for path in here.iterdir()] == ["small.toml"]


def test_plan_for_several_workers(say):
    """Workers share the scenarios, and no more of them are counted than there are logs."""
    for count, workers in ((2, 2), (8, 3)):
        settings = ("--set", "worker.use=processes", "--set", f"worker.count={count}")
        assert told(say("plan", "small.toml", *settings, "--json"))["workers"] == workers


@attrs.frozen
class Usage:
    """A disk with next to nothing left."""

    free: int = 10


def test_plan_of_what_would_be_refused(cached, here):
    """A cache made from something else, or another thing in its place, is a problem of the plan, and ends with 1."""
    outcome = cached("plan", "small.toml", "--set", "source.edition=2")
    assert outcome.code == ExitCode.FAILED
    assert "would be refused: the cache" in outcome.out
    assert "edition: 1 in the cache, 2 asked" in outcome.out
    (here / "photos").mkdir()
    (here / "photos" / "dear.jpg").touch()
    outcome = cached("plan", "small.toml", "--set", "cache.path=photos")
    assert outcome.code == ExitCode.FAILED
    assert "holds something else" in outcome.out


def test_plan_of_a_job_that_cannot_run(say, here):
    """No source, a source that refuses its settings, a filter that takes nothing, a killed process: one message each."""
    assert "a plan needs a [source]" in say("plan", "small.toml", "--set", "cache.only=true").err
    assert "thirteen is refused" in say("plan", "small.toml", "--set", "source.edition=13").err
    cache_experiment.write(here, cache_experiment.EXPERIMENT + '[filter]\nscenario_types = ["other"]\n')
    assert "the filter takes no scenario" in say("plan", "small.toml").err
    cache_experiment.write(here)
    (here / "poison").touch()
    outcome = say("plan", "small.toml")
    assert outcome.code == ExitCode.FAILED
    assert "the measuring process was killed (exit code -9)" in outcome.err
