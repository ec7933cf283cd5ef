"""pluto in Python, on a small Argoverse recording: read, check, run, open the cache."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pluto_basics.stores_files import FileShards, FilesReader
from pluto_core import PlutoError, SampleError, api
from pluto_core.errors import ExperimentError
from pluto_core.run.workspace import Workspace

EXPERIMENT = """
name = "small"
steps = ["cache"]

[source]
use = "av2"
data_root = "{recordings}"

[[targets]]
use = "ego_trajectory"
horizon_s = 2.0
"""


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Return the folder of an experiment on one recording, for tests that write elsewhere."""
    folder = tmp_path_factory.mktemp("api")
    place = Path(__file__).parent.parent / "plugins" / "pluto_av2" / "conftest.py"
    spec = importlib.util.spec_from_file_location("pluto_av2_writers", place)
    writers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writers)
    writers.write_sensor_log(folder / "recordings")
    text = EXPERIMENT.format(recordings=(folder / "recordings").as_posix())
    (folder / "small.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def settings(tmp_path):
    """Return settings that put everything into a folder of this test."""
    return {"output_dir": str(tmp_path / "runs"), "cache.path": tmp_path / "cache"}


def test_read(made, settings):
    """An experiment is read with settings as values; what TOML cannot hold is refused by key."""
    experiment = api.read(made / "small.toml", {**settings, "seed": 4, "loader.type_weights": {"a": 2.0}})
    assert (experiment.seed, experiment.loader.type_weights, experiment.cache.path) == (
        4,
        {"a": 2.0},
        str(settings["cache.path"]),
    )
    with pytest.raises(PlutoError, match="settings: seed: TOML cannot hold None"):
        api.read(made / "small.toml", {"seed": None})


def test_check(made, tmp_path):
    """`check` gives mistakes as values, and notes where there are none."""
    found = api.check(made / "small.toml", {"seed": "4", "source.strid": 2})
    assert [mistake.key for mistake in found.mistakes] == ["seed", "source.strid"]
    assert api.check(made / "small.toml") == api.Checked(())
    variable = api.check(made / "small.toml", {"source.data_root": "${NO_SUCH_ROOT}"})
    assert not variable.mistakes
    assert [note.key for note in variable.notes] == ["source.data_root"]


def test_run_and_open(made, settings, tmp_path):
    """A run leaves results; its cache opens by path alone, with the samples that were computed."""
    done = api.run(api.read(made / "small.toml", settings))
    assert done.path == tmp_path / "runs" / "001"
    assert done.results["status"] == "finished"
    count = done.results["steps"]["cache"]["computed"]
    samples = api.open_cache(settings["cache.path"])
    assert len(samples.keys) == count > 0
    assert all(sample["truth/trajectory"].shape == (20, 3) for sample in samples.get_many(samples.keys))
    with pytest.raises(PlutoError, match="the cache holds nothing of builder 'pluto'"):
        api.open_cache(settings["cache.path"], builders=["pluto"])


def test_refusals(made, settings, tmp_path):
    """Unknown steps, missing variables and folders that are no caches are mistakes; nothing is begun."""
    experiment = api.read(made / "small.toml", settings)
    with pytest.raises(PlutoError, match=r"only: 'tset' is none of the experiment's steps \(cache\)"):
        api.run(experiment, only=["tset"])
    with pytest.raises(ExperimentError, match="NO_SUCH_ROOT is not set"):
        api.run(api.read(made / "small.toml", {**settings, "source.data_root": "${NO_SUCH_ROOT}"}))
    with pytest.raises(PlutoError, match="there is no cache at"):
        api.open_cache(tmp_path / "none")
    assert not list(tmp_path.iterdir())


def test_fresh_wipes_the_cache_and_nothing_else(made, settings):
    """`fresh` with the step `cache` computes everything again; a folder that is no cache is left alone."""
    experiment = api.read(made / "small.toml", settings)
    first = api.run(experiment)
    again = api.run(experiment, fresh=True)
    assert again.path.name == "002"
    assert again.results["steps"]["cache"]["computed"] == first.results["steps"]["cache"]["computed"]
    precious = settings["cache.path"].with_name("precious")
    precious.mkdir()
    (precious / "thesis.tex").touch()
    with pytest.raises(PlutoError, match="holds something else and is no cache"):
        api.run(api.read(made / "small.toml", {**settings, "cache.path": precious}), fresh=True)
    assert (precious / "thesis.tex").exists()


@pytest.fixture
def alone(made, settings):
    """Return a function that makes the workspace of training from the cache alone: `alone({settings}, notes)`."""
    settings |= {"cache.use": "files"}
    api.run(api.read(made / "small.toml", settings))
    training = {**settings, "cache.only": True, "steps": ["train"], "model.use": "constant_velocity", "model.horizon_s": 2.0}
    return lambda more, notes: Workspace(api.read(made / "small.toml", {**training, "splitter.use": "one_part", **more}), notes)


def test_verify_reaches_the_reader(alone, settings):
    """`loader.verify` finds a value of which one byte changed; without it, numbers are taken as they are."""
    for path in settings["cache.path"].rglob("*"):
        if path.is_file() and "shards" in path.parts and path.stat().st_size > 200:
            data = bytearray(path.read_bytes())
            data[-9] ^= 1
            path.write_bytes(data)
    part = {"splitter.part": "train", "loader.shuffle": False}
    with pytest.raises((PlutoError, SampleError), match="checksum"):
        list(alone({**part, "loader.verify": True}, print).batches("train").batches(0))


def test_released_batches_leave_no_shard_open(alone, monkeypatch):
    """What a step's batches opened is closed when the step ends, whenever that is collected; later ones open it again."""
    held, opened, close = [], FileShards.open, FilesReader.close
    monkeypatch.setattr(FileShards, "open", lambda store, path: held.append(opened(store, path)) or held[-1])
    monkeypatch.setattr(FilesReader, "close", lambda reader: held.remove(reader) or close(reader))
    workspace = alone({"splitter.part": "train"}, print)
    source = workspace.batches("train")
    for _ in range(2):
        next(iter(source.batches(0)))
        assert held
        workspace.release()
        assert not held
        source = workspace.batches("train")


def test_unreadable_shards_are_shown(made, settings):
    """Who trains without the dataset is told which shards cannot be read, and what to do."""
    api.run(api.read(made / "small.toml", settings))
    for shard in (settings["cache.path"] / "shards").iterdir():
        shard.write_bytes(b"no shard at all")
    notes = []
    folder = Workspace(api.read(made / "small.toml", {**settings, "cache.only": True}), notes.append).folder
    assert len(notes) == len(folder.problems()) > 0
    assert "cannot be read" in notes[0]
    assert "run the step 'cache' where the dataset is" in notes[0]


def test_no_torch():
    """Importing the API imports neither torch nor Lightning."""
    code = "import sys, pluto_core.api; assert not {'torch', 'pytorch_lightning'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_samples_are_arrays(made, settings):
    """Samples come as numpy arrays under the keys of the spec."""
    api.run(api.read(made / "small.toml", settings))
    samples = api.open_cache(settings["cache.path"], verify=True)
    sample = samples.get_many([samples.keys[0]])[0]
    assert sample.keys() == samples.spec.keys()
    assert all(isinstance(value, np.ndarray) for value in sample.values())
