"""The source `nuplan`: what it finds, what it refuses, and that it goes on."""

import json
import pickle
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import adbc_driver_sqlite
import numpy as np
import pytest

from pluto_core.component import Context
from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.filters import ScenarioFilter
from pluto_core.protocols import ScenarioSource
from pluto_core.scene import PACIFICA, Category, ScenarioId, Scene, Vehicle, Window
from pluto_nuplan.config import NuPlanConfig, VehicleConfig
from pluto_nuplan.source import NuPlanSource, make
from pluto_nuplan.synth.dataset import DatasetSummary

WINDOW = Window(history_s=1.0, future_s=2.0, interval_s=0.1)
EVERYTHING = ScenarioFilter()


def first_scenario(source: NuPlanSource, wanted: ScenarioFilter = EVERYTHING) -> ScenarioId:
    """Return the first scenario of the first log."""
    return source.list(wanted).id(0)


def refusal(source: NuPlanSource, scenario: ScenarioId) -> SampleError:
    """Return why a scenario is refused."""
    with pytest.raises(SampleError) as caught:
        source.load(scenario, WINDOW)
    return caught.value


def assert_equal_scenes(one: Scene, other: Scene) -> None:
    """Prove that two scenes hold the same."""
    assert (one.id, one.scenario_type) == (other.id, other.scenario_type)
    for part in ("ego", "tracks", "static_objects", "lights"):
        for name, value in vars_of(getattr(one, part)).items():
            assert np.array_equal(value, vars_of(getattr(other, part))[name]), f"{part}.{name}"
    assert np.array_equal(one.times_us, other.times_us)
    assert np.array_equal(one.route, other.route)


def vars_of(thing: object) -> dict[str, np.ndarray]:
    """Return the arrays of an attrs object."""
    return {name: getattr(thing, name) for name in thing.__slots__ if isinstance(getattr(thing, name, None), np.ndarray)}


# ---------------------------------------------------------------------------------------------------------------------
# Where logs and maps are.
# ---------------------------------------------------------------------------------------------------------------------


def logs_of(source: NuPlanSource) -> set[str]:
    """Return the names of a source's logs, which are not read for it."""
    return {name for name in source.identity().dataset if "_veh-" in name and not name.endswith("(writes)")}


@pytest.mark.parametrize(
    "layout", ["", "nuplan-v1.1/splits/mini", "nuplan-v1.1/trainval", "splits/trainval", "data/cache/train_boston"]
)
def test_every_layout_is_found(tmp_path: Path, dataset: DatasetSummary, layout: str) -> None:
    """Logs are found in the root and where nuPlan's downloads and its devkit put them; maps beside them."""
    shutil.copytree(dataset.data_root, tmp_path / layout, dirs_exist_ok=True)
    shutil.copytree(dataset.map_root, tmp_path / "maps")
    for root in (tmp_path, tmp_path / layout):
        assert len(logs_of(NuPlanSource(NuPlanConfig(data_root=str(root))))) == 2


def test_a_split_takes_its_folders_only(tmp_path: Path, dataset: DatasetSummary) -> None:
    """`split` chooses folders by pattern, and a log that two folders hold is listed once."""
    for folder in ("mini", "trainval"):
        shutil.copytree(dataset.data_root, tmp_path / "nuplan-v1.1" / "splits" / folder)
    next((tmp_path / "nuplan-v1.1" / "splits" / "mini").glob("*.db")).unlink()
    maps = str(dataset.map_root)

    def count(split: str | tuple[str, ...] | None) -> int:
        return len(logs_of(NuPlanSource(NuPlanConfig(data_root=str(tmp_path), map_root=maps, split=split))))

    assert (count(None), count("mini"), count("train*"), count(("mini", "val"))) == (2, 1, 2, 1)
    with pytest.raises(PlutoError, match=r"no nuPlan log .* in a folder test"):
        count("test")


def test_one_file_or_a_list_of_files_is_a_source(dataset: DatasetSummary) -> None:
    """`data_root` may be a single log, and a list is taken in the order of its paths, each once."""
    files = sorted(str(path) for path in dataset.data_root.glob("*.db"))
    one = NuPlanSource(NuPlanConfig(data_root=files[0]))
    both = NuPlanSource(NuPlanConfig(data_root=(files[1], files[0], files[1])))
    assert one.list(EVERYTHING).logs.values == (Path(files[0]).stem,)
    assert both.list(EVERYTHING).logs.values == tuple(Path(file).stem for file in files)


