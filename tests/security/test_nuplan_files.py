"""Logs and maps of nuPlan that somebody made to hurt: the reader refuses them by name, in bounded time and memory."""

import contextlib
import random
import shutil
import sqlite3
import struct
from contextlib import closing

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.filters import ScenarioFilter
from pluto_core.scene import Window
from pluto_core.testing.isolation import python
from pluto_nuplan.config import NuPlanConfig
from pluto_nuplan.maps import MapFile, find_map
from pluto_nuplan.maps.geopackage import decode
from pluto_nuplan.maps.store import build
from pluto_nuplan.maps.wellknown import is_flat
from pluto_nuplan.source import NuPlanSource
from pluto_nuplan.synth.dataset import write_dataset

GP = b"GP\0\1\xe6\x10\0\0"
WINDOW = Window(history_s=0.5, future_s=0.5, interval_s=0.1)
FLAT = [
    shapely.Point(1, 2),
    shapely.LineString([(1, 2, 3), (4, 5, 6)]),
    shapely.Polygon([(0, 0), (9, 0), (9, 9)], [[(5, 1), (6, 1), (6, 2)]]),
    shapely.MultiPoint([(1, 2, 3), (4, 5, 6)]),
    shapely.MultiLineString([[(1, 2), (3, 4)], [(5, 6), (7, 8)]]),
    shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(2, 2, 3, 3) - shapely.box(2.2, 2.2, 2.4, 2.4)]),
]
NESTED = [
    shapely.GeometryCollection([shapely.Point(1, 2)]),
    shapely.GeometryCollection([shapely.GeometryCollection([shapely.LineString([(1, 2), (3, 4)])])]),
]


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """A small dataset: one log, one map."""
    return write_dataset(tmp_path_factory.mktemp("town") / "data", logs=1, seconds=8.0, grid=(2, 2), density=0.1)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A cache folder, so that the map is built once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def town_map(town):
    """The file of its map."""
    (location,) = [path.name for path in town.map_root.iterdir() if path.is_dir()]
    return find_map(town.map_root, location)


@pytest.fixture
def hostile_map(town_map, tmp_path):
    """Return a function that runs SQL on a copy of the map and reads it."""

    def run(*statements):
        path = tmp_path / "map.gpkg"
        shutil.copyfile(town_map.path, path)
        with closing(sqlite3.connect(path)) as connection:
            for statement in statements:
                connection.execute(*((statement,) if isinstance(statement, str) else statement))
            connection.commit()
        return build(MapFile(town_map.location, town_map.version, path))

    return run


