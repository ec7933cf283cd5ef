"""`pluto bench` with the trainer `lightning`: a training step is measured, and nothing of the training stays."""

import json

import pytest

from pluto_core.cli import main

EXPERIMENT = """
name = "bench"
plugins = ["pluto_core.testing.plugin"]

[source]
use = "fake"
logs = 4
scenarios = 4

[model]
use = "ego_mlp"

[schedule]
use = "onecycle"

[trainer]
use = "lightning"
epochs = 1
accelerator = "cpu"

[loader]
batch_size = 4

[[loggers]]
use = "csv"
"""


def test_a_training_step_is_measured(tmp_path, monkeypatch, capsys):
    """One epoch, a batch that is not full, loggers: the step of full batches is told all the same, and no file is left."""
    monkeypatch.setenv("PLUTO_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench.toml").write_text(EXPERIMENT, encoding="utf-8")
    command = ["bench", "bench.toml", "--only", "loader", "--only", "step", "--rounds", "2", "--seconds", "0.05", "--json"]
    assert main.outcome(command) == 0
    output = capsys.readouterr()
    found = json.loads(output.out)
    figures = {one["name"]: one for one in found["figures"] if one["part"] == "step"}
    assert set(figures) == {"batches of 4", "training at most", "until the first step"}
    step, rate = figures["batches of 4"], figures["training at most"]
    assert step["rounds"] == rate["rounds"] == 2
    assert 0 < step["lowest"] <= step["highest"]
    assert rate["highest"] * step["lowest"] == pytest.approx(4 * 1e3)
    assert found["about"]["step"].startswith("lightning, ego_mlp; 16 samples made for this")
    assert "of its time" in found["verdict"]
    assert "Params" not in output.err
    assert [path.name for path in tmp_path.iterdir()] == ["bench.toml"]
