"""What `pluto doctor` says about nuPlan's data."""

import shutil

import pytest

from pluto_core.moments import Surroundings
from pluto_nuplan.doctor import downloads, examine
from pluto_nuplan.splits import official_logs


@pytest.fixture
def look(tmp_path):
    """Return a function that examines an environment and gives findings by subject."""

    def look(**environment):
        surroundings = Surroundings(environment=environment, cache_home=tmp_path / "home")
        return {one.subject: one for one in examine(surroundings)}

    return look


@pytest.fixture
def copied(dataset, tmp_path):
    """Return a copy of the dataset that may be damaged."""
    return shutil.copytree(dataset.root, tmp_path / "copy")


def states(found):
    """Return the state of everything but the list of downloads."""
    return {name: one.state for name, one in found.items() if not name.startswith(("for ", "to start"))}


def test_without_variables_there_are_only_notes(look):
    """Nothing is broken, and the way to start without data is named."""
    found = look()
    assert set(states(found).values()) == {"note"}
    assert found["NUPLAN_DATA_ROOT"].command == "pluto run experiments/sanity.toml"


def test_whole_data_is_well(look, dataset):
    """Every log and map opens; maps are found beside the logs."""
    found = look(NUPLAN_DATA_ROOT=str(dataset.root))
    assert "broken" not in states(found).values()
    (location,) = [path.parts[-3] for path in dataset.root.rglob("map.gpkg")]
    assert found["NUPLAN_DATA_ROOT"].state == found["NUPLAN_MAPS_ROOT"].state == found[location].state == "ok"
    assert "2 logs need it" in found[location].text
    assert "2 of 2 logs open" in found["NUPLAN_DATA_ROOT"].text
    assert str(dataset.root) in found["NUPLAN_DATA_ROOT"].command


def test_a_log_that_is_cut_off_is_broken(look, copied):
    """Also where what is left of it still opens."""
    log = min(copied.rglob("*.db"))
    with log.open("r+b") as stream:
        stream.truncate(log.stat().st_size - 4096)
    found = look(NUPLAN_DATA_ROOT=str(copied))
    assert found["NUPLAN_DATA_ROOT"].text.startswith("1 of 2 logs open")
    assert found["NUPLAN_DATA_ROOT"].state == found[log.stem].state == "broken"
    assert "is cut off" in found[log.stem].text


def test_a_map_that_logs_need_must_be_there(look, copied):
    """Without it they are useless; without the whole folder too."""
    package = next(copied.rglob("map.gpkg"))
    location = package.parts[-3]
    package.unlink()
    assert look(NUPLAN_DATA_ROOT=str(copied))[location].state == "broken"
    found = look(NUPLAN_DATA_ROOT=str(copied), NUPLAN_MAPS_ROOT=str(copied / "nowhere"))
    assert found["NUPLAN_MAPS_ROOT"].state == "broken"


def test_a_folder_without_logs_is_broken(look, tmp_path):
    """A variable that leads nowhere is a mistake, not an absence."""
    assert look(NUPLAN_DATA_ROOT=str(tmp_path / "nowhere"))["NUPLAN_DATA_ROOT"].state == "broken"


def test_downloads_count_the_official_logs():
    """Who has all logs of a part needs nothing more for it."""
    logs = official_logs()
    found = {one.subject: one for one in downloads(logs["val"])}
    assert found["for val14"].state == "ok"
    assert f"; {len(logs['val']):,} are here" in found["for full training"].text
    assert f"{len(logs['val']):,} logs, 94 h" in found["for val14"].text
    assert "1090 scenarios" in found["for val14"].advice
    assert found["for test14-hard"].state == found["for full training"].state == "note"
    assert "; 0 are here" in found["for test14-hard"].text


def test_downloads_name_the_archives_and_their_sizes():
    """Each aim says which files to fetch and how large they are; the maps count for all, the nine parts of train once."""
    texts = {one.subject: one.text for one in downloads(())}
    for subject, part, size in (("to start: mini", "mini", 9.5), ("for val14", "val", 97.9), ("for test14-hard", "test", 96.9)):
        assert texts[subject].startswith(f"{size} GB to download")
        assert f"nuplan-maps-v1.1.zip, nuplan-v1.1_{part}.zip;" in texts[subject]
    full = texts["for full training"]
    assert full.startswith("1,115.2 GB to download, about 1,900 GB unpacked")
    assert "_val.zip, nuplan-v1.1_train_*.zip (9 of them);" in full
    assert "_test.zip" not in full
