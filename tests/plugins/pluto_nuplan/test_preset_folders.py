"""The source presets find the logs that they mean, in the folders that nuPlan's downloads make and in those of its devkit."""

import pytest

from pluto_core import Context, PlutoError
from pluto_core.experiment import read

SINGLE = {
    "train_boston": ["boston-1"],
    "train_pittsburgh": ["pittsburgh-1"],
    "train_singapore": ["singapore-1"],
    "train_vegas_1": ["vegas-1"],
    "train_vegas_6": ["vegas-6"],
    "val": ["val-1"],
    "test": ["test-1"],
    "mini": ["mini-1"],
}
"""Folders of the single downloads."""
JOINED = {
    "trainval": ["boston-1", "pittsburgh-1", "singapore-1", "vegas-1", "vegas-6", "val-1"],
    "test": ["test-1"],
    "mini": ["mini-1"],
}
"""Folders of the devkit: training and validation together."""
TRAINVAL = set(JOINED["trainval"])
LAYOUTS = {
    "single downloads, below splits": ("nuplan-v1.1/splits", SINGLE),
    "single downloads, beside one another": ("", SINGLE),
    "trainval, below splits": ("nuplan-v1.1/splits", JOINED),
    "trainval, below the version": ("nuplan-v1.1", JOINED),
    "as unpacked": ("data/cache", SINGLE),
}


@pytest.fixture
def logs_of(tmp_path):
    """Return a function that gives the logs which a preset finds in a layout."""

    def find(preset, layout):
        base, folders = LAYOUTS[layout]
        for folder, logs in folders.items():
            for log in logs:
                path = tmp_path / "dataset" / base / folder / f"{log}.db"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        (tmp_path / "maps").mkdir()
        (tmp_path / "maps" / "nuplan-maps-v1.0.json").write_text("{}")
        path = tmp_path / "a.toml"
        path.write_text(f'steps = ["cache"]\n[source]\npreset = "{preset}"\n[[targets]]\nuse = "ego_trajectory"\n')
        environment = {"NUPLAN_DATA_ROOT": str(tmp_path / "dataset"), "NUPLAN_MAPS_ROOT": str(tmp_path / "maps")}
        experiment = read(path, environment=environment)
        experiment.require_variables()
        dataset = experiment.make("source", Context(cache_home=tmp_path / "home")).identity().dataset
        return {name.partition(" ")[0] for name in dataset}  # behind a space: more that is told of the same log

    return find


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("preset", "logs"), [("nuplan", TRAINVAL), ("nuplan_mini", {"mini-1"}), ("nuplan_challenge", {"test-1"})]
)
def test_layouts(logs_of, layout, preset, logs):
    """Every preset takes its logs and no others, in every layout."""
    assert logs_of(preset, layout) == logs


def test_boston(logs_of):
    """Boston is a folder of its own among the single downloads."""
    assert logs_of("nuplan_boston", "single downloads, below splits") == {"boston-1"}


def test_boston_among_all(logs_of):
    """Where there is no folder of Boston, the message names what was looked for."""
    with pytest.raises(PlutoError, match="train_boston"):
        logs_of("nuplan_boston", "trainval, below splits")
