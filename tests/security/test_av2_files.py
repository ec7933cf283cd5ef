"""Recordings of Argoverse 2 that somebody made to hurt: each is left out with its reason; no code runs, no memory fills."""

import json
import pickle
import random
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from pluto_av2 import tables
from pluto_av2.config import Av2Config
from pluto_av2.source import Av2Source
from pluto_core.errors import SampleError
from pluto_core.filters import ScenarioFilter
from pluto_core.scene import Window

LOG = "00000000-0000-4000-8000-000000000000"
FRAMES = 30
WINDOW = Window(history_s=0.5, future_s=0.5, interval_s=0.1)
TIMES = 315_970_000_000_000_000 + 100_000_000 * np.arange(FRAMES, dtype=np.int64)


def side(y, start=-50.0, end=50.0):
    return [{"x": x, "y": y, "z": 0.0} for x in np.linspace(start, end, 3).tolist()]


def segment(**changes):
    """A lane along x."""
    return {
        "id": 1,
        "is_intersection": False,
        "lane_type": "VEHICLE",
        "left_lane_boundary": side(2.0),
        "right_lane_boundary": side(-2.0),
        "successors": [],
        "predecessors": [],
        "left_neighbor_id": None,
        "right_neighbor_id": None,
    } | changes


def map_text(*segments):
    found = {str(number): one for number, one in enumerate(segments or [segment()])}
    return json.dumps({"lane_segments": found, "pedestrian_crossings": {}, "drivable_areas": {}})


def poses():
    still = {name: np.zeros(FRAMES) for name in ("qx", "qy", "qz", "ty_m")}
    return {"timestamp_ns": TIMES, "qw": np.ones(FRAMES), "tx_m": np.arange(FRAMES) * 0.5, **still}


def boxes():
    names = {"track_uuid": ["car"] * FRAMES, "category": ["BUS"] * FRAMES}
    return poses() | names | {"length_m": np.full(FRAMES, 4.0), "width_m": np.full(FRAMES, 2.0)}


@pytest.fixture
def recording(tmp_path):
    """A sound sensor log."""
    folder = tmp_path / "data" / LOG
    (folder / "map").mkdir(parents=True)
    (folder / "map" / f"log_map_archive_{LOG}____PIT_city_1.json").write_text(map_text())
    feather.write_feather(pa.table(poses()), folder / "city_SE3_egovehicle.feather")
    feather.write_feather(pa.table(boxes()), folder / "annotations.feather")
    return folder


def read(folder):
    """Return what was listed and why recordings were left out; all that is listed is loaded."""
    source = Av2Source(Av2Config(data_root=str(folder.parent), history_s=0.5, future_s=0.5))
    listing = source.list(ScenarioFilter())
    for one in source.load_many([listing.id(row) for row in range(min(len(listing), 2))], WINDOW):
        assert isinstance(one, SampleError) or one.check() is None
    return len(listing), [detail for _, _, detail in source.problems()]


def test_a_sound_recording_is_read(recording):
    """What the following tests break is read when it is whole."""
    count, problems = read(recording)
    assert count
    assert problems == []


MAPS = {
    "deep": ("[" * 100_000, "nested too deeply"),
    "endless": (map_text(segment(left_lane_boundary=side(2.0, -1e300, 1e300))), "farther than"),
    "no numbers": (map_text(segment(left_lane_boundary=side(float("nan")))), "or nowhere"),
    "long": (map_text(segment(left_lane_boundary=side(2.0, -9e5, 9e5))), "1,800,100 m of lines"),
    "long in sum": (
        map_text(*(segment(id=number, centerline=side(0.0, -4e5, 4e5)) for number in range(2))),
        "1,600,400 m of lines",
    ),
    "long numbers": (map_text(segment(id="9" * 5000)), "makes no sense"),
    "large numbers": (map_text(segment(id=2**70)), "too large"),
    "no points": (map_text(segment(left_lane_boundary=[])), "has no length"),
    "text for tables": (json.dumps({"lane_segments": "x", "pedestrian_crossings": 1, "drivable_areas": None}), "no attribute"),
}


