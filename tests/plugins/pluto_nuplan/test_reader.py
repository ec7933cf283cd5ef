"""Reading logs: parity with the reference, columns, windows."""

import math
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.scene import ScenarioId, Scene, Window
from pluto_nuplan.config import NuPlanConfig
from pluto_nuplan.logs import tables, windows
from pluto_nuplan.logs.database import Columns, hex_tokens, opened, token_words
from pluto_nuplan.logs.log import Log, read_index
from pluto_nuplan.source import NuPlanSource
from pluto_nuplan.synth.dataset import DatasetSummary

PLUTO = Window(history_s=2.0, future_s=8.0, interval_s=0.1)


@pytest.fixture
def log_file(dataset: DatasetSummary) -> Path:
    """Return a log of 14 s that has indices; not to be changed."""
    return min(dataset.data_root.glob("*.db"))


# ---------------------------------------------------------------------------------------------------------------------
# Parity with the recorded reader.
# ---------------------------------------------------------------------------------------------------------------------


def _boxes_by_step(golden, first_future: int):
    """Yield (step, tracks, boxes) of every frame of a recorded scenario, those without boxes too."""
    parts = {"past": 20 - len(golden["ego_past"]), "now": 20, "future": first_future}
    for part, first in parts.items():
        tracks, boxes = golden[f"{part}_track"], golden[f"{part}_box"]
        frames = golden[f"{part}_frame"] if part != "now" else np.zeros(len(tracks), np.int64)
        for frame in range(len(golden[f"ego_{part}"])):
            yield first + frame, tracks[frames == frame], boxes[frames == frame]


def _assert_same_ego(scene: Scene, golden) -> None:
    recorded = np.concatenate([golden["ego_past"], golden["ego_now"], golden["ego_future"]])
    ego, known = scene.ego, scene.ego.valid
    read = np.column_stack([ego.position, ego.heading, ego.velocity, ego.acceleration, ego.center()])[known]
    assert known[:20].sum() == len(golden["ego_past"])
    assert np.array_equal(scene.times_us[known], recorded[:, 0].astype(np.int64))
    assert np.abs(read - recorded[:, 1:]).max() < 1e-6


def _assert_same_boxes(scene: Scene, golden) -> None:
    tracks = scene.tracks
    row_of = {token: row for row, token in enumerate(tracks.token.tolist())}
    for step, tokens, boxes in _boxes_by_step(golden, 21):
        moving = boxes[:, 0] < 3
        rows = np.asarray([row_of[token] for token in tokens[moving].tolist()], np.int64)
        assert set(rows) == set(np.flatnonzero(tracks.valid[:, step]))
        read = [tracks.category[rows], *tracks.position[rows, step].T, tracks.heading[rows, step]]
        read += [*tracks.size[rows, step].T, *tracks.velocity[rows, step].T]
        assert np.abs(np.column_stack(read) - boxes[moving][:, [0, 1, 2, 3, 4, 5, 7, 8]]).max(initial=0) < 1e-6


def _assert_same_present(scene: Scene, golden) -> None:
    order = np.argsort(golden["now_box"][:, 0], kind="stable")
    tokens, boxes = golden["now_track"][order], golden["now_box"][order]
    moving, static = boxes[:, 0] < 3, scene.static_objects
    assert np.array_equal(scene.tracks.token[: moving.sum()], tokens[moving])
    assert np.array_equal(static.token, tokens[~moving])
    read = np.column_stack([static.category, static.position, static.heading, static.size])
    assert np.abs(read - boxes[~moving][:, :6]).max(initial=0) < 1e-6


