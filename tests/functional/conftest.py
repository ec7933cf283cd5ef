"""A small experiment on a small synthetic town, which the tests of whole runs share."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pluto_nuplan.synth.dataset import write_dataset

EXPERIMENT = """
name = "small"
steps = ["cache", "train", "validate"]

[source]
use = "nuplan"
data_root = "{data_root}"

[filter]
num_scenarios_per_type = 3
timestamp_threshold_s = 2.0

[splitter]
use = "nuplan_logs"

[model]
use = "pluto"
dim = 16
encoder_depth = 1
decoder_depth = 1
num_modes = 2

[schedule]
use = "warmup_cosine"
warmup_epochs = 1

[trainer]
use = "lightning"
epochs = 2
accelerator = "cpu"
save_top_k = 1

[loader]
batch_size = 8
limit_train_batches = 2
limit_val_batches = 1
"""


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a synthetic dataset: three short logs, one for each part."""
    return write_dataset(tmp_path_factory.mktemp("town") / "data", logs=3, seconds=27.0, grid=(2, 2), seed=3).root


@pytest.fixture(scope="session")
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a user's cache folder, so that maps are built once for all tests."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def small(tmp_path: Path, town: Path) -> Path:
    """Return the file of a small experiment."""
    path = tmp_path / "small.toml"
    path.write_text(EXPERIMENT.format(data_root=town), encoding="utf-8")
    return path


@pytest.fixture
def run(pluto: Callable[..., object], cache_home: Path) -> Callable[..., object]:
    """Return a function that runs `pluto run` with the shared cache home, on one thread."""

    def call(*arguments: object, **options: object) -> object:
        env = {"PLUTO_CACHE_HOME": str(cache_home), "OMP_NUM_THREADS": "1", **options.pop("env", {})}
        return pluto("run", *arguments, env=env, **options)

    return call
