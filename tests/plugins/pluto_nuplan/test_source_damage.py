"""Damaged logs: the log or the scenario is refused with its reason, the others go on."""

# ruff: noqa: S608 -- SQL of constants, to damage copies

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from pluto_core.errors import Reason, SampleError
from pluto_core.experiment import read
from pluto_core.filters import ScenarioFilter
from pluto_core.run.workspace import Workspace
from pluto_core.scene import ScenarioId, Window
from pluto_nuplan.config import NuPlanConfig
from pluto_nuplan.source import NuPlanSource
from pluto_nuplan.synth.dataset import DatasetSummary

WINDOW = Window(history_s=1.0, future_s=2.0, interval_s=0.1)
EVERYTHING = ScenarioFilter()

Damage = Callable[..., NuPlanSource]


@pytest.fixture
def damaged(dataset: DatasetSummary, home: Path, tmp_path: Path) -> Damage:
    """Return a function that runs SQL on a copy of the first log and returns a source of the copies."""
    shutil.copytree(dataset.data_root, tmp_path / "logs")

    def run(*statements: str, **settings: object) -> NuPlanSource:
        first = min((tmp_path / "logs").glob("*.db"))
        connection = sqlite3.connect(first)
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()
        config = NuPlanConfig(data_root=str(tmp_path / "logs"), map_root=str(dataset.map_root), **settings)
        return NuPlanSource(config, cache_home=home)

    return run


def first_scenario(source: NuPlanSource, wanted: ScenarioFilter = EVERYTHING) -> ScenarioId:
    """Return the first scenario of the first log."""
    return source.list(wanted).id(0)


def refusal(source: NuPlanSource, scenario: ScenarioId) -> SampleError:
    """Return why a scenario is refused."""
    with pytest.raises(SampleError) as caught:
        source.load(scenario, WINDOW)
    return caught.value


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        *((f"DROP TABLE {table}", f"no such table: {table}") for table in ("log", "lidar", "lidar_pc", "scene", "ego_pose")),
        ("DROP TABLE scenario_tag", "no such table: scenario_tag"),
        ("ALTER TABLE scene RENAME COLUMN roadblock_ids TO blocks", "no such column: s.roadblock_ids"),
        ("UPDATE lidar SET channel = 'Other'", "no lidar with channel 'MergedPointCloud'"),
        ("UPDATE log SET map_version = NULL", "no lidar with channel 'MergedPointCloud' belongs to a log with a map_version"),
        ("DELETE FROM lidar_pc", "no frames"),
        ("UPDATE lidar_pc SET timestamp = NULL WHERE rowid = 7", "frames without token or time"),
    ],
)
def test_a_log_that_cannot_be_listed_is_set_aside(damaged: Damage, statement: str, text: str) -> None:
    """A log that lacks what every log has is reported once with its reason; the other one is listed."""
    source = damaged(statement)
    listing = source.list(EVERYTHING)
    assert len(set(listing.logs.codes.tolist())) == 1
    assert len(source.list(EVERYTHING)) == len(listing) > 0
    ((log, reason, detail),) = source.problems()
    assert log not in listing.logs.values
    assert reason is Reason.UNREADABLE_LOG
    assert text in detail


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE lidar_box DROP COLUMN vx",
        "ALTER TABLE ego_pose DROP COLUMN acceleration_x",
        *(f"DROP TABLE {table}" for table in ("lidar_box", "track", "category", "traffic_light_status")),
    ],
)
def test_a_log_without_what_its_scenes_need_is_refused_when_loaded(damaged: Damage, statement: str) -> None:
    """Listing does not read boxes or poses; loading says what is missing, for one scenario and for many."""
    source = damaged(statement)
    scenario = first_scenario(source)
    error = refusal(source, scenario)
    assert error.reason is Reason.UNREADABLE_LOG
    assert "no such " in error.detail
    found = list(source.load_many([scenario, scenario], WINDOW))
    assert [type(each) for each in found] == [SampleError, SampleError]
    other = source.list(EVERYTHING)
    source.load(other.id(len(other) - 1), WINDOW).check()


def frame_value(column: str, rank: int) -> str:
    """Return SQL for a value of the frame with this rank in time."""
    return f"(SELECT {column} FROM lidar_pc ORDER BY timestamp LIMIT 1 OFFSET {rank})"


IN_WINDOW = "lidar_pc_token IN (SELECT token FROM lidar_pc ORDER BY timestamp LIMIT 40 OFFSET 60)"
"""Frames around the first scenario."""