@pytest.mark.parametrize("world", ["town", "tilted"])
def test_every_recorded_scenario_reads_the_same(shared_data: Path, tmp_path: Path, world: str) -> None:
    """Ego rows, boxes of every frame, row order, lights, route, goal and type equal the reference stack's, to 1e-6."""
    folder = shared_data / "golden" / world
    source = NuPlanSource(NuPlanConfig(data_root=str(folder)), cache_home=tmp_path)
    files = sorted((folder / "reader" / "scenarios").glob("*.npz"))
    assert files
    for file in files:
        golden = np.load(file)
        identity = ScenarioId(str(golden["log_name"]), file.stem, int(golden["timestamp_us"]))
        scene = source.load(identity, PLUTO)
        scene.check()
        _assert_same_ego(scene, golden)
        _assert_same_boxes(scene, golden)
        _assert_same_present(scene, golden)
        assert np.array_equal(np.column_stack(scene.lights.at(20)), golden["lights"])
        assert [str(block) for block in scene.route] == golden["route"].tolist()
        assert scene.goal is not None
        assert np.abs(scene.goal - golden["goal"]).max() < 1e-6
        assert (scene.map.name, scene.scenario_type) == (str(golden["map_name"]), str(golden["scenario_type"]))


# ---------------------------------------------------------------------------------------------------------------------
# Columns.
# ---------------------------------------------------------------------------------------------------------------------


@given(st.lists(st.one_of(st.none(), st.binary(max_size=10), st.binary(min_size=8, max_size=8)), max_size=30))
def test_tokens_keep_their_text_order(blobs: list[bytes | None]) -> None:
    """An 8-byte blob becomes the number with the same order and the same hex digits; anything else becomes no token."""
    words = Columns(pa.table({"token": pa.array([blob or b"" for blob in blobs], pa.binary())})).tokens("token")
    texts = [text.decode() for text in hex_tokens(words).tolist()]
    assert texts == [blob.hex() if blob is not None and len(blob) == 8 else "0" * 16 for blob in blobs]
    assert np.array_equal(np.argsort(words, kind="stable"), np.argsort(np.asarray(texts, "S16"), kind="stable"))
    assert np.array_equal(token_words(texts), words)


def test_columns_that_begin_with_2000_nulls_or_integers_are_numbers(tmp_path: Path, log_file: Path) -> None:
    """Types are not guessed from the first rows: leading NULLs are infinite, integers and later fractions both arrive."""
    copy = shutil.copy(log_file, tmp_path / "log.db")
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("UPDATE lidar_box SET vx = 3, width = NULL, x = 5 WHERE rowid <= 2000")
        connection.execute("UPDATE lidar_box SET vx = 1.25, width = 2, x = 7.75 WHERE rowid > 2000")
    index = read_index(tmp_path / "log.db")
    with opened(tmp_path / "log.db") as database:
        boxes = tables.read_boxes(database, index.frames, tables.read_tracks(database), None)
    assert sorted(set(boxes.velocity[:, 0].tolist())) == [1.25, 3.0]
    assert sorted(set(boxes.size[:, 0].tolist())) == [2.0, math.inf]
    assert boxes.broken.sum() == 2000
    assert set(boxes.pose[:, 0].tolist()) == {5.0, 7.75}


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: sum(x * x for x in q) > 1e-3))
def test_heading_is_that_of_the_reference(quaternion: list[float]) -> None:
    """Yaw of a tilted quaternion follows the form with a minus, of the normalised quaternion."""
    norm = math.sqrt(sum(part * part for part in quaternion))
    w, x, y, z = (part / norm for part in quaternion)
    expected = math.atan2(2 * (w * z - x * y), 1 - 2 * (y * y + z * z))
    rows = Columns(pa.table({name: [value] for name, value in zip(("qw", "qx", "qy", "qz"), quaternion, strict=True)}))
    difference = float(tables.headings(rows)[0]) - expected
    assert abs(math.remainder(difference, math.tau)) < 1e-7


