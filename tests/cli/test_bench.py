"""`pluto bench`: what it says of each part of an experiment, and what it leaves alone."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cache_experiment import EXPERIMENT, REPOSITORY, told

from pluto_core.cli import bench
from pluto_core.run import benchmark

PLACE = ("--set", "loader.batch_size=4", "--set", "splitter.train=1.0", "--set", "splitter.val=0", "--set", "splitter.test=0")
FAST = (*PLACE, "--seconds", 0.05, "--rounds", 2)


def files(folder):
    """Return all files below a folder, and what they hold."""
    return {str(path.relative_to(folder)): path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def by_name(found, part):
    """Return the figures of a part by name, each of them sound."""
    figures = {one["name"]: one for one in found["figures"] if one["part"] == part}
    for one in figures.values():
        assert 0 < one["lowest"] <= one["median"] <= one["highest"], one
    return figures


def test_its_parts_are_those_that_are_measured():
    """The command names what the core measures, although it does not import it."""
    assert benchmark.MEASURED == bench._PARTS


def test_bench_of_a_cache(cached, here):
    """Every number of processes is measured on the samples of the cache, where nothing changes."""
    before = files(here)
    found = told(cached("bench", "small.toml", *FAST, "--only", "loader", "--workers", 0, "--workers", 1, "--json"))
    assert (found["name"], found["rounds"]) == ("small", 2)
    assert found["about"] == {"loader": "24 samples of 'train'"}
    loaders = by_name(found, "loader")
    assert [one["workers"] for one in loaders.values()] == [0, 1]
    for one in loaders.values():
        assert one["rounds"] == 2
        assert one["batch_bytes"] > 0
        assert one["first_batch_s"] > 0
        assert one["copied_samples_per_s"] > 0
    assert files(here) == before


def test_bench_without_a_cache(say, here):
    """A few scenarios are computed for it, failures included, and thrown away; a model that is not there is named."""
    before = files(here)
    found = told(say("bench", "small.toml", *FAST, "--samples", 9, "--json", "--only", "features", "--only", "cache",
                     "--only", "loader", "--only", "step"))  # fmt: skip
    assert set(by_name(found, "features")) == {"load", "build place", "build mood", "check", "one worker, cache included"}
    assert set(by_name(found, "cache")) == {"encode", "write and seal", "size", "read and unpack"}
    assert by_name(found, "features")["load"]["rounds"] == 2
    assert found["about"]["features"].startswith("9 scenarios of 3 logs, in one process; some gave no sample: ")
    assert "holds none yet" in found["about"]["loader"]
    assert found["left_out"] == {"step": "the experiment has no [model]"}
    assert files(here) == before


def test_bench_tells_people(say, monkeypatch, local_plugins):
    """The text has a line for each figure, with its spread and unit, and says what machine it was."""
    monkeypatch.setenv("PYTHONPATH", str(local_plugins))  # for the commands that are started
    text = say("bench", "small.toml", *FAST, "--samples", 6).ok()
    lines = text.splitlines()
    assert lines[0] == "small: medians of 2 rounds (lowest to highest)"
    for name in ("load", "build mood", "encode", "read and unpack", "idle interpreter", "--help", "check FILE"):
        (line,) = (line for line in lines if line.startswith(f"  {name}  "))
        assert " to " in line
        assert line.endswith(("ms a scenario", "ms"))
    assert "step: left out, the experiment has no [model]" in lines
    assert any("for this process, GPU" in line for line in lines)


def test_bench_from_the_cache_alone(cached, here):
    """With `cache.only` no dataset is opened: reading is measured, and what is left out is named."""
    before = files(here)
    found = told(cached("bench", "small.toml", *FAST, "--set", "cache.only=true", "--json", "--only", "features",
                        "--only", "cache", "--only", "loader"))  # fmt: skip
    assert found["left_out"] == {"features": "cache.only is true"}
    assert set(by_name(found, "cache")) == {"read and unpack"}
    assert by_name(found, "loader")
    assert files(here) == before


def test_bench_needs_a_cache_or_a_source(say, here):
    """With neither, it says which step is missing, and makes no cache."""
    ended = say("bench", "small.toml", *PLACE, "--set", "cache.only=true")
    assert ended.code == 1
    assert "there is no cache at" in ended.err
    assert "--only cache" in ended.err
    assert not (here / "cache").exists()


def test_bench_of_a_cache_made_from_something_else(cached, here):
    """A cache that does not fit is left alone, and named beside the samples that were made instead."""
    before = files(here)
    found = told(cached("bench", "small.toml", *FAST, "--set", "source.edition=2", "--only", "loader", "--json"))
    assert found["about"]["loader"].endswith("samples made for this (the cache cache was made from something else)")
    assert files(here) == before


@pytest.mark.parametrize("alone", ["true", "false"])
def test_bench_of_a_cache_that_lacks_a_builder(cached, here, alone):
    """A target that was never computed does not become one of the cache; samples are made for it, or the step is named."""
    (here / "more.toml").write_text(EXPERIMENT + '\n[[features]]\nuse = "ego_history"\n', encoding="utf-8")
    before = files(here)
    ended = cached("bench", "more.toml", *FAST, "--only", "loader", "--json", "--set", f"cache.only={alone}")
    if alone == "false":
        assert told(ended)["about"]["loader"].endswith("samples made for this (cache holds nothing of ego_history yet)")
    else:
        assert "cache holds nothing of ego_history yet; do the step first" in ended.err
    assert files(here) == before


def test_bench_where_nothing_can_be_computed(say):
    """Where no scenario gives a sample, the reasons are told."""
    ended = say("bench", "small.toml", *FAST, "--only", "features", "--set", "source.lost_every=1")
    assert ended.code == 1
    assert "none of 30 scenarios gives a sample" in ended.err


@pytest.mark.parametrize("where", ["memory", "files"])
def test_bench_with_another_store(say, where):
    """Stores without files, and those with many, are measured alike."""
    found = told(say("bench", "small.toml", *FAST, "--samples", 6, "--only", "cache", "--json", "--set", f"cache.use={where}"))
    assert found["about"]["cache"] == f"{where}, profile default"
    assert set(by_name(found, "cache")) == {"encode", "write and seal", "size", "read and unpack"}


def test_bench_of_a_third_partys_parts(say, here, monkeypatch):
    """Builders and stores of another package are measured by their names, on scenes of any source."""
    monkeypatch.syspath_prepend(REPOSITORY / "tests" / "sample_plugin" / "src")
    text = EXPERIMENT.partition("[[targets]]")[0].replace("lmdb", "sqlite")
    (here / "others.toml").write_text(text + '[[features]]\nuse = "neighbors"\n', encoding="utf-8")
    only = ("--only", "features", "--only", "cache", "--only", "loader")
    found = told(say("bench", "others.toml", *FAST, *only, "-p", "pluto_neighbors.hooks", "--json"))
    assert "build neighbors" in by_name(found, "features")
    assert found["about"]["cache"] == "sqlite, profile default"
    assert by_name(found, "loader")