def test_missing_folders_are_named_with_their_setting(tmp_path: Path, dataset: DatasetSummary) -> None:
    """A folder that is missing or empty, and maps that are missing, give one message with path and setting."""
    (tmp_path / "empty").mkdir()
    cases = {
        "there is no folder or file": NuPlanConfig(data_root=str(tmp_path / "nowhere")),
        "holds no nuPlan log": NuPlanConfig(data_root=str(tmp_path / "empty")),
        "holds no nuplan-maps-v1.0.json": NuPlanConfig(data_root=str(dataset.root), map_root=str(tmp_path / "empty")),
        "holds no other.json": NuPlanConfig(data_root=str(dataset.root), map_root=str(dataset.map_root), map_version="other"),
        "there is no folder": NuPlanConfig(data_root=str(dataset.root), map_root=str(tmp_path / "no maps")),
        "the list is empty": NuPlanConfig(data_root=()),
    }
    for text, config in cases.items():
        with pytest.raises(PlutoError, match=rf"^source\.(data|map)_root: .*{text}"):
            NuPlanSource(config)


def test_a_lone_file_that_is_no_database_is_named(tmp_path: Path, dataset: DatasetSummary) -> None:
    """Where no log can be read there is nothing to go on with: one message with the path, the setting and the reason."""
    (tmp_path / "log.db").write_bytes(b"hello" * 1000)
    source = NuPlanSource(NuPlanConfig(data_root=str(tmp_path), map_root=str(dataset.map_root)))
    with pytest.raises(PlutoError, match=r"^source\.data_root: no log can be read: .*log\.db: .*file is not a database"):
        source.list(EVERYTHING)


def test_a_map_that_is_missing_is_named(tmp_path: Path, dataset: DatasetSummary, home: Path) -> None:
    """A location without its map file is one message when listing, and a reason when a scenario is loaded."""
    shutil.copytree(dataset.map_root, tmp_path / "maps")
    next((tmp_path / "maps").glob("*/*/map.gpkg")).unlink()
    source = NuPlanSource(NuPlanConfig(data_root=str(dataset.root), map_root=str(tmp_path / "maps")), cache_home=home)
    with pytest.raises(PlutoError, match=r"^source\.map_root: .*map\.gpkg"):
        source.list(EVERYTHING)
    scenario = first_scenario(NuPlanSource(NuPlanConfig(data_root=str(dataset.root))))
    assert refusal(source, scenario).reason is Reason.MISSING_MAP


def test_maps_of_another_version(tmp_path: Path, dataset: DatasetSummary, home: Path, source: NuPlanSource) -> None:
    """`map_version` names the index of the maps, which names the folder of each location."""
    maps = tmp_path / "maps"
    shutil.copytree(dataset.map_root, maps)
    index = json.loads((maps / "nuplan-maps-v1.0.json").read_text(encoding="utf-8"))
    (maps / "nuplan-maps-v1.0.json").unlink()
    (package,) = maps.glob("*/*/map.gpkg")
    package.parent.rename(package.parent.with_name("ours"))
    index[package.parts[-3]]["version"] = "ours"
    (maps / "next.json").write_text(json.dumps(index), encoding="utf-8")
    config = NuPlanConfig(data_root=str(dataset.data_root), map_root=str(maps), map_version="next")
    scenario = first_scenario(source)
    scene = NuPlanSource(config, cache_home=home).load(scenario, WINDOW)
    assert_equal_scenes(scene, source.load(scenario, WINDOW))
    assert scene.map.name == package.parts[-3]
    assert len(scene.map.lanes.ids)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"subsample_ratio": 0.4}, "subsample_ratio: the ratio must be 1 divided by a whole number"),
        ({"scenario_mapping": {"unknown": (15.0,)}}, "scenario_mapping.unknown: give "),
        ({"scenario_mapping": {"unknown": (0.0, 1.0)}}, "duration must be above 0"),
    ],
)
def test_cuts_that_make_no_sense_are_refused(dataset: DatasetSummary, settings: dict, text: str) -> None:
    """A cut without duration or with an odd ratio is refused before anything is read."""
    with pytest.raises(PlutoError, match=text):
        NuPlanSource(NuPlanConfig(data_root=str(dataset.root), **settings))


