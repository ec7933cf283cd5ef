"""A third party's plugin, installed by pip, from discovery to a picture; `tox -e sample` does it in a fresh environment."""

import importlib.util
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("hatchling") is None, reason="building a wheel needs hatchling")
TRAINS = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="networks need torch")


@pytest.fixture(scope="session")
def source(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the plugin's repository, so that building it leaves nothing in ours."""
    folder = tmp_path_factory.mktemp("third_party") / "pluto-neighbors"
    shutil.copytree(repository / "tests" / "sample_plugin", folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    return folder


@pytest.fixture(scope="session")
def site(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder into which pip has installed the plugin."""
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-index"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--target", target, source], check=True)
    return target


@pytest.fixture
def experiment(source: Path) -> Path:
    """Return the plugin's experiment."""
    return source / "experiments" / "neighbors.toml"


@pytest.fixture
def installed(pluto, site: Path):
    """Return a function that runs `pluto` where the plugin is installed."""

    def call(*arguments, **options):
        env = {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", **options.pop("env", {})}
        return pluto(*arguments, env=env, **options)

    return call


def test_it_is_a_distribution(site: Path) -> None:
    """What is installed is a package and its metadata, with the entry point."""
    (metadata,) = site.glob("pluto_neighbors-*.dist-info")
    assert "[pluto]\nneighbors = pluto_neighbors.hooks" in (metadata / "entry_points.txt").read_text()
    assert (site / "pluto_neighbors" / "py.typed").exists()


def test_it_is_discovered(installed) -> None:
    """`pluto plugins` names plugin, distribution and version, and every component under its section."""
    found = json.loads(installed("plugins", "--json").ok())
    told = found["plugins"]["neighbors"]
    assert told == {"module": "pluto_neighbors.hooks", "distribution": "pluto-neighbors", "version": "1.0.0"}
    assert not found["broken"]
    for section, name in (("features", "neighbors"), ("cache", "sqlite"), ("model", "neighbors"), ("objective", "neighbors")):
        assert found["components"][section][name]["plugin"] == "neighbors"


def test_it_explains_itself(installed) -> None:
    """`pluto plugins show` prints settings with their meaning, and the arrays of a sample."""
    text = installed("plugins", "show", "neighbors").ok()
    assert "How many of the nearest agents to keep; at least 1." in text
    assert "neighbor x 11 x 2" in text


def test_it_is_configured(installed, experiment: Path) -> None:
    """Its experiment passes `check`; mistakes in its settings are found before anything runs."""
    assert "ok" in installed("check", experiment).ok()
    wrong = installed(
        "check", experiment, "--set", "model.mode=3", "--set", "model.history_s=2.0", "--set", "cache.page_bytes=1"
    )
    assert wrong.code == 1
    assert "did you mean 'modes'" in wrong.err
    assert "page_bytes" in wrong.err


def test_builder_and_model_must_agree(installed, experiment: Path, tmp_path: Path) -> None:
    """Features that look back for another time than the model expects are a mistake that `check` names."""
    other = tmp_path / "other.toml"
    other.write_text(f'extends = "{experiment}"\n[[features]]\nuse = "neighbors"\nhistory_s = 2.0\n', encoding="utf-8")
    outcome = installed("check", other)
    assert outcome.code == 1
    assert "neighbor/position" in outcome.err


def test_it_is_absent_where_it_is_not_installed(pluto, experiment: Path) -> None:
    """Without it, `check` says which names are unknown."""
    outcome = pluto("check", experiment)
    assert outcome.code == 1
    assert "no model is called 'neighbors'" in outcome.err
    assert "no cache is called 'sqlite'" in outcome.err


@TRAINS
def test_it_is_trained_and_drawn(installed, experiment: Path, town: Path, cache_home: Path, tmp_path: Path) -> None:
    """A whole run: its builder fills its shards from two processes, its model learns from them, its sketch is drawn."""
    less = ("trainer.epochs=1", "filter.num_scenarios_per_type=3", f'source.data_root="{town}"')
    settings = [part for setting in (*less, "worker.use=processes", "worker.count=2") for part in ("--set", setting)]
    text = installed("run", experiment, *settings, "--no-progress", env={"PLUTO_CACHE_HOME": str(cache_home)}).ok()
    assert "sqlite in runs/cache" in text
    shards = sorted((tmp_path / "runs" / "cache" / "shards").iterdir())
    assert shards
    assert all(path.suffix == ".sqlite" for path in shards)
    connection = sqlite3.connect(shards[0])
    assert connection.execute("SELECT count(*) FROM shard").fetchone()[0] > 0
    connection.close()
    validate = json.loads((tmp_path / "runs" / "001" / "results.json").read_text())["steps"]["validate"]
    assert validate["count"] > 0
    assert {"planner", "constant_velocity"} <= set(validate["metrics"])
    assert len(list((tmp_path / "runs" / "001" / "pictures").glob("*.png"))) == 3


@TRAINS
@pytest.mark.parametrize("which", ["TestHooks or TestNeighbors", pytest.param("Test", marks=pytest.mark.slow)])
def test_it_passes_the_suites(which: str, source: Path, site: Path) -> None:
    """Its own tests, which are the suites of the kit, pass where it is installed: the quick ones here, all among the slow."""
    env = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", which, "tests"]
    done = subprocess.run(command, cwd=source, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout
