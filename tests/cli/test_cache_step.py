"""The cache step of `pluto run`, as a person sees it: progress, Ctrl-C, failures, kills, and two runs at once."""

import re
import signal
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cache_experiment
from cache_experiment import in_terminal, started, told

from pluto_core.errors import ExitCode

SLOW = ("--set", "source.delay_s=0.01", "--set", "source.scenarios=40")


def wait_for(process, text):
    """Read what a command says on stderr until `text` is there."""
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(process.stdout.read())


def test_progress_in_a_terminal(here):
    """A person sees how many of how many, rate, bytes, failures and the time that is left, while it runs."""
    code, shown = in_terminal(here, "run", "small.toml", *SLOW)
    assert code == 0
    assert re.search(r"\d+/120", shown)
    assert re.search(r"\d+\.\d/s, \d+\.\d KiB, \d+ failed", shown)
    assert len(set(re.findall(r"0:00:\d\d", shown))) > 1
    assert "96 computed" in shown
    assert "24 failed (24 no_route)" in shown


def test_progress_without_a_terminal(cached, here):
    """Where nobody looks, a line a tenth says the same without control characters, and --no-progress is not louder."""
    outcome = cached("run", "small.toml", "--set", "cache.path=another")
    assert "cache: 30 of 30" in outcome.err
    assert "\x1b" not in outcome.out + outcome.err
    assert len(outcome.err.splitlines()) <= 12
    assert here.exists()


def test_ctrl_c(here, say):
    """The first Ctrl-C finishes the scenario in work and seals; the command ends with 130, and the next one goes on."""
    code, shown = in_terminal(here, "run", "small.toml", *SLOW, interrupt_at=b"/s, ")
    assert code == ExitCode.INTERRUPTED
    assert "stopping after what is in work; Ctrl-C again stops at once" in shown
    assert "interrupted" in shown
    assert "Traceback" not in shown
    found = told(say("cache", "info", "cache", "--json"))
    assert 0 < found["samples"] < 96
    assert (found["unsealed_shards"], found["runs"]) == (0, [])
    there = found["samples"] + found["failures"].get("no_route", 0)
    outcome = say("run", "small.toml", *SLOW, "--set", "source.delay_s=0")
    assert f"{found['samples']} of 120 scenarios were there" in outcome.ok()
    assert f"{120 - there - (24 - found['failures'].get('no_route', 0))} computed" in outcome.out
    assert told(say("cache", "info", "cache", "--json"))["samples"] == 96


def test_ctrl_c_twice(here):
    """The second Ctrl-C does not wait for the scenario in work."""
    with started(here, "run", "small.toml", "--set", "source.delay_s=600", "--set", "source.begun=begun") as process:
        deadline = time.monotonic() + 100
        while not (here / "begun").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        wait_for(process, "stopping after")
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=100)
    assert process.returncode == ExitCode.INTERRUPTED
    assert time.monotonic() - began < 300
    assert "Traceback" not in error


def test_too_many_failures(say, here):
    """More failures than `max_failures` end with 3, at once, by name of the file that says why; what is there stays."""
    outcome = say("run", "small.toml", "--set", "max_failures=2")
    assert outcome.code == ExitCode.TOO_MANY_FAILURES
    assert "3 scenarios failed, and max_failures allows 2" in outcome.err
    assert "failures.jsonl says why" in outcome.err
    assert (here / "cache" / "failures.jsonl").read_text().count("no_route") == 3
    found = told(say("cache", "info", "cache", "--json"))
    assert 0 < found["samples"] < 24
    assert say("run", "small.toml", "--set", "max_failures=2").code == ExitCode.TOO_MANY_FAILURES
    assert f"{found['samples']} of 30 scenarios were there" in say("run", "small.toml", "--set", "max_failures=6").ok()


def test_retry_counts_failures_too(cached):
    """`pluto cache retry` ends with 3 where too many fail again."""
    assert cached("cache", "retry", "small.toml", "--set", "max_failures=5").code == ExitCode.TOO_MANY_FAILURES
    assert cached("cache", "retry", "small.toml", "--set", "max_failures=6").code == 0


