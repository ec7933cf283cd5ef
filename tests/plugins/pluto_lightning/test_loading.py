"""Training from batches that other processes fill."""

import contextlib
import json
from pathlib import Path

import pytest
import torch

from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.experiment import read
from pluto_core.pipeline.reader import CacheReader
from pluto_core.run import execute
from pluto_core.run.workspace import Workspace

EXPERIMENT = """
name = "loading"
steps = ["cache", "train", "validate"]
plugins = ["pluto_core.testing.plugin"]
output_dir = "{folder}/runs"

[source]
use = "fake"
logs = 8
scenarios = 4

[splitter]
use = "by_log"
train = 0.5
val = 0.5
test = 0.0
salt = "2"

[model]
use = "ego_mlp"

[trainer]
use = "lightning"
epochs = 2
accelerator = "cpu"
save_every = 1
devices = {devices}

[loader]
batch_size = 2
workers = {workers}
"""


@pytest.fixture(autouse=True)
def _own_home(monkeypatch, tmp_path):
    """Keep what is computed out of the user's folders."""
    monkeypatch.setenv("PLUTO_CACHE_HOME", str(tmp_path / "home"))


def experiment(folder, *, workers, devices=1):
    """Return an experiment that writes below a folder."""
    folder.mkdir(exist_ok=True)
    path = folder / "loading.toml"
    path.write_text(EXPERIMENT.format(folder=folder, workers=workers, devices=devices))
    return read(path)


def weights(folder):
    """Return the weights that a run ended with."""
    return torch.load(folder / "runs" / "001" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def loading():
    """Return the processes that load samples for this one."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            found += (task / "children").read_text().split()
    return [one for one in found if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_processes_change_no_weight_and_none_stays(tmp_path, monkeypatch):
    """Weights are those of a run that loads by itself, also after Ctrl-C within an epoch, and no process is left."""
    alone, calm, wild = tmp_path / "alone", tmp_path / "calm", tmp_path / "wild"
    assert execute(experiment(alone, workers=0), progress=False) == 0
    assert execute(experiment(calm, workers=2), progress=False) == 0
    assert_same(weights(calm), weights(alone))
    forward, count = torch.nn.Linear.forward, []

    def stopping(self, values):
        count.append(len(loading()))
        if len(count) > 40:
            monkeypatch.setattr(torch.nn.Linear, "forward", forward)
            raise KeyboardInterrupt
        return forward(self, values)

    monkeypatch.setattr(torch.nn.Linear, "forward", stopping)
    with pytest.raises(KeyboardInterrupt):
        execute(experiment(wild, workers=2), progress=False)
    assert max(count) >= 2
    assert execute(experiment(wild, workers=2), progress=False) == 0
    assert_same(weights(wild), weights(alone))
    assert not loading()


def test_processes_import_no_torch(tmp_path):
    """What fills batches does not hold torch, whatever the training process imported."""
    made = experiment(tmp_path / "light", workers=1)
    assert execute(made, only=["cache"], progress=False) == 0
    source = Workspace(made, print).batches("train")
    next(source.batches(0))
    (process,) = loading()
    assert "libtorch" not in Path(f"/proc/{process}/maps").read_text()
    source.close()
    assert not loading()


@pytest.mark.parametrize("devices", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_says_what_was_replaced(tmp_path, monkeypatch, devices):
    """A damaged sample ends the run, or another stands in for it and the results name it with its reason, step by step.

    On two devices it is a process of its own that comes upon it.
    """
    for name in ("MASTER_ADDR", "MASTER_PORT"):  # Lightning writes them
        monkeypatch.setenv(name, "0")
        monkeypatch.delenv(name)
    path = tmp_path / "loading.toml"
    path.write_text(EXPERIMENT.format(folder=tmp_path, workers=0, devices=devices))
    assert execute(read(path), only=["cache"], progress=False) == 0
    bad = Workspace(read(path), print).stored.id(3).key
    whole = CacheReader._found

    def _found(self, tag, keys, *more):
        if bad in keys:
            raise SampleError(Reason.DAMAGED_VALUE, "checksum differs")
        return whole(self, tag, keys, *more)

    monkeypatch.setattr(CacheReader, "_found", _found)
    if devices == 1:
        with pytest.raises(PlutoError, match=bad):
            execute(read(path), progress=False)
    assert execute(read(path, settings=['loader.on_damaged="replace"']), progress=False) == 0
    (results,) = (json.loads(one.read_text()) for one in tmp_path.glob("runs/*/results.json") if "replaced" in one.read_text())
    steps = {name for name, step in results["steps"].items() if "replaced" in step}
    assert "train" in steps
    for name in steps:
        assert results["steps"][name]["replaced"] == [{"sample": bad, "reason": "damaged_value", "detail": "checksum differs"}]


@pytest.mark.slow
def test_processes_load_for_every_device(tmp_path, monkeypatch):
    """On two devices each has processes of its own, and the weights are those of two that load by themselves."""
    for name in ("MASTER_ADDR", "MASTER_PORT"):  # Lightning writes them
        monkeypatch.setenv(name, "0")
        monkeypatch.delenv(name)
    alone, crew = tmp_path / "alone", tmp_path / "crew"
    assert execute(experiment(alone, workers=0, devices=2), progress=False) == 0
    assert execute(experiment(crew, workers=1, devices=2), progress=False) == 0
    assert_same(weights(crew), weights(alone))
    assert not loading()
