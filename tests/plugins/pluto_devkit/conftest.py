import importlib.util
import json
import shutil
import warnings

import pytest

from pluto_nuplan.synth.dataset import write_dataset

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


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """Two logs of 14 s and their map, in nuPlan's format; the devkit opens the maps of all locations at once."""
    written = write_dataset(tmp_path_factory.mktemp("nuplan") / "data", logs=2, seconds=14, grid=(1, 1))
    there = next(written.map_root.glob("*/*/map.gpkg"))
    for name, told in json.loads((written.map_root / "nuplan-maps-v1.0.json").read_text()).items():
        place = written.map_root / name / told["version"] / "map.gpkg"
        if not place.exists():
            place.parent.mkdir(parents=True)
            shutil.copy(there, place)
    return written


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A cache folder, so that the map is built once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def own(devkit, dataset):
    """Settings of the source `devkit` with the devkit's own scenario builder on that dataset."""
    arguments = {
        "data_root": str(dataset.data_root),
        "map_root": str(dataset.map_root),
        "sensor_root": str(dataset.root),
        "db_files": None,
        "map_version": "nuplan-maps-v1.0",
        "verbose": False,
    }
    return {"arguments": arguments, "map_radius_m": 60.0}