@pytest.mark.parametrize(
    ("statement", "reason", "text"),
    [
        (f"UPDATE lidar_box SET x = NULL WHERE {IN_WINDOW}", Reason.BROKEN_ROWS, "boxes without pose or size"),
        (f"UPDATE lidar_box SET yaw = 9e999 WHERE {IN_WINDOW}", Reason.BROKEN_ROWS, "boxes without pose or size"),
        (f"UPDATE lidar_box SET width = NULL WHERE {IN_WINDOW}", Reason.BROKEN_ROWS, "boxes without pose or size"),
        ("UPDATE category SET name = 'tram' WHERE name = 'vehicle'", Reason.BROKEN_ROWS, "unknown category 'tram'"),
        ("UPDATE category SET name = NULL", Reason.BROKEN_ROWS, "unknown category ''"),
        (
            f"UPDATE lidar_pc SET timestamp = {frame_value('timestamp', 72)} WHERE token = {frame_value('token', 74)}",
            Reason.BROKEN_ROWS,
            "two frames of one time",
        ),
        ("UPDATE ego_pose SET qw = NULL", Reason.PRESENT_MISSING, "no pose"),
        ("DELETE FROM ego_pose", Reason.PRESENT_MISSING, "no pose"),
    ],
)
def test_broken_rows_refuse_their_scenarios_only(damaged: Damage, statement: str, reason: Reason, text: str) -> None:
    """A scenario whose window holds broken rows says which; scenarios of the other log are read."""
    source = damaged(statement)
    listing = source.list(ScenarioFilter(remove_invalid_goals=False))
    error = refusal(source, listing.id(0))
    assert (error.reason, text in error.detail) == (reason, True), error.detail
    source.load(listing.id(len(listing) - 1), WINDOW).check()


def test_a_database_of_something_else_is_set_aside(damaged: Damage, dataset: DatasetSummary, tmp_path: Path) -> None:
    """A map that lies among the logs under a log's name is refused; the logs are listed."""
    source = damaged()
    shutil.copy(next(dataset.map_root.glob("*/*/map.gpkg")), tmp_path / "logs" / "stray.db")
    source = NuPlanSource(NuPlanConfig(data_root=str(tmp_path / "logs"), map_root=str(dataset.map_root)))
    assert len(source.list(EVERYTHING).logs.values) == 2
    assert [(log, reason) for log, reason, _ in source.problems()] == [("stray", Reason.UNREADABLE_LOG)]


def test_not_a_number_is_unknown(damaged: Damage, tmp_path: Path) -> None:
    """SQLite keeps no NaN: what a writer binds as NaN is refused like a missing number, and as a velocity it is 0."""
    source = damaged()
    with closing(sqlite3.connect(min((tmp_path / "logs").glob("*.db")))) as connection, connection:
        connection.execute(f"UPDATE lidar_box SET y = ?, vx = ? WHERE {IN_WINDOW}", (float("nan"), float("nan")))
    connection.close()
    error = refusal(source, first_scenario(source))
    assert (error.reason, "boxes without pose or size" in error.detail) == (Reason.BROKEN_ROWS, True)


def rebuilt(table: str, *types: str) -> list[str]:
    """Return SQL that gives columns of a table other declared types (`name type`), and takes away its keys and indices."""
    names = [each.split()[0] for each in types]
    return [
        f"ALTER TABLE {table} RENAME TO former",
        f"CREATE TABLE {table} ({', '.join(types)}, more BLOB)",
        f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(names)} FROM former ORDER BY rowid",
        "DROP TABLE former",
    ]


def test_declared_types_keys_and_indices_do_not_matter(damaged: Damage, dataset: DatasetSummary, home: Path) -> None:
    """Columns declared as text, as integers or as nothing, without keys, indices or what nobody reads, give the same scene."""
    source = damaged(
        *rebuilt(
            "lidar_box",
            *("token", "lidar_pc_token TEXT", "track_token", "x TEXT", "y NUMERIC", "yaw", "vx TEXT", "vy INTEGER"),
            *("width", "length TEXT"),
        ),
        *rebuilt("lidar_pc", "token", "ego_pose_token", "lidar_token", "scene_token", "timestamp TEXT"),
        *rebuilt("traffic_light_status", "lidar_pc_token", "lane_connector_id TEXT", "status BLOB"),
    )
    plain = NuPlanSource(NuPlanConfig(data_root=str(dataset.data_root), map_root=str(dataset.map_root)), cache_home=home)
    assert source.list(EVERYTHING).digest() == plain.list(EVERYTHING).digest()
    scenario = first_scenario(plain)
    one, other = source.load(scenario, WINDOW).tracks, plain.load(scenario, WINDOW).tracks
    assert np.array_equal(one.token, other.token)
    assert np.array_equal(one.valid, other.valid)
    for name in ("position", "heading", "velocity", "size"):
        assert np.abs(getattr(one, name) - getattr(other, name)).max() < 1e-6, "text keeps 15 digits"