@pytest.mark.parametrize(("text", "why"), MAPS.values(), ids=MAPS)
def test_maps(recording, text, why):
    """A map that would fill the memory, or makes no sense, leaves its recording out, and says what is wrong."""
    next((recording / "map").iterdir()).write_text(text)
    count, (problem,) = read(recording)
    assert count == 0
    assert why in problem


def test_a_circle_of_neighbours_ends(recording):
    """A lane that is its own neighbour is read as one without."""
    next((recording / "map").iterdir()).write_text(map_text(segment(left_neighbor_id=1)))
    count, problems = read(recording)
    assert count
    assert problems == []


def with_rows(**changes):
    return pa.table(boxes() | changes)


TABLES = {
    "text for times": (with_rows(timestamp_ns=["x"] * FRAMES), "makes no sense"),
    "lists for names": (with_rows(track_uuid=[[1]] * FRAMES), "where names should be"),
    "no names": (with_rows(track_uuid=[None] * FRAMES), "where names should be"),
    "no rows": (with_rows().slice(0, 0), "no annotated frame"),
}


@pytest.mark.parametrize(("table", "why"), TABLES.values(), ids=TABLES)
def test_tables(recording, table, why):
    """A table of other types leaves the recording out, and says what is wrong."""
    feather.write_feather(table, recording / "annotations.feather")
    count, (problem,) = read(recording)
    assert count == 0
    assert why in problem


def test_many_tracks_in_many_frames(recording):
    """Rows that would take little memory by themselves, and all of it as tracks times frames, are counted before."""
    count = 6000
    rows = {name: np.zeros(count) for name in ("qx", "qy", "qz", "tx_m", "ty_m", "length_m", "width_m")}
    rows |= {"qw": np.ones(count), "timestamp_ns": TIMES[0] + 100_000_000 * np.arange(count)}
    names = {"track_uuid": [str(number) for number in range(count)], "category": ["BUS"] * count}
    for path in recording.glob("*.feather"):
        feather.write_feather(pa.table(rows | names), path)
    found, (problem,) = read(recording)
    assert found == 0
    assert "36,000,000 rows or cells" in problem


def test_endless_numbers_are_gaps(recording):
    """Boxes without end or size are not there; the rest of the recording is."""
    table = with_rows(tx_m=np.full(FRAMES, 1e308), length_m=np.full(FRAMES, np.inf))
    feather.write_feather(table, recording / "annotations.feather")
    count, problems = read(recording)
    assert count
    assert problems == []


MOTION_WORDS = ("track_id", "object_type", "city")


def motion(folder, **changes):
    """A motion scenario."""
    rows = {
        "track_id": ["AV"] * 11,
        "object_type": ["vehicle"] * 11,
        "timestep": np.arange(11),
        **{name: np.zeros(11) for name in ("position_x", "position_y", "heading", "velocity_x", "velocity_y")},
        "start_timestamp": np.full(11, TIMES[0]),
        "city": ["x"] * 11,
    } | changes
    for path in folder.glob("*.feather"):
        path.unlink()
    next((folder / "map").iterdir()).rename(folder / f"log_map_archive_{LOG}.json")
    (folder / "map").rmdir()
    parquet.write_table(pa.table(rows), folder / f"scenario_{LOG}.parquet")


@pytest.mark.parametrize("step", [2**40, 2**62, -1, -(2**62)])
def test_steps_without_end(recording, step):
    """A step number far away makes no table that long."""
    motion(recording, timestep=np.asarray([*range(10), step]))
    count, problems = read(recording)
    assert count == 0
    assert len(problems) == 1


def test_many_rows_in_few_bytes(recording):
    """Eleven million rows, packed into a small file, are counted and not read."""
    motion(recording)
    cells = pa.DictionaryArray.from_arrays(np.zeros(11_000_000, np.int8), pa.array(["x"]))
    parquet.write_table(pa.table({"city": cells}), next(recording.glob("*.parquet")))
    assert next(recording.glob("*.parquet")).stat().st_size < 1_000_000
    count, (problem,) = read(recording)
    assert count == 0
    assert "11,000,000 rows or cells" in problem


