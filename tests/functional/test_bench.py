"""`pluto bench` on the experiments that are shipped."""

import json
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

QUICK = ("--rounds", "1", "--seconds", "0.1", "--samples", "8", "--json")
PARTS = {"features", "cache", "loader", "step", "start-up"}


@pytest.fixture
def bench(pluto, cache_home: Path):
    """Return a function that measures an experiment and returns what was found."""

    def call(file, *arguments, **variables):
        env = {"PLUTO_CACHE_HOME": str(cache_home), "OMP_NUM_THREADS": "1", **variables}
        return json.loads(pluto("bench", file, *QUICK, *arguments, env=env).ok())

    return call


def measured(found):
    """Return the parts of which there are figures, all of them positive."""
    assert all(one["lowest"] > 0 for one in found["figures"]), found["figures"]
    return {one["part"] for one in found["figures"]}


@pytest.mark.parametrize("name", ["sanity", "ego_mlp"])
def test_shipped_experiments(name: str, bench, run, repository: Path, town: Path, tmp_path: Path) -> None:
    """All parts of it are measured before there is a cache, and then from the cache alone."""
    file = repository / "experiments" / f"{name}.toml"
    small = ("--set", f'source.data_root="{town}"', "--set", "filter.num_scenarios_per_type=2")
    found = bench(file, *small)
    assert measured(found) == PARTS
    assert found["left_out"] == {}
    assert list(tmp_path.iterdir()) == []
    run(file, *small, "--only", "cache", "--no-progress").ok()
    only = ("--set", "cache.only=true", "--only", "features", "--only", "cache", "--only", "loader")
    from_cache = bench(file, *small, *only)
    assert measured(from_cache) == {"cache", "loader"}
    assert from_cache["left_out"] == {"features": "cache.only is true"}


def test_recorded_logs(bench, repository: Path, shared_data: Path) -> None:
    """Argoverse 2 logs are measured as any other data."""
    found = bench(repository / "experiments" / "av2.toml", PLUTO_AV2_ROOT=str(shared_data / "av2"))
    assert measured(found) == PARTS
    assert found["about"]["step"].startswith("lightning, pluto; ")
