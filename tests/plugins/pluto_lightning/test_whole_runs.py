import json
import math

import pytest
import torch

from pluto_core.experiment import read
from pluto_core.run import execute

EXPERIMENT = """
name = "whole"
steps = ["cache", "train", "validate", "test"]
plugins = ["pluto_core.testing.plugin"]
output_dir = "{output_dir}"

[source]
use = "fake"
logs = 8
scenarios = 4

[splitter]
use = "by_log"
train = 0.5
val = 0.25
test = 0.25
salt = "2"

[model]
use = "{model}"

[schedule]
use = "{schedule}"

[trainer]
use = "lightning"
epochs = 2
accelerator = "cpu"
save_top_k = 1

[loader]
batch_size = 4

[[loggers]]
use = "tensorboard"

[[loggers]]
use = "csv"

[[callbacks]]
use = "early_stopping"
patience = 3
"""


@pytest.fixture(autouse=True)
def _same_environment(monkeypatch, tmp_path):
    """Keep what a run sets for its own process from outliving the test."""
    monkeypatch.setenv("PLUTO_CACHE_HOME", str(tmp_path / "home"))


def run(folder, model, schedule="onecycle"):
    """Do an experiment in this process and return its results."""
    path = folder / "whole.toml"
    path.write_text(EXPERIMENT.format(output_dir=folder / "runs", model=model, schedule=schedule))
    assert execute(read(path), progress=False) == 0
    return json.loads((folder / "runs" / "001" / "results.json").read_text())


@pytest.mark.parametrize("model", ["constant_velocity", "ego_mlp"])
def test_a_model_of_this_plugin_goes_the_whole_way(model, tmp_path):
    """From scenes in memory to pictures: builders come from the model's needs, every named file exists, numbers are finite."""
    results = run(tmp_path, model)
    assert results["status"] == "finished"
    steps = results["steps"]
    assert steps["train"]["epochs"] == 2
    for name in ("validate", "test"):
        assert {"planner", "untrained", "constant_velocity"} <= steps[name]["metrics"].keys()
        assert math.isfinite(steps[name]["metrics"]["planner"]["fde_top1_m"])
        assert steps[name]["count"] >= 4
    files = {key: path for step in steps.values() for key, path in step["files"].items()}
    assert all((tmp_path / path).exists() for path in files.values())
    assert {"TensorBoard log", "Csv log", "checkpoint (best)", "picture (best)", "picture (worst)"} <= files.keys()
    if model == "constant_velocity":
        same = steps["validate"]["metrics"]
        assert same["planner"]["fde_top1_m"] == pytest.approx(same["constant_velocity"]["fde_top1_m"], rel=1e-6)


def test_a_run_continues_with_the_weights_of_an_undisturbed_one(tmp_path, monkeypatch):
    """Ctrl-C in the second epoch of a whole run, and the same experiment again: equal weights, the run's folder goes on."""
    calm, wild = tmp_path / "calm", tmp_path / "wild"
    for folder in (calm, wild):
        folder.mkdir()
    run(calm, "ego_mlp")
    forward, count = torch.nn.Linear.forward, []

    def stopping(self, values):
        count.append(1)
        if len(count) > 40:
            monkeypatch.setattr(torch.nn.Linear, "forward", forward)
            raise KeyboardInterrupt
        return forward(self, values)

    monkeypatch.setattr(torch.nn.Linear, "forward", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(wild, "ego_mlp")
    assert (wild / "runs" / "001" / "checkpoints" / "last.ckpt").exists()
    assert run(wild, "ego_mlp")["status"] == "finished"
    calm_weights, wild_weights = (
        torch.load(folder / "runs" / "001" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in (calm, wild)
    )
    assert calm_weights.keys() == wild_weights.keys()
    assert all(torch.equal(calm_weights[name], wild_weights[name]) for name in calm_weights)