@pytest.mark.parametrize("indexed", [True, False])
def test_window_and_whole_log_give_the_same(log_file: Path, *, indexed: bool) -> None:
    """What is found for single frames, by index or in one pass, equals what the whole log gives, also out of order."""
    index = read_index(log_file)
    wanted = np.array([3, 4, 120, 50])
    asked = tables.Wanted(wanted, indexed=indexed)
    with opened(log_file) as database:
        tracks = tables.read_tracks(database)
        some, every = (tables.read_boxes(database, index.frames, tracks, frames) for frames in (asked, None))
        few_lights, all_lights = (tables.read_lights(database, index.frames, frames) for frames in (asked, None))
        ego, all_ego = (tables.read_ego(database, index.frames, frames) for frames in (asked, None))
    for held, whole, names in (
        (some, every, ("track", "pose", "velocity", "size")),
        (few_lights, all_lights, ("connector_id", "status")),
    ):
        places, rows = held.spans.rows(wanted)
        all_places, all_rows = whole.spans.rows(wanted)
        assert len(rows)
        assert np.array_equal(places, all_places)
        for name in names:
            assert np.array_equal(getattr(held, name)[rows], getattr(whole, name)[all_rows])
    assert np.array_equal(ego.pose[wanted], all_ego.pose[wanted])
    assert not some.spans.covers(np.array([5]))


def test_single_windows_leave_the_log_unread_until_that_costs_as_much(log_file: Path, tmp_path: Path) -> None:
    """One window reads its frames only; when windows add up to the log, all is read: without indices after fewer of them."""
    bare = without_indices(log_file, tmp_path / "bare.db")
    counts = {}
    for path in (log_file, bare):
        log = Log(path, read_index(path))
        starts = range(0, 240, 40)
        counts[path] = [len(log.hold(np.arange(start, start + 40)).boxes.spans.frames) for start in starts]
        assert np.array_equal(log.hold(np.arange(40)).boxes.pose, Log(log_file, log.index).hold(np.arange(280)).boxes.pose)
    assert counts == {log_file: [40] * 5 + [280], bare: [40] * 2 + [280] * 4}


def without_indices(log_file: Path, copy: Path) -> Path:
    """Return a copy of a log whose tables have no index but their keys'."""
    shutil.copy(log_file, copy)
    with closing(sqlite3.connect(copy)) as connection, connection:
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL").fetchall()
        for (name,) in names:
            connection.execute(f"DROP INDEX {name}")
    connection.close()
    return copy


def test_reading_leaves_no_trace(log_file: Path, tmp_path: Path) -> None:
    """A log in a write-ahead journal's mode, in a folder that cannot be written, is read without a file beside it."""
    folder = tmp_path / "read only %20?#"
    folder.mkdir()
    copy = folder / "log.db"
    shutil.copy(log_file, copy)
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.close()
    folder.chmod(0o555)
    try:
        assert len(read_index(copy).frames) > 0
        assert [file.name for file in folder.iterdir()] == ["log.db"]
    finally:
        folder.chmod(0o755)


def test_rows_of_a_journal_that_is_in_use_are_seen(log_file: Path, tmp_path: Path) -> None:
    """Rows that stand in the journal and not yet in the file are read too."""
    copy = tmp_path / "log.db"
    shutil.copy(log_file, copy)
    connection = sqlite3.connect(copy)
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("UPDATE log SET map_version = 'elsewhere'")
    connection.commit()
    try:
        assert read_index(copy).map_name == "elsewhere"
    finally:
        connection.close()


# ---------------------------------------------------------------------------------------------------------------------
# Windows.
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "horizon_s", "first", "last"),
    [
        (80, 8.0, 2, 160),
        (16, 8.0, 10, 160),
        (20, 2.0, 2, 40),
        (4, 1.5, 7, 28),
        (7, 2.0, 5, 35),
        (12, 6.0, 10, 120),
        (41, 2.0, 1, 41),
    ],
)
def test_sampled_ranks(count: int, horizon_s: float, first: int, last: int) -> None:
    """Ranks of sampled rows are the reference's, with the horizons that it shortens."""
    ranks = windows.sample_indices(count, horizon_s)
    assert (len(ranks), ranks[0], ranks[-1]) == (count, first, last)


def test_ranks_without_a_count() -> None:
    """The number of samples follows from the scenario's interval, with the rounding of doubles."""
    lengths = {horizon: len(windows.sample_indices(None, horizon, 0.1)) for horizon in (0.3, 0.6, 15.0)}
    assert lengths == {0.3: 2, 0.6: 5, 15.0: 150}


