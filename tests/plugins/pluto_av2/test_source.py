import json
import pickle
import shutil
from pathlib import Path

import attrs
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from pluto_av2.config import Av2Config
from pluto_av2.source import Av2Source
from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.filters import ScenarioFilter
from pluto_core.maps import Layer
from pluto_core.pipeline.fingerprint import fingerprint
from pluto_core.pipeline.selection import filter_digest
from pluto_core.scene import Category, ScenarioId, Scene, Window

LOG = "11111111-2222-3333-4444-555555555555"
SPEED_MPS = 8.0
WINDOW = Window(history_s=2.0, future_s=8.0)


@pytest.fixture(scope="module")
def source(sensor_root: Path) -> Av2Source:
    return Av2Source(Av2Config(data_root=str(sensor_root)))


@pytest.fixture(scope="module")
def scene(source: Av2Source) -> Scene:
    return source.load(source.list(ScenarioFilter()).id(0), WINDOW)


def test_every_frame_with_past_and_future_begins_a_scenario(source: Av2Source) -> None:
    """120 frames leave 120 - 20 - 80 start frames, named by log and time."""
    listing = source.list(ScenarioFilter())
    assert len(listing) == 20
    assert all(one.token == f"{LOG}_{one.start_us}" for one in listing.ids())
    assert {listing.maps.text(row) for row in range(20)} == {"PIT"}


def test_stride_and_filter_choose_among_start_frames(sensor_root: Path, source: Av2Source) -> None:
    """A stride takes every n-th start frame, and tokens, types and logs are taken as asked."""
    every_fifth = Av2Source(Av2Config(data_root=str(sensor_root), stride=5)).list(ScenarioFilter())
    tokens = [one.token for one in source.list(ScenarioFilter()).ids()]
    assert [one.token for one in every_fifth.ids()] == tokens[::5]
    assert [one.token for one in source.list(ScenarioFilter(scenario_tokens=(tokens[3],))).ids()] == [tokens[3]]
    assert len(source.list(ScenarioFilter(log_names=("other",)))) == 0
    assert len(source.list(ScenarioFilter(scenario_types=("steady",)))) == 20


@pytest.mark.parametrize("change", [{"stride": 5}, {"history_s": 3.0}, {"future_s": 9.0}])
def test_settings_of_the_listing_change_it_and_leave_samples_right(
    sensor_root: Path, source: Av2Source, change: dict[str, float]
) -> None:
    """Another stride is another listing, never the stored one, and what is cached of the same frames may be used."""
    other = Av2Source(attrs.evolve(Av2Config(data_root=str(sensor_root)), **change))
    assert filter_digest(ScenarioFilter(), other.identity()) != filter_digest(ScenarioFilter(), source.identity())
    assert fingerprint(other.identity(), []).differences(fingerprint(source.identity(), [])) == []


def test_scene_is_sound_and_its_rates_are_those_of_the_drive(scene: Scene) -> None:
    """Velocities come from differences of poses: the car's in its own frame, the others' in the city's."""
    scene.check()
    assert scene.ego.valid.all()
    np.testing.assert_allclose(scene.ego.velocity, np.broadcast_to([SPEED_MPS, 0.0], (101, 2)), atol=1e-6)
    np.testing.assert_allclose(scene.ego.acceleration, 0.0, atol=1e-5)
    car = list(scene.tracks.token).index(b"car")
    np.testing.assert_allclose(np.hypot(*scene.tracks.velocity[car].T), SPEED_MPS, atol=1e-6)
    np.testing.assert_allclose(np.hypot(*(scene.tracks.position[car] - scene.ego.position).T), 20.0, atol=1e-6)


def test_objects_are_sorted_into_tracks_and_static_objects(scene: Scene) -> None:
    """The car's own box is no track, a cone is a static object, and a pedestrian's gaps are not filled."""
    assert set(scene.tracks.token) == {b"car", b"walker"}
    assert list(scene.static_objects.category) == [Category.TRAFFIC_CONE]
    walker = list(scene.tracks.token).index(b"walker")
    assert 0 < scene.tracks.valid[walker].sum() < 101
    assert not scene.tracks.position[walker][~scene.tracks.valid[walker]].any()