@pytest.mark.slow
def test_ten_thousand_failures(say):
    """Ten thousand failing scenarios are counted by reason and known to the next run, which computes none of them."""
    many = ("--set", "source.scenarios=5000", "--set", "source.logs=2", "--set", "source.lost_every=1")
    outcome = say("run", "small.toml", *many)
    assert "10000 failed (10000 unreadable_log)" in outcome.ok()
    assert told(say("cache", "info", "cache", "--json"))["failures"] == {"unreadable_log": 20_000}
    again = say("run", "small.toml", *many).ok()
    assert "10,000 failed before" in again
    assert "cache: nothing to do" in again
    assert say("run", "small.toml", *many, "--set", "max_failures=9999").code == ExitCode.TOO_MANY_FAILURES


def test_a_kill_and_the_next_run(here, say):
    """After a SIGKILL the next run says what it took over, and the cache is whole."""
    with started(here, "run", "small.toml", *SLOW) as process:
        wait_for(process, "cache: ")
        process.kill()
    outcome = say("run", "small.toml", *SLOW, "--set", "source.delay_s=0")
    assert "from a run that was killed" in outcome.err
    assert "scenarios were there" in outcome.ok()
    assert told(say("cache", "verify", "cache", "--json"))["ok"]
    assert told(say("cache", "info", "cache", "--json"))["samples"] == 96


def test_two_runs_at_once(here, say):
    """The second run, and every command that writes, says who holds the cache; `info` shows it; reading goes on."""
    with started(here, "run", "small.toml", *SLOW, "--set", "source.delay_s=0.1") as process:
        wait_for(process, "cache: ")
        for command in (("run", "small.toml", *SLOW), ("cache", "verify", "cache"), ("cache", "rm", "cache", "--yes")):
            outcome = say(*command)
            assert outcome.code == ExitCode.FAILED
            assert f"is in use by process {process.pid} on " in outcome.err
            assert "wait for it, or choose another cache.path" in outcome.err
        assert f"in use by process {process.pid}" in say("cache", "info", "cache").ok()
        process.kill()
    assert told(say("cache", "info", "cache", "--json"))["runs"] == []


def test_a_poisonous_scenario(here):
    """A scenario that kills the process takes what was computed before it along to nowhere: the next run has it."""
    (here / "poison").touch()
    with started(here, "run", "small.toml") as process:
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    (here / "poison").unlink()


def test_fresh(cached, here):
    """`--fresh` asks where it can, removes the cache and nothing else, and computes it anew; other folders are refused."""
    (here / "cache" / "notes.txt").write_text("mine")
    assert "say --yes to allow it" in cached("run", "small.toml", "--fresh").err
    assert "24 of 30 scenarios were there" in cached("run", "small.toml", "--set", "name='again'").ok()
    assert "24 computed" in cached("run", "small.toml", "--fresh", "--yes").ok()
    assert (here / "cache" / "notes.txt").read_text() == "mine"
    (here / "photos").mkdir()
    (here / "photos" / "dear.jpg").write_bytes(b"dear")
    outcome = cached("run", "small.toml", "--fresh", "--yes", "--set", "cache.path=photos")
    assert outcome.code == ExitCode.FAILED
    assert "holds something else and is no cache" in outcome.err
    assert (here / "photos" / "dear.jpg").read_bytes() == b"dear"


def test_fresh_of_a_cache_in_use(here, say):
    """`--fresh` does not take the cache away from under a run."""
    with started(here, "run", "small.toml", *SLOW, "--set", "source.delay_s=0.1") as process:
        wait_for(process, "cache: ")
        outcome = say("run", "small.toml", "--fresh", "--yes")
        assert outcome.code == ExitCode.FAILED
        assert f"is in use by process {process.pid} on " in outcome.err
        process.kill()
    assert (here / "cache" / "manifest.json").exists()


@pytest.mark.parametrize("profile", ["raw", "small"])
def test_profiles(say, profile):
    """A cache may hold values of several profiles; none of them changes a sample."""
    say("run", "small.toml").ok()
    say("run", "small.toml", "--set", f"cache.profile={profile}", "--set", "source.scenarios=20").ok()
    outcome = say("cache", "verify", "cache", "--recompute", "40", "--experiment", "small.toml", "--set", "source.scenarios=20")
    assert "nothing is wrong" in outcome.ok()


def test_only_the_cache(cached, here):
    """With `cache.only` the step `cache` is refused, whether there is a source or not."""
    assert "needs a [source]" in cached("run", "small.toml", "--set", "cache.only=true").err
    text = cache_experiment.EXPERIMENT.replace('[source]\nuse = "town"\n', "")
    cache_experiment.write(here, text)
    outcome = cached("run", "small.toml", "--set", "cache.only=true")
    assert outcome.code == ExitCode.FAILED
    assert "needs a [source]" in outcome.err