@pytest.fixture
def hostile_log(town, home, tmp_path):
    """Return a function that runs SQL on a copy of the log and returns its source."""
    shutil.copytree(town.data_root, tmp_path / "logs")
    (path,) = (tmp_path / "logs").glob("*.db")

    def run(*statements):
        with closing(sqlite3.connect(path)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()
        return NuPlanSource(NuPlanConfig(data_root=str(path), map_root=str(town.map_root)), cache_home=home)

    return run


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("flavor", ["iso", "extended"])
def test_what_is_flat(order, flavor):
    """Points, lines, polygons and rows of them are read in either byte order and dialect; collections are not."""
    for geometry in FLAT:
        wkb = shapely.to_wkb(geometry, byte_order=order, flavor=flavor)
        assert is_flat(wkb)
        assert decode([GP + wkb])[0].equals(geometry)
    for geometry in NESTED:
        assert not is_flat(shapely.to_wkb(geometry, byte_order=order, flavor=flavor))
    assert is_flat(shapely.to_wkb(shapely.set_srid(FLAT[-1], 4326), include_srid=True))


BLOBS = """
import resource, struct, sys
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
import numpy as np
from pluto_nuplan.maps.geopackage import decode
pack, most = struct.pack, 2**32 - 1
hostile = {
    "collections in collections": pack("<BII", 1, 7, 1) * 200_000 + pack("<BII", 1, 7, 0),
    "rows of rows": pack("<BII", 1, 6, 1) * 200_000 + pack("<BII", 1, 6, 0),
    "a row of collections": pack("<BII", 1, 6, 1) + pack("<BII", 1, 7, 1) * 200_000,
    "many rings": pack("<BII", 1, 3, most),
    "many rings, big endian": pack(">BII", 0, 3, most),
    "a long ring": pack("<BIII", 1, 3, 1, most),
    "a long line": pack("<BII", 1, 2, most),
    "many lines": pack("<BII", 1, 5, most),
    "many polygons": pack("<BII", 1, 6, most),
    "many in many": pack("<BIIBII", 1, 6, most, 1, 3, most),
    "many points": pack("<BII", 1, 4, most),
    "another order within": pack("<BIIBII", 1, 6, 1, 0, 3, most),
    "no byte order": pack("<BII", 7, 2, 2),
    "curves": pack("<BII", 1, 10, 1) + pack("<BII", 1, 8, 0),
    "a surface": pack("<BII", 1, 15, 1),
    "an unknown kind": pack("<BII", 1, 99, 1),
    "nothing": b"",
}
found = decode([b"GP" + bytes([0, 1]) + bytes(4) + wkb for wkb in hostile.values()])
print([name for name, geometry in zip(hostile, found) if geometry is not None])
"""


def test_hostile_geometries():
    """Counts that are not there, nesting without end and kinds that GEOS does not know give no geometry, in 2 GB and alive."""
    assert python(BLOBS).strip() == "[]"


@given(st.sampled_from(FLAT), st.data())
def test_damaged_geometries(geometry, data):
    """A geometry with any bytes changed or lost is another geometry or none; it raises nothing."""
    wkb = bytearray(shapely.to_wkb(geometry))
    for place in data.draw(st.lists(st.integers(0, len(wkb) - 1), max_size=4)):
        wkb[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(wkb)))
    decode([GP + bytes(wkb), GP + bytes(wkb[:cut]), bytes(wkb)])


@pytest.mark.parametrize("number", [np.nan, 1e300], ids=str)
def test_one_number_that_is_none(hostile_map, number):
    """One vertex at NaN or beyond the Earth is enough to leave the object out."""
    wkb = bytearray(shapely.to_wkb(shapely.Polygon([(0, 0), (1, 0), (1, 1), (0, 1)])))
    wkb[13 + 32 : 13 + 40] = struct.pack("<d", number)
    view, problems = hostile_map(
        ("UPDATE crosswalks SET geom = ? WHERE fid = (SELECT min(fid) FROM crosswalks)", (GP + bytes(wkb),))
    )
    assert problems == ["1 objects of crosswalks have coordinates that are not finite"]
    assert all(np.isfinite(areas.polygons.rings.points).all() for areas in view.areas.values())


@pytest.mark.parametrize("number", [2**63 - 1, 1e300, -1e300, float("inf")], ids=str)
def test_ids_beyond_all_numbers(hostile_map, number):
    """Ids that 64 bits do not hold are ids of nothing; where an object's own id is one, the map is refused."""
    _, problems = hostile_map(
        ("UPDATE lane_connectors SET exit_lane_fid = ?, traffic_light_stop_line_fids = ?", (number, str(number)))
    )
    assert any("stop lines of connectors are not in" in problem for problem in problems)
    with pytest.raises(SampleError, match="no unique whole numbers"):
        hostile_map(
            "ALTER TABLE walkways RENAME TO w",
            "CREATE TABLE walkways AS SELECT * FROM w",
            ("UPDATE walkways SET fid = ?", (number,)),
        )


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i"


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (["DROP TABLE walkways", f"CREATE VIEW walkways AS {ENDLESS} AS fid, x'00' AS geom FROM n"], "lacks layer walkways"),
        (
            [
                "ALTER TABLE walkways RENAME TO w",
                "CREATE TABLE walkways (fid INTEGER PRIMARY KEY, geom BLOB AS (zeroblob(900000000)))",
            ],
            "layer walkways has no geometry column",
        ),
        (
            [
                "ALTER TABLE intersections RENAME TO former",
                "CREATE TABLE intersections (fid INTEGER PRIMARY KEY)",
                f"INSERT INTO intersections {ENDLESS} FROM n LIMIT 1000",
                f"ALTER TABLE intersections ADD COLUMN geom BLOB DEFAULT x'{'00' * 1_000_000}'",
            ],
            "holds more than the file has room for",
        ),
        (["DROP TABLE meta", f"CREATE VIEW meta AS {ENDLESS} AS key, i AS value FROM n"], "table meta"),
        (["DROP TABLE boundaries", "CREATE VIRTUAL TABLE boundaries USING fts5(fid, geom)"], "lacks layer boundaries"),
    ],
    ids=["a view", "a computed column", "a default", "a view of settings", "a virtual table"],
)
def test_maps_that_compute(hostile_map, statements, said):
    """What would make SQLite compute without end, or give more than the file holds, is refused before it is read."""
    with pytest.raises(SampleError, match=said) as caught:
        hostile_map(*statements)
    assert caught.value.reason is Reason.BROKEN_MAP