def test_map_groups_lanes_that_lead_the_same_way(scene: Scene) -> None:
    """Neighbours in driving direction make one roadblock, the opposite lane another, and a bicycle lane none."""
    view = scene.map
    assert view.ids(Layer.LANE).tolist() == [20, 21, 40, 50]
    assert view.ids(Layer.LANE_CONNECTOR).tolist() == [30]
    block = {int(one): int(group) for one, group in zip(view.lanes.ids, view.lanes.block, strict=True)}
    assert block[20] == block[21]
    assert len({block[20], block[30], block[40], block[50]}) == 4
    assert view.lanes.lane_index[[view.row(Layer.LANE, one) for one in (21, 20)]].tolist() == [0, 1]
    np.testing.assert_allclose(np.diff(view.lanes.baselines.arc_m[:400]).max(), 0.25, atol=1e-6)


def test_route_is_what_the_car_drives_through_and_leads_on(scene: Scene) -> None:
    """The route holds the roadblocks below the drive, in order, and those ahead of its end."""
    assert scene.route.tolist() == [20, 30, 40]


def test_past_and_future_beyond_the_log_are_masked(source: Av2Source) -> None:
    """A window that reaches beyond the recording keeps its length; what is missing is invalid."""
    first = source.list(ScenarioFilter()).id(0)
    scene = source.load(first, Window(history_s=4.0, future_s=12.0))
    scene.check()
    assert not scene.ego.valid[:20].any()
    assert scene.ego.valid[20:140].all()
    assert not scene.ego.valid[140:].any()


def test_source_survives_pickling(source: Av2Source) -> None:
    """A worker that receives the source loads the same scene."""
    copy = pickle.loads(pickle.dumps(source))  # noqa: S301 -- our own bytes
    one = source.list(ScenarioFilter()).id(4)
    np.testing.assert_array_equal(copy.load(one, WINDOW).tracks.position, source.load(one, WINDOW).tracks.position)


def test_motion_scenario_is_read_alike(motion_root: Path) -> None:
    """A motion scenario gives scenes too; its car is the track AV, from the centre back to the rear axle."""
    source = Av2Source(Av2Config(data_root=str(motion_root)))
    listing = source.list(ScenarioFilter())
    assert len(listing) == 10
    assert {listing.maps.text(row) for row in range(10)} == {"ATX"}
    assert len(source.list(ScenarioFilter(map_names=("ATX",)))) == 10
    scene = source.load(listing.id(0), WINDOW)
    scene.check()
    assert list(scene.tracks.token) == [b"17"]
    np.testing.assert_allclose(scene.ego.velocity[:, 0], SPEED_MPS, atol=1e-6)
    assert scene.route.tolist() == [20, 30, 40]


