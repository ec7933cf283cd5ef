import importlib.util
import warnings

import pytest

if importlib.util.find_spec("nuplan") is not None:
    with warnings.catch_warnings():  # what it and its friends warn of and set in the environment is not the tests' to judge
        warnings.simplefilter("ignore")
        import nuplan.planning.scenario_builder.nuplan_db.nuplan_scenario_builder
        import nuplan.planning.training.modeling.models.simple_vector_map_model  # noqa: F401


@pytest.fixture(scope="session")
def devkit():
    """Skip where nuplan-devkit cannot be imported."""
    if importlib.util.find_spec("nuplan") is None:
        pytest.skip("nuplan-devkit is not installed; `tox -e devkit` installs it")
