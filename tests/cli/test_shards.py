"""`pluto run --shard i/n`: parts of an array job, as a person or a scheduler starts them."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cache_experiment import started, told

from pluto_core.errors import ExitCode

WIDE = ("--set", "source.logs=7")


def content(say, cache, to):
    """Return every sample of a cache, as exported."""
    say("cache", "export", cache, "--to", to).ok()
    return {path.name: path.read_bytes() for path in Path(to).iterdir()}


def test_parts_make_up_the_whole(say, here):
    """In any order, parts compute disjoint logs; each says how far the whole is, and the cache is that of one run."""
    outs = [say("run", "small.toml", *WIDE, "--shard", f"{number}/3").ok() for number in (2, 0, 1)]
    assert [line for out in outs for line in out.splitlines() if line.startswith("shard ")] == [
        "shard 2/3: 16 of 70 scenarios are in the cache by now, 4 failed",
        "shard 0/3: 40 of 70 scenarios are in the cache by now, 10 failed",
        "shard 1/3: 56 of 70 scenarios are in the cache by now, 14 failed: the whole is done",
    ]
    assert "nothing recomputed" in say("run", "small.toml", *WIDE, "--shard", "0/3").ok()
    assert "56 of 70 scenarios were there; nothing recomputed" in say("run", "small.toml", *WIDE).ok()
    found = told(say("cache", "info", "cache", "--json"))
    assert (found["samples"], found["failures"], found["runs"]) == (56, {"no_route": 14}, [])
    say("run", "small.toml", *WIDE, "--set", "cache.path=alone").ok()
    assert content(say, "cache", "a") == content(say, "alone", "b")
    results = json.loads((here / "runs" / "shard-2-of-3" / "001" / "results.json").read_text())
    assert results["steps"]["cache"]["shard"] == "2/3"


def test_parts_at_the_same_time(here, say):
    """Parts that begin at once, into a cache that is not there yet, do not disturb each other."""
    running = [started(here, "run", "small.toml", *WIDE, "--shard", f"{number}/3") for number in range(3)]
    for process in running:
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
    found = told(say("cache", "info", "cache", "--json"))
    assert (found["samples"], found["shards"], found["unsealed_shards"], found["runs"]) == (56, 3, 0, [])


def test_only_the_step_cache(say, here, monkeypatch):
    """A part does the step `cache` alone, whatever other steps there are, and refuses to be one where there is none to do."""
    text = (here / "small.toml").read_text().replace('["cache"]', '["cache", "train"]')
    (here / "small.toml").write_text(text + '[[targets]]\nuse = "ego_trajectory"\n[model]\nuse = "constant_velocity"\n')
    assert "shard 0/2: " in say("run", "small.toml", "--shard", "0/2").ok()
    assert list(json.loads((here / "runs" / "shard-0-of-2" / "001" / "state.json").read_text())["steps"]) == ["cache"]
    assert "divides the step 'cache'" in say("run", "small.toml", "--only", "train", "--shard", "0/2").err
    monkeypatch.setenv("NUM_NODES", "2")
    monkeypatch.setenv("NODE_RANK", "1")
    assert "shard 1/2: " in say("run", "small.toml", "--only", "cache").ok()
    assert "shard" not in plan_of(say("run", "small.toml", "--set", "cache.only=true"))


def plan_of(outcome):
    """Return what a run said first, which is what it is about to do."""
    assert outcome.out.startswith("small: cache, train ")
    return outcome.out


def test_variables_of_the_reference(say, monkeypatch):
    """NUM_NODES and NODE_RANK mean a part of a run of the step `cache` alone; `--shard` wins; half of the pair is refused."""
    monkeypatch.setenv("NUM_NODES", "3")
    assert "NODE_RANK is not" in say("run", "small.toml").err
    monkeypatch.setenv("NODE_RANK", "1")
    assert "shard 1/3: 8 of 30" in say("run", "small.toml").ok()
    assert "shard 0/2: 24 of 30" in say("run", "small.toml", "--shard", "0/2").ok()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--shard", "3/3"), "write i/n with i from 0 to n - 1"),
        (("--shard", "0/2", "--fresh", "--yes"), "--fresh would take the cache from other parts"),
        (("--shard", "0/2", "--set", "cache.use=memory"), "parts of it never meet"),
    ],
)
def test_refused(say, arguments, message):
    """What no part can be is refused with what to do."""
    outcome = say("run", "small.toml", *arguments)
    assert (outcome.code, message in outcome.err) == (ExitCode.FAILED, True), outcome.err


def test_a_part_in_use(here, say):
    """The same part twice, or a part beside a run of the whole, is refused by name; another part is not."""
    slow = (*WIDE, "--set", "source.delay_s=0.1")
    with started(here, "run", "small.toml", *slow, "--shard", "0/3") as process:
        for line in process.stderr:
            if "cache: " in line:
                break
        for other in (("--shard", "0/3"), ()):
            assert f"is in use by process {process.pid}" in say("run", "small.toml", *WIDE, *other).err
        assert "shard 1/3: " in say("run", "small.toml", *WIDE, "--shard", "1/3").ok()
        process.kill()


@pytest.mark.slow
def test_plan_of_a_part(say):
    """`pluto plan --shard` forecasts one part."""
    plan = told(say("plan", "small.toml", *WIDE, "--shard", "0/3", "--json"))
    assert (plan["listed"], plan["scenarios"]) == (30, 30)