@pytest.mark.parametrize("root", ["nowhere", "empty"])
def test_folder_without_recordings_is_one_clear_message(tmp_path: Path, root: str) -> None:
    """A missing or an empty folder is named together with its setting."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(PlutoError, match=rf"source\.data_root: .*{root}"):
        Av2Source(Av2Config(data_root=str(tmp_path / root)))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("annotations.feather", Reason.UNREADABLE_LOG),
        ("city_SE3_egovehicle.feather", Reason.UNREADABLE_LOG),
        ("map", Reason.BROKEN_MAP),
    ],
)
def test_cut_off_file_refuses_its_log_only(tmp_path: Path, sensor_root: Path, name: str, reason: Reason) -> None:
    """A log whose file was cut off is left out with its reason; the other one stays."""
    for log in (LOG, "whole"):
        for path in (sensor_root / LOG).rglob("*"):
            if path.is_file():
                target = tmp_path / log / path.relative_to(sensor_root / LOG)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
    broken = tmp_path / LOG / name
    broken = next(broken.iterdir()) if broken.is_dir() else broken
    broken.write_bytes(broken.read_bytes()[:200])
    source = Av2Source(Av2Config(data_root=str(tmp_path)))
    listing = source.list(ScenarioFilter())
    assert {one.log for one in listing.ids()} == {"whole"}
    assert [(log, why) for log, why, _ in source.problems()] == [(LOG, reason)]


def _copied(root: Path, target: Path) -> Path:
    """Return a copy of the one recording below a folder."""
    shutil.copytree(root, target)
    return next(path.parent for path in target.rglob("*") if path.name.startswith(("scenario_", "city_")))


def _replaced(path: Path, column: str, values: list[object]) -> None:
    """Write a table again with other values in one column."""
    feathered = path.suffix == ".feather"
    table = feather.read_table(path, memory_map=False) if feathered else parquet.read_table(path)
    table = table.set_column(table.column_names.index(column), column, pa.array(values * table.num_rows))
    (feather.write_feather if feathered else parquet.write_table)(table, path)


@pytest.mark.parametrize(
    ("file", "column", "value", "reason"),
    [
        ("city_SE3_egovehicle.feather", "tx_m", "far", Reason.BROKEN_ROWS),
        ("city_SE3_egovehicle.feather", "qw", float("nan"), Reason.BROKEN_ROWS),
        ("annotations.feather", "timestamp_ns", "now", Reason.BROKEN_ROWS),
        ("annotations.feather", "track_uuid", None, Reason.BROKEN_ROWS),
        (f"scenario_{LOG}.parquet", "timestep", 10**9, Reason.BROKEN_ROWS),
        (f"scenario_{LOG}.parquet", "timestep", -5, Reason.BROKEN_ROWS),
        (f"scenario_{LOG}.parquet", "start_timestamp", "now", Reason.BROKEN_ROWS),
    ],
)
def test_tables_that_make_no_sense_refuse_their_log(
    tmp_path: Path, sensor_root: Path, motion_root: Path, file: str, column: str, value: object, reason: Reason
) -> None:
    """Text for numbers, numbers that are none or beyond all measure: the log is left out with its reason, nothing else ends."""
    folder = _copied(motion_root if file.startswith("scenario") else sensor_root, tmp_path / "root")
    _replaced(folder / file, column, [value])
    source = Av2Source(Av2Config(data_root=str(tmp_path / "root")))
    assert len(source.list(ScenarioFilter())) == 0
    assert [(log, why) for log, why, _ in source.problems()] == [(LOG, reason)]


@pytest.mark.parametrize("x", ["east", None, [], float("nan"), 1e300, 1e9])
@pytest.mark.parametrize("layer", ["lane_segments", "pedestrian_crossings", "drivable_areas"])
def test_maps_that_make_no_sense_refuse_their_log(tmp_path: Path, sensor_root: Path, layer: str, x: object) -> None:
    """A point that is none costs the log of that map, and no memory."""
    archive = next((_copied(sensor_root, tmp_path / "root") / "map").iterdir())
    document = json.loads(archive.read_text())
    found = next(iter(document[layer].values()))
    line = next(value for value in found.values() if isinstance(value, list) and value and isinstance(value[0], dict))
    line[0]["x"] = x
    archive.write_text(json.dumps(document))
    source = Av2Source(Av2Config(data_root=str(tmp_path / "root")))
    assert len(source.list(ScenarioFilter())) == 0
    assert [(log, why) for log, why, _ in source.problems()] == [(LOG, Reason.BROKEN_MAP)]


def test_a_box_without_numbers_is_a_gap(tmp_path: Path, sensor_root: Path) -> None:
    """A box whose place is no number is masked, like one that was not seen; the rest of the log stays."""
    folder = _copied(sensor_root, tmp_path / "root")
    table = feather.read_table(folder / "annotations.feather", memory_map=False)
    places, names = table["tx_m"].to_pylist(), table["track_uuid"].to_pylist()
    row = names.index("car") + 30 * 4
    row = next(at for at in range(row, len(names)) if names[at] == "car")
    places[row] = float("nan")
    feather.write_feather(
        table.set_column(table.column_names.index("tx_m"), "tx_m", pa.array(places)), folder / "annotations.feather"
    )
    source = Av2Source(Av2Config(data_root=str(tmp_path / "root")))
    scene = source.load(source.list(ScenarioFilter()).id(0), WINDOW)
    scene.check()
    car = scene.tracks.valid[list(scene.tracks.token).index(b"car")]
    assert 0 < (~car).sum() <= 3  # velocities beside it come from it


def test_unknown_frame_is_a_sample_error(source: Av2Source) -> None:
    """A time that no frame has is refused with the reason PRESENT_MISSING."""
    with pytest.raises(SampleError) as caught:
        source.load(ScenarioId(LOG, "x", 1), WINDOW)
    assert caught.value.reason is Reason.PRESENT_MISSING


def test_real_logs_put_the_car_on_its_lanes(shared_data: Path) -> None:
    """On real recordings the car stands on a lane of its route in nearly every frame."""
    source = Av2Source(Av2Config(data_root=str(shared_data / "av2" / "sensor"), stride=8))
    listing = source.list(ScenarioFilter())
    inside = []
    for one in listing.ids():
        scene = source.load(one, WINDOW)
        scene.check()
        view, center = scene.map, scene.ego.center()[[scene.present]]
        lanes = np.concatenate([view.containing(layer, center)[1] for layer in (Layer.LANE, Layer.LANE_CONNECTOR)])
        inside.append(bool(np.isin(view.blocks.ids[view.lanes.block[lanes]], scene.route).any()))
    assert len(inside) == 22
    assert np.mean(inside) > 0.9