def test_offsets_out_of_the_file(recording):
    """Arrow follows the offsets of a text column wherever they lead; they are compared with the data first."""
    path = recording / "annotations.feather"
    feather.write_feather(pa.table(boxes()), path, compression="uncompressed")
    content = path.read_bytes()
    offsets = struct.pack(f"<{FRAMES + 1}i", *range(0, 3 * (FRAMES + 1), 3))
    assert content.count(offsets) >= 1
    hostile = struct.pack(f"<{FRAMES + 1}i", *[0] * FRAMES, 2**31 - 1)
    path.write_bytes(content.replace(offsets, hostile))
    count, (problem,) = read(recording)
    assert count == 0
    assert "cannot be read" in problem


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
@pytest.mark.parametrize("coded", [False, True], ids=["rows", "dictionary"])
def test_more_than_the_file_says(recording, monkeypatch, codec, coded):
    """A file whose buffers say that they unpack to more than a recording has is not unpacked."""
    monkeypatch.setattr(tables, "_MOST_BYTES", 1_000_000)
    column = pa.array(["x" * 600_000]).dictionary_encode() if coded else pa.array(np.zeros(75_000))
    feather.write_feather(pa.table({"a": column, "b": column}), recording / "annotations.feather", compression=codec)
    assert (recording / "annotations.feather").stat().st_size < 10_000
    count, (problem,) = read(recording)
    assert count == 0
    assert "it unpacks to 1,2" in problem


@pytest.mark.parametrize("column", ["track_uuid", "category"])
def test_a_long_name(recording, column):
    """One name of a megabyte takes no megabyte in each row."""
    feather.write_feather(with_rows(**{column: ["x" * 1_000_000] + ["y"] * (FRAMES - 1)}), recording / "annotations.feather")
    count, (problem,) = read(recording)
    assert count == 0
    assert "1,000,000 characters" in problem


@pytest.mark.parametrize("column", ["track_id", "object_type", "city"])
def test_a_long_name_in_many_rows(recording, column):
    """A text that a motion scenario stores once, and gives for a million rows, is not made a million times."""
    count = 1_000_000
    rows = {name: np.zeros(count) for name in ("position_x", "position_y", "heading", "velocity_x", "velocity_y")}
    names = {name: pa.DictionaryArray.from_arrays(np.zeros(count, np.int8), ["AV"]) for name in MOTION_WORDS}
    names[column] = pa.DictionaryArray.from_arrays(np.zeros(count, np.int8), ["x" * 100_000])
    motion(recording, **rows, **names, timestep=np.zeros(count, int), start_timestamp=np.zeros(count))
    assert next(recording.glob("*.parquet")).stat().st_size < 1_000_000
    found, (problem,) = read(recording)
    assert found == 0
    assert "100,000 characters" in problem


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "ran")


@pytest.mark.parametrize("kind", ["sensor", "motion"])
@pytest.mark.parametrize("name", ["arrow.py_extension_type", "arrow.parquet.variant"])
def test_types_of_others(recording, tmp_path, name, kind):
    """Names of types of other programs in a table's schema, with pickles as their settings, are not followed."""
    path, table = recording / "annotations.feather", pa.table(boxes())
    if kind == "motion":
        motion(recording)
        path = next(recording.glob("*.parquet"))
        table = parquet.read_table(path)
    about = {"ARROW:extension:name": name, "ARROW:extension:metadata": pickle.dumps(Payload(tmp_path / "ran"))}
    fields = [field.with_metadata(about) for field in table.schema]
    write = feather.write_feather if kind == "sensor" else parquet.write_table
    write(pa.table(table.columns, pa.schema(fields)), path)
    read(recording)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("seed", [*range(30), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(30, 400))])
def test_damaged_bytes(recording, seed):
    """Whatever bytes of a recording are changed, it is read or left out with a reason."""
    chance = random.Random(seed)  # noqa: S311 -- the same bytes every time
    path = chance.choice(sorted(path for path in recording.rglob("*") if path.is_file()))
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice([1, 4, 16])):
        content[chance.randrange(len(content))] = chance.randrange(256)
    path.write_bytes(content)
    read(recording)
