import importlib.util
import sys
import warnings
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

import made

if importlib.util.find_spec("nuplan") is not None:
    with warnings.catch_warnings():  # what it and its friends warn of and set in the environment is not the tests' to judge
        warnings.simplefilter("ignore")
        import nuplan.planning.scenario_builder.nuplan_db.nuplan_scenario_builder
        import nuplan.planning.training.modeling.models.simple_vector_map_model
        import nuplan.planning.training.preprocessing.feature_preprocessor  # noqa: F401


@pytest.fixture(scope="session")
def devkit():
    """Skip where nuplan-devkit cannot be imported."""
    if importlib.util.find_spec("nuplan") is None:
        pytest.skip("nuplan-devkit is not installed; `tox -e devkit` installs it")


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """A small dataset that our reader and the devkit can open."""
    return made.dataset(tmp_path_factory.mktemp("nuplan"))


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A cache folder, so that the map is built once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def own(devkit, dataset):
    """Settings of the source `devkit` with the devkit's own scenario builder on that dataset."""
    return {"arguments": made.arguments(dataset), "map_radius_m": 60.0}