def test_a_lost_frame_stretches_rows_and_is_a_hole_in_time(damaged: Damage) -> None:
    """Counting rows goes on with the next one; by time, the lost step is not valid and the others stand where they belong."""
    lost = "DELETE FROM lidar_pc WHERE token = " + frame_value("token", 74)
    by_time = damaged(lost, sampling="time")
    by_rows = damaged()
    scenario = first_scenario(by_rows)
    times_us = {source: source.load(scenario, WINDOW).times_us - scenario.start_us for source in (by_time, by_rows)}
    hole = np.flatnonzero(~by_time.load(scenario, WINDOW).ego.valid)
    assert len(hole) == 1
    assert by_rows.load(scenario, WINDOW).ego.valid.all()
    assert np.abs(times_us[by_time] - np.arange(-10, 21) * 100_000).max() < 2_000
    assert abs(times_us[by_rows][-1] - 2_050_000) < 2_000


def test_what_can_be_read_without_is_read_without(damaged: Damage) -> None:
    """NULL velocities are zero, frames without boxes empty, unknown routes empty, dangling tracks and goals absent."""
    source = damaged(
        "UPDATE lidar_box SET vx = NULL, vy = NULL",
        "DELETE FROM lidar_box WHERE lidar_pc_token IN (SELECT token FROM lidar_pc ORDER BY timestamp LIMIT 1 OFFSET 72)",
        "UPDATE lidar_box SET track_token = NULL WHERE rowid % 50 = 0",
        "UPDATE lidar_box SET track_token = x'0102030405060708' WHERE rowid % 50 = 1",
        "UPDATE scene SET roadblock_ids = NULL, goal_ego_pose_token = NULL",
        "UPDATE ego_pose SET acceleration_x = NULL",
        "UPDATE traffic_light_status SET status = 'purple', lane_connector_id = 5000000000",
        "DROP TABLE camera",
        "CREATE TABLE extra (a, b)",
    )
    scene = source.load(first_scenario(source), WINDOW)
    scene.check()
    assert not scene.tracks.velocity.any()
    assert (~scene.tracks.valid.any(axis=0)).sum() == 1
    assert (len(scene.route), scene.goal) == (0, None)
    assert not scene.ego.acceleration_valid.any()
    assert scene.ego.valid.all()
    assert set(scene.lights.connector_id.tolist()) <= {5_000_000_000}
    assert set(scene.lights.status.tolist()) <= {3}


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", []),
        ("12 34", [12, 34]),
        ("12 x 34", [12, 34]),
        ("6000000000", [6_000_000_000]),
        ("99999999999999999999", []),
        (" 7  8 ", [7, 8]),
    ],
)
def test_routes_keep_the_ids_that_can_be_read(damaged: Damage, text: str, ids: list[int]) -> None:
    """A route is the numbers in its text, in their order, however large."""
    source = damaged(f"UPDATE scene SET roadblock_ids = '{text}'")
    assert source.load(first_scenario(source), WINDOW).route.tolist() == ids


EXPERIMENT = """
name = "damaged"
steps = ["cache"]
[source]
use = "nuplan"
data_root = "{logs}"
map_root = "{maps}"
[filter]
timestamp_threshold_s = 1.0
[cache]
path = "{cache}"
[worker]
use = "sequential"
[[features]]
use = "ego_history"
"""


def test_a_run_goes_on(damaged: Damage, dataset: DatasetSummary, tmp_path: Path) -> None:
    """A cache step leaves out what is no log, writes down each scenario it cannot read with the reason, and does the others."""
    damaged(f"UPDATE lidar_box SET x = NULL WHERE {IN_WINDOW}")
    (tmp_path / "logs" / "stray.db").write_text("hello", encoding="utf-8")
    folders = {"logs": tmp_path / "logs", "maps": dataset.map_root, "cache": tmp_path / "cache"}
    (tmp_path / "damaged.toml").write_text(EXPERIMENT.format(**folders), encoding="utf-8")
    said: list[str] = []
    workspace = Workspace(read(tmp_path / "damaged.toml", environment={}), said.append)
    report = workspace.cache(lambda _progress: None)
    assert any(text.startswith("log stray left out: unreadable_log") for text in said)
    failures = workspace.folder.failures().values()
    whole, broken = sorted(log for log in workspace.source.logs() if log != "stray")[::-1]
    assert {(failure.scenario.log, failure.reason) for failure in failures} == {(broken, Reason.BROKEN_ROWS)}
    assert report.done == report.asked - len(failures)
    assert whole in workspace.stored.logs.values