@pytest.mark.parametrize(("count", "horizon_s"), [(1, 0.04), (1, -1.0), (50, 2.0), (0, 2.0)])
def test_horizons_without_rows_are_refused(count: int, horizon_s: float) -> None:
    """A horizon that is too short for its samples says so."""
    with pytest.raises(PlutoError, match="horizon of"):
        windows.sample_indices(count, horizon_s)


@given(st.integers(2, 40), st.integers(1, 10))
def test_row_offsets_are_sampled_ranks(steps: int, rows: int) -> None:
    """A window's future steps are the ranks that the reference samples, for every interval that is a number of rows."""
    interval_s = rows * 0.05
    window = Window(history_s=0.0, future_s=steps * interval_s, interval_s=interval_s)
    expected = rows * np.arange(1, steps + 1)
    assert np.array_equal(windows.row_offsets(window)[1:], expected)
    assert np.array_equal(windows.sample_indices(steps, window.future_s), expected)


def test_an_interval_between_rows_asks_for_time_sampling() -> None:
    """Counting rows cannot give 8 Hz; the message names the setting that can."""
    with pytest.raises(PlutoError, match=r'source\.sampling = "time"'):
        windows.row_offsets(Window(history_s=1.0, future_s=1.0, interval_s=0.125))


def test_a_lost_frame_stretches_rows_and_leaves_a_hole_in_time() -> None:
    """Row sampling goes on with the next row; time sampling keeps every other step where it belongs."""
    times = np.delete(np.arange(0, 2_000_000, 50_000), 12)
    window = Window(history_s=0.4, future_s=0.8, interval_s=0.1)
    by_rows = windows.frames_of(times, 8, window, "rows")
    by_time = windows.frames_of(times, 8, window, "time")
    assert np.array_equal(by_rows, [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24])
    assert times[by_rows[-1]] == 1_250_000
    assert by_time[6] == -1
    assert np.array_equal(times[by_time[7:]], np.arange(700_000, 1_300_000, 100_000))
    assert np.array_equal(windows.step_times_us(times, by_time, window), np.arange(0, 1_300_000, 100_000))


@given(st.integers(0, 59), st.sampled_from(["rows", "time"]), st.integers(1, 4))
def test_windows_are_whole_at_the_ends_of_a_log(present: int, sampling: windows.Sampling, rows: int) -> None:
    """Whatever the log lacks, a window has all its steps, with ascending times and the present one where it belongs."""
    jitter = np.random.default_rng(0).integers(-5_000, 5_000, 60)
    times = 1_600_000_000_000_000 + np.arange(60) * 50_000 + jitter
    window = Window(history_s=rows * 0.5, future_s=rows * 1.0, interval_s=rows * 0.05)
    frames = windows.frames_of(times, present, window, sampling)
    step_times = windows.step_times_us(times, frames, window)
    assert frames.shape == step_times.shape == (window.steps,)
    assert frames[window.history_steps] == present
    assert (np.diff(step_times) > 0).all()
    assert (np.diff(frames[frames >= 0]) > 0).all()


# ---------------------------------------------------------------------------------------------------------------------
# Files that are no logs.
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"no database" * 500, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_log_is_unreadable(tmp_path: Path, content: bytes) -> None:
    """Whatever a .db file holds, it is refused as unreadable, naming it."""
    (tmp_path / "log.db").write_bytes(content)
    with pytest.raises(SampleError, match=r"log\.db") as caught:
        read_index(tmp_path / "log.db")
    assert caught.value.reason is Reason.UNREADABLE_LOG


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_a_truncated_log_is_unreadable(tmp_path: Path, log_file: Path, share: float) -> None:
    """A log that is cut off anywhere is refused, at the latest when its boxes are read."""
    whole = log_file.read_bytes()
    cut = tmp_path / "log.db"
    cut.write_bytes(whole[: int(share * len(whole))])

    def read() -> None:
        log = Log(cut, read_index(cut))
        log.hold(np.arange(len(log.index.frames)))

    with pytest.raises(SampleError) as caught:
        read()
    assert caught.value.reason is Reason.UNREADABLE_LOG