@pytest.mark.parametrize(
    "statements",
    [
        ["DROP TABLE scenario_tag", f"CREATE VIEW scenario_tag AS {ENDLESS} AS lidar_pc_token, 'x' AS type FROM n"],
        ["DROP TABLE scenario_tag", f"CREATE VIEW SCENARIO_Tag AS {ENDLESS} AS lidar_pc_token, 'x' AS type FROM n"],
        ["ALTER TABLE track RENAME TO t", "CREATE TABLE track (token, category_token AS (hex(zeroblob(400000000))))"],
        ["DROP TABLE category", "CREATE VIRTUAL TABLE category USING fts5(token, name)"],
        [f"ALTER TABLE ego_pose ADD COLUMN more TEXT DEFAULT '{'x' * 1000}'"],
    ],
    ids=["a view", "a view in capitals", "a computed column", "a virtual table", "a default"],
)
def test_logs_that_compute(hostile_log, statements):
    """A log whose rows are computed is refused with its reason, before SQLite computes them (or lacks virtual tables)."""
    with pytest.raises(PlutoError, match=r"views or computed columns|no such module"):
        hostile_log(*statements).list(ScenarioFilter())


def flipped(path, target, chance, count):
    """Copy a file with some bytes changed."""
    content = bytearray(path.read_bytes())
    for _ in range(count):
        content[chance.randrange(len(content))] = chance.randrange(256)
    target.write_bytes(content)


def read_log(path, town, home):
    """List a log and load a scenario; what is refused is refused by messages."""
    try:
        source = NuPlanSource(NuPlanConfig(data_root=str(path), map_root=str(town.map_root)), cache_home=home)
        listing = source.list(ScenarioFilter(remove_invalid_goals=False))
        for one in source.load_many([listing.id(row) for row in range(min(len(listing), 2))], WINDOW):
            assert isinstance(one, SampleError) or one.check() is None
    except (PlutoError, SampleError):
        pass


@pytest.mark.parametrize("seed", [*range(8), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 80))])
def test_damaged_logs(town, home, tmp_path, seed):
    """A log with changed bytes is read, or refused with a reason; nothing else escapes."""
    chance = random.Random(seed)  # noqa: S311 -- the same bytes every time
    path = tmp_path / "2021.06.07.log.db"
    flipped(min(town.data_root.glob("*.db")), path, chance, chance.choice([1, 8, 64, 512]))
    read_log(path, town, home)


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 40))])
def test_damaged_maps(town_map, tmp_path, seed):
    """A map with changed bytes is read, or refused with a reason; nothing else escapes."""
    chance = random.Random(seed)  # noqa: S311 -- the same bytes every time
    flipped(town_map.path, tmp_path / "map.gpkg", chance, chance.choice([1, 8, 64, 512]))
    with contextlib.suppress(SampleError):
        build(MapFile(town_map.location, town_map.version, tmp_path / "map.gpkg"))
