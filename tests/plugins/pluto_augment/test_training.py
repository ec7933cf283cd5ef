import csv
import json
import math

import pytest

from pluto_core.experiment import read
from pluto_core.run import execute

pytest.importorskip("torch")

EXPERIMENT = """
name = "contrast"
steps = ["cache", "train"]
plugins = ["pluto_core.testing.plugin"]
output_dir = "{folder}/runs"

[source]
use = "fake"
logs = 6
scenarios = 2

[splitter]
use = "by_log"
train = 0.7
val = 0.3
test = 0.0

[[augmentations]]
use = "contrastive"
{augmentation}

[model]
use = "pluto"
dim = 16
encoder_depth = 1
decoder_depth = 1
num_modes = 3
use_hidden_proj = true

[objective]
use = "pluto"
contrast = true

[trainer]
use = "lightning"
epochs = 1
accelerator = "cpu"
log_every = 1

[[loggers]]
use = "csv"

[loader]
batch_size = 4
"""


@pytest.fixture
def train(monkeypatch, tmp_path):
    """Return a function that trains PLUTO for an epoch and returns the columns of its log."""
    monkeypatch.setenv("PLUTO_CACHE_HOME", str(tmp_path / "home"))

    def call(augmentation=""):
        path = tmp_path / "contrast.toml"
        path.write_text(EXPERIMENT.format(folder=tmp_path, augmentation=augmentation))
        assert execute(read(path), progress=False) == 0
        results = json.loads((tmp_path / "runs" / "001" / "results.json").read_text())
        folder = tmp_path / results["steps"]["train"]["files"]["Csv log"]
        columns = {}
        for row in csv.DictReader((folder / "metrics.csv").read_text().splitlines()):
            for key, value in row.items():
                columns.setdefault(key, []).extend([float(value)] if value else [])
        return columns

    return call


def test_an_epoch_with_contrast(train):
    """PLUTO trains on triplets: every term is finite, and the contrastive one is in the log, positive."""
    columns = train()
    [key] = [name for name in columns if name.startswith("train/contrastive_loss")]
    assert all(math.isfinite(value) for values in columns.values() for value in values)
    assert min(columns[key]) > 0


def test_an_epoch_without_copies(train):
    """Where no copy is made there is nothing to contrast, and training goes on."""
    columns = train("probability = 0.0")
    [key] = [name for name in columns if name.startswith("train/contrastive_loss")]
    assert set(columns[key]) == {0.0}
