"""A small dataset in nuPlan's format, made once for all tests of the plugin."""

from pathlib import Path

import pytest

from pluto_nuplan.config import NuPlanConfig
from pluto_nuplan.source import NuPlanSource
from pluto_nuplan.synth.dataset import DatasetSummary, write_dataset


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> DatasetSummary:
    """Return two logs of 14 s, of eight scenes each, and their map; not to be changed."""
    return write_dataset(tmp_path_factory.mktemp("nuplan") / "data", logs=2, seconds=14, grid=(1, 1))


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder, so that the map is built once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def source(dataset: DatasetSummary, home: Path) -> NuPlanSource:
    """Return a fresh source of the dataset."""
    return NuPlanSource(NuPlanConfig(data_root=str(dataset.root)), cache_home=home)
