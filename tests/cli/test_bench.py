"""`pluto bench`: what it says of the loader, and what it leaves alone."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cache_experiment import told

PLACE = ("--set", "loader.batch_size=4", "--set", "splitter.train=1.0", "--set", "splitter.val=0", "--set", "splitter.test=0")


def test_bench(cached, here):
    """Speeds of each number of processes as one object; nothing is written, and the text says the same."""
    before = sorted(path.name for path in here.rglob("*"))
    found = told(cached("bench", "small.toml", *PLACE, "--workers", 0, "--workers", 1, "--seconds", 0.1, "--json"))
    assert (found["name"], found["part"]) == ("small", "train")
    assert [one["workers"] for one in found["measured"]] == [0, 1]
    for one in found["measured"]:
        assert one["batches"] > 0
        assert one["first_batch_s"] > 0
        assert 0.1 <= one["seconds"] < 10
        assert one["samples_per_s"] == pytest.approx(4 * one["batches"] / one["seconds"], rel=0.3)
        assert one["batch_bytes"] > 0
        assert one["copied_samples_per_s"] > 0
    text = cached("bench", "small.toml", *PLACE, "--seconds", 0.1).ok()
    assert "in this process" in text
    assert "of plain copying" in text
    assert sorted(path.name for path in here.rglob("*")) == before


def test_bench_needs_a_cache(say, here):
    """Without a cache it says which step is missing, and makes none."""
    ended = say("bench", "small.toml", *PLACE)
    assert ended.code == 1
    assert "there is no cache at" in ended.err
    assert "--only cache" in ended.err
    assert not (here / "cache").exists()