# ---------------------------------------------------------------------------------------------------------------------
# Scenes.
# ---------------------------------------------------------------------------------------------------------------------


def test_many_scenes_equal_single_ones(source: NuPlanSource, dataset: DatasetSummary, home: Path) -> None:
    """`load_many` gives what `load` gives, in the order asked for, with an error in place of what cannot be read."""
    listing = source.list(EVERYTHING)
    rows = [100, 3, 50]
    nowhere = ScenarioId(listing.logs.text(0), "00000000000000ff", 0)
    asked = [*(listing.id(row) for row in rows), nowhere]
    found = list(source.load_many(asked, WINDOW))
    assert [scene.id for scene in found[:3]] == asked[:3]
    assert isinstance(found[3], SampleError)
    assert found[3].reason is Reason.PRESENT_MISSING
    for scene in found[:3]:
        scene.check()
        alone = NuPlanSource(NuPlanConfig(data_root=str(dataset.root)), cache_home=home)
        assert_equal_scenes(scene, alone.load(scene.id, WINDOW))


def test_files_are_opened_a_few_times(source: NuPlanSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log is opened as often for many scenarios as for one: for its index, its tracks, its indices, and what they show."""
    opened, connect = [], adbc_driver_sqlite.connect
    monkeypatch.setattr(adbc_driver_sqlite, "connect", lambda uri: opened.append(uri) or connect(uri))
    listing = source.list(EVERYTHING)
    assert len(opened) == len(listing.logs.values)
    count = {}
    for rows in ([0], range(40)):
        opened.clear()
        copy = pickle.loads(pickle.dumps(source))  # noqa: S301 -- our own; it has read nothing
        assert all(isinstance(scene, Scene) for scene in copy.load_many([listing.id(row) for row in rows], WINDOW))
        count[len(rows)] = len(opened)
    assert count[1] <= 5
    assert count[40] <= 5


def test_a_narrower_window_is_a_part_of_a_wider_one(source: NuPlanSource) -> None:
    """What a builder gets does not depend on what others ask for."""
    scenario = source.list(EVERYTHING).id(60)
    wide = source.load(scenario, Window(history_s=2.0, future_s=4.0, interval_s=0.1))
    narrow = Window(history_s=1.0, future_s=2.0, interval_s=0.2)
    assert_equal_scenes(wide.narrow(narrow), source.load(scenario, narrow))


def test_ends_of_a_log_make_ragged_scenes(source: NuPlanSource) -> None:
    """Steps that the log does not reach are there, not valid, and hold zeros."""
    scene = source.load(first_scenario(source), Window(history_s=8.0, future_s=20.0, interval_s=0.1))
    scene.check()
    lacking = ~scene.ego.valid
    assert 0 < lacking[:80].sum() < 80
    assert 0 < lacking[81:].sum() < 200
    assert not scene.tracks.valid[:, lacking].any()
    assert not scene.ego.position[lacking].any()
    assert (np.diff(scene.times_us) > 0).all()


def test_rows_of_tracks_begin_with_the_present(source: NuPlanSource) -> None:
    """Tracks of the present frame come first, by category; the others in order of first appearance."""
    for scene in source.load_many([source.list(EVERYTHING).id(row) for row in (0, 70, 130)], WINDOW):
        assert isinstance(scene, Scene)
        now = scene.tracks.valid[:, scene.present]
        first_seen = scene.tracks.valid.argmax(axis=1)
        assert not np.diff(now.astype(int)).clip(min=0).any()
        assert (np.diff(scene.tracks.category[now]) >= 0).all()
        assert (np.diff(first_seen[~now]) >= 0).all()
        assert (np.diff(scene.static_objects.category) >= 0).all()
        assert not scene.ego.steering_valid.any()


def test_a_source_survives_pickling(source: NuPlanSource) -> None:
    """A copy in another process opens its files anew and gives the same scenes."""
    scene = source.load(first_scenario(source), WINDOW)
    data = pickle.dumps(source)
    assert len(data) < 10_000
    copy = pickle.loads(data)  # noqa: S301 -- our own
    assert isinstance(copy, ScenarioSource)
    assert_equal_scenes(copy.load(scene.id, WINDOW), scene)


def test_identity_names_no_folder(tmp_path: Path, source: NuPlanSource, dataset: DatasetSummary) -> None:
    """A dataset that was moved is the same dataset; another way of sampling is not the same source."""
    shutil.copytree(dataset.root, tmp_path / "elsewhere")
    moved = NuPlanSource(NuPlanConfig(data_root=str(tmp_path / "elsewhere")))
    by_time = NuPlanSource(NuPlanConfig(data_root=str(dataset.root), sampling="time"))
    assert moved.identity() == source.identity()
    assert by_time.identity() != source.identity()
    assert str(dataset.root) not in str(source.identity())


def test_identity_changes_with_what_a_log_holds(tmp_path: Path, dataset: DatasetSummary) -> None:
    """A row that is changed in place leaves the size of its file; the log is another one all the same, and no other is."""
    shutil.copytree(dataset.data_root, tmp_path / "logs")
    config = NuPlanConfig(data_root=str(tmp_path / "logs"), map_root=str(dataset.map_root))
    before = NuPlanSource(config).identity().dataset
    changed = min((tmp_path / "logs").glob("*.db"))
    with closing(sqlite3.connect(changed)) as connection, connection:
        connection.execute("UPDATE scenario_tag SET type = 'other' WHERE rowid = 1")
    connection.close()
    after = NuPlanSource(config).identity().dataset
    assert before[changed.stem] == after[changed.stem]
    assert {name for name in before if before[name] != after[name]} == {f"{changed.stem} (writes)"}


def test_another_vehicle_has_its_own_shape(dataset: DatasetSummary, home: Path, source: NuPlanSource) -> None:
    """A table of lengths replaces nuPlan's car in every scene, and makes another source; the default is the car."""
    lengths = {"width_m": 2.0, "front_length_m": 3.0, "rear_length_m": 1.0, "wheel_base_m": 2.5}
    config = NuPlanConfig(data_root=str(dataset.root), vehicle=VehicleConfig(**lengths))
    other = NuPlanSource(config, cache_home=home)
    scenario = first_scenario(source)
    assert source.load(scenario, WINDOW).ego.vehicle == PACIFICA
    one, two = source.load(scenario, WINDOW).ego, pickle.loads(pickle.dumps(other)).load(scenario, WINDOW).ego  # noqa: S301
    assert two.vehicle == Vehicle(**lengths)
    assert np.array_equal(one.position, two.position)
    assert np.allclose(np.linalg.norm(two.center() - two.position, axis=1), 1.0)
    assert other.identity() != source.identity()


def test_time_sampling_gives_8_hz(dataset: DatasetSummary, home: Path) -> None:
    """Steps between rows are taken by time, within half a row."""
    source = NuPlanSource(NuPlanConfig(data_root=str(dataset.root), sampling="time"), cache_home=home)
    window = Window(history_s=1.0, future_s=2.0, interval_s=0.125)
    scene = source.load(source.list(EVERYTHING).id(60), window)
    scene.check()
    nominal = scene.id.start_us + np.arange(-8, 17) * 125_000
    assert scene.ego.valid.all()
    assert np.abs(scene.times_us - nominal).max() <= 30_000


def test_categories_keep_their_numbers(source: NuPlanSource) -> None:
    """Movers are tracks, the rest are static objects."""
    scene = source.load(first_scenario(source), WINDOW)
    assert set(scene.tracks.category.tolist()) <= {Category.VEHICLE, Category.PEDESTRIAN, Category.BICYCLE}
    assert scene.static_objects.category.min(initial=9) > Category.BICYCLE


def test_the_factory_makes_the_source(dataset: DatasetSummary, home: Path) -> None:
    """What `[source] use = "nuplan"` builds is a scenario source."""
    assert isinstance(make(NuPlanConfig(data_root=str(dataset.root)), Context(cache_home=home)), ScenarioSource)


def test_an_unknown_log_is_refused(source: NuPlanSource) -> None:
    """A scenario of a log that is not there is refused, alone and among many."""
    scenario = ScenarioId("2000.01.01.00.00.00_veh-01_00000_00001", "00000000000000ff", 0)
    assert refusal(source, scenario).reason is Reason.UNREADABLE_LOG
    assert isinstance(next(source.load_many([scenario], WINDOW)), SampleError)
