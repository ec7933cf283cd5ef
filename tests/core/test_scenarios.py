"""Scenarios to look at, from Python: of an experiment, of a cache, of a run."""

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest

from pluto_core import PlutoError, api
from pluto_core.scene import Window

EXPERIMENT = """
name = "small"
steps = ["cache"]
output_dir = "{folder}/runs"

[source]
use = "av2"
data_root = "{folder}/recordings"
stride = 4

[[features]]
use = "ego_history"

[[targets]]
use = "ego_trajectory"
horizon_s = 2.0
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with an experiment and its cache."""
    folder = tmp_path_factory.mktemp("scenarios")
    place = Path(__file__).parent.parent / "plugins" / "pluto_av2" / "conftest.py"
    spec = importlib.util.spec_from_file_location("pluto_av2_writers", place)
    writers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writers)
    writers.write_sensor_log(folder / "recordings")
    (folder / "a.toml").write_text(EXPERIMENT.format(folder=folder.as_posix()), encoding="utf-8")
    api.run(api.read(folder / "a.toml"))
    return folder


def test_names_of_scenarios(folder):
    """Row, token and the beginning of a token that no other has name the same scenario; everything else is refused."""
    scenarios = api.scenarios(api.read(folder / "a.toml"))
    assert len(scenarios) == len(scenarios.listing) > 3
    token = scenarios.listing.id(2).token
    assert scenarios.row(token) == scenarios.row(2) == scenarios.row(2 - len(scenarios)) == 2
    assert scenarios.row(token[:-1]) == 2 or token[:-1] in scenarios.listing.id(1).token
    with pytest.raises(PlutoError, match="scenarios have tokens that begin with '1'"):
        scenarios.row("1")
    with pytest.raises(PlutoError, match="there is no scenario whose token begins with 'x'"):
        scenarios.row("x")
    with pytest.raises(PlutoError, match=r"there is no scenario 99; there are \d+"):
        scenarios.row(99)


def test_a_cache_gives_the_samples_that_the_dataset_gives(folder):
    """Scenes come from the dataset, over any window; samples are the same, built or stored; drawings show the truth."""
    built, stored = api.scenarios(folder / "a.toml"), api.scenarios(folder / "runs" / "cache")
    scene = built.scene(1)
    assert scene.window == built.window
    assert built.scene(1, Window(history_s=1.0)).window.steps == 11
    token = scene.id.token
    one, other = built.sample(token), stored.sample(token)
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[key], other[key]) for key in one)
    assert [len(line.points) for line in stored.drawing(token).sketch.lines] == [21]
    with pytest.raises(PlutoError, match="scenes come from a dataset"):
        stored.scene(token)


def test_what_cannot_be_drawn_says_why(folder, tmp_path):
    """No builder with a sketch, no plans, no cache, no run: one message each."""
    text = (folder / "a.toml").read_text(encoding="utf-8").partition("[[targets]]")[0]
    (tmp_path / "bare.toml").write_text(text, encoding="utf-8")
    bare = api.scenarios(tmp_path / "bare.toml", {"cache.path": tmp_path / "none"})
    with pytest.raises(PlutoError, match=r"none of the builders \(ego_history\) offers a `sketch`"):
        bare.drawing(0)
    with pytest.raises(PlutoError, match="has no predictions; they are made by the steps validate and test"):
        api.scenarios(folder / "runs" / "001")
    with pytest.raises(PlutoError, match="only the scenarios of a run with predictions"):
        bare.ranked()
    with pytest.raises(PlutoError, match="there is no cache at"):
        api.scenarios(folder / "a.toml", {"cache.only": True, "cache.path": tmp_path / "none"})
    with pytest.raises(PlutoError, match="is a cache: it has no settings to change and no parts"):
        api.scenarios(folder / "runs" / "cache", {"seed": 1})
    assert not (tmp_path / "none").exists()


def test_results_of_a_run(folder, tmp_path):
    """Numbers come from the run's folder, wherever it is; what is no run is refused."""
    assert api.results(folder / "runs" / "001")["status"] == "finished"
    moved = shutil.copytree(folder / "runs" / "001", tmp_path / "renamed")
    assert api.results(moved)["steps"]["cache"]["computed"] > 0
    with pytest.raises(PlutoError, match="is no run: it has neither"):
        api.results(tmp_path)
