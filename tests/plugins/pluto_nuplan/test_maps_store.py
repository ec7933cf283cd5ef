import multiprocessing
import os
import pickle
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pluto_core.maps import to_arrays
from pluto_nuplan.maps import find_map, open_map, store
from pluto_nuplan.maps.mapfile import DamagedError, read, write
from pluto_nuplan.synth.dataset import write_dataset


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the map file of a small synthetic town."""
    made = write_dataset(tmp_path_factory.mktemp("whole") / "data", logs=1, seconds=4.0, grid=(2, 2), density=0.1)
    (location,) = [path.name for path in made.map_root.iterdir() if path.is_dir()]
    return find_map(made.map_root, location)


@pytest.fixture
def source(whole, tmp_path):
    """Return a copy of the map root that a test may change."""
    root = tmp_path / "maps"
    shutil.copytree(whole.path.parents[2], root)
    return root, whole.location


@pytest.fixture
def fresh(monkeypatch):
    """Let this process forget the maps that it has open."""
    store._open.cache_clear()
    yield store._open.cache_clear
    store._open.cache_clear()


@pytest.fixture
def builds(monkeypatch):
    """Return the list of files that were built from their GeoPackage."""
    built = []
    original = store.build

    def counting(file):
        built.append(file)
        return original(file)

    monkeypatch.setattr(store, "build", counting)
    return built


def built_file(home):
    """Return the one built map in a cache folder."""
    (path,) = (home / "maps").glob("*.map")
    return path


def test_a_map_is_built_once_and_then_mapped(source, tmp_path, fresh, builds):
    """One object per process; a process that comes later maps the same bytes, read-only."""
    first = open_map(*source, cache_home=tmp_path)
    assert open_map(*source, cache_home=tmp_path) is first
    fresh()
    second = open_map(*source, cache_home=tmp_path)
    assert second is not first
    assert len(builds) == 1
    original, _ = store.build(builds[0])
    arrays = to_arrays(second)
    for name, array in to_arrays(original).items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype
    np.testing.assert_array_equal(second.edges(), original.edges())
    assert second.derived["problems"] == []
    with pytest.raises(ValueError, match="read-only"):
        second.lanes.baselines.points[0] = 0


def test_what_queries_need_is_stored_with_the_map(source, tmp_path, fresh):
    """Bounds, arc lengths and resampled edges are mapped, not computed by every process."""
    open_map(*source, cache_home=tmp_path)
    fresh()
    view = open_map(*source, cache_home=tmp_path)
    assert {"arc_m", "headings", "lengths_m"} <= vars(view.lanes.baselines).keys()
    assert {"bounds", "single", "chunk_offsets"} <= vars(view.blocks.polygons).keys()
    assert ("edges", 21) in view.derived


def test_another_source_is_built_anew(source, tmp_path, fresh, builds):
    """A changed GeoPackage, whose size may be the same, does not get the old map."""
    before = open_map(*source, cache_home=tmp_path)
    path = builds[0].path
    os.utime(path, ns=(1, 1))
    after = open_map(*source, cache_home=tmp_path)
    assert after is not before
    assert len(builds) == 2


@pytest.mark.parametrize("place", [0, 9, 40, 5000, -1])
def test_a_damaged_file_is_built_anew(source, tmp_path, fresh, builds, caplog, place):
    """A changed byte anywhere, also in the last array, is noticed, and the map is the right one again."""
    expected = to_arrays(open_map(*source, cache_home=tmp_path))
    path = built_file(tmp_path)
    content = bytearray(path.read_bytes())
    content[place if place >= 0 else content.rindex(content.rstrip(b"\0")[-1:])] ^= 1
    path.unlink()
    path.write_bytes(content)
    fresh()
    arrays = to_arrays(open_map(*source, cache_home=tmp_path))
    assert len(builds) == 2
    assert "is set aside" in caplog.text
    assert all(np.array_equal(arrays[name], array) for name, array in expected.items())


@pytest.mark.parametrize("kept", [0, 10, 1000, -64])
def test_a_file_cut_off_is_built_anew(source, tmp_path, fresh, builds, kept):
    """Whatever is left of the file, it is not used."""
    open_map(*source, cache_home=tmp_path)
    path = built_file(tmp_path)
    content = path.read_bytes()[:kept]
    path.unlink()
    path.write_bytes(content)
    fresh()
    open_map(*source, cache_home=tmp_path)
    assert len(builds) == 2


def test_a_copied_file_is_used_after_its_bytes_were_checked(source, tmp_path, fresh, builds):
    """Another time of change alone costs no build."""
    open_map(*source, cache_home=tmp_path)
    os.utime(built_file(tmp_path))
    fresh()
    open_map(*source, cache_home=tmp_path)
    assert len(builds) == 1


def test_a_map_that_cannot_be_stored_is_used_from_memory(source, tmp_path, fresh, caplog):
    """A cache folder that is a file, or full, costs time, not the run."""
    (tmp_path / "home").write_text("in the way")
    view = open_map(*source, cache_home=tmp_path / "home")
    assert len(view.lanes) > 0
    assert "keeps it in memory" in caplog.text


def test_old_files_and_abandoned_parts_are_removed(source, tmp_path, fresh):
    """Sources that change leave a bounded number of files."""
    open_map(*source, cache_home=tmp_path)
    stem = built_file(tmp_path).name.rsplit("-", 1)[0]
    for age in range(12):
        old = tmp_path / "maps" / f"{stem}-{age:016x}.map"
        old.write_bytes(b"old")
        os.utime(old, (age, age))
    part = tmp_path / "maps" / ".killed.part"
    part.write_bytes(b"")
    os.utime(part, (1, 1))
    fresh()
    built_file_path = next(path for path in (tmp_path / "maps").glob("*.map") if path.stat().st_size > 3)
    built_file_path.unlink()
    open_map(*source, cache_home=tmp_path)
    left = list((tmp_path / "maps").glob("*.map"))
    assert len(left) == store._KEPT
    assert any(path.stat().st_size > 3 for path in left)
    assert not part.exists()


def open_and_sum(root, location, home, start):
    """Open a map at the same moment as others do and return what its points add up to."""
    start.wait()
    return float(open_map(root, location, cache_home=home).lanes.baselines.points.sum())


def in_process(connection, *arguments):
    """Send what `open_and_sum` returns."""
    connection.send(open_and_sum(*arguments))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_that_build_at_once_agree(source, tmp_path, fresh, method):
    """All of them get the map, and one file is left."""
    context = multiprocessing.get_context(method)
    start = context.Event()
    pipes = [context.Pipe(duplex=False) for _ in range(3)]
    workers = [context.Process(target=in_process, args=(sender, *source, tmp_path, start)) for _, sender in pipes]
    for worker in workers:
        worker.start()
    start.set()
    sums = [receiver.recv() for receiver, _ in pipes]
    for worker in workers:
        worker.join()
    assert len(set(sums)) == 1
    assert sums[0] == open_and_sum(*source, tmp_path, start)
    assert built_file(tmp_path)
    assert not list((tmp_path / "maps").glob(".*.part"))


def test_a_forked_process_reads_the_map_of_its_parent(source, tmp_path, fresh):
    """A mapped map is usable on both sides of a fork."""
    view = open_map(*source, cache_home=tmp_path)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    worker = context.Process(target=lambda: sender.send(float(view.lanes.baselines.points.sum())))
    worker.start()
    assert receiver.recv() == float(view.lanes.baselines.points.sum())
    worker.join()


def test_a_map_is_pickled_as_the_way_to_open_it(source, tmp_path, fresh):
    """The bytes are few, and in this process they lead back to the same object."""
    view = open_map(*source, cache_home=tmp_path)
    pickled = pickle.dumps(view)
    assert len(pickled) < 2000
    assert pickle.loads(pickled) is view  # noqa: S301 -- made here


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"PLUTO_CACHE_HOME": "/a", "XDG_CACHE_HOME": "/b"}, Path("/a")),
        ({"XDG_CACHE_HOME": "/b"}, Path("/b/pluto")),
        ({"HOME": "/c"}, Path("/c/.cache/pluto")),
    ],
)
def test_where_built_maps_are_kept(monkeypatch, variables, expected):
    """Our own variable comes first, then the desktop's, then the home folder."""
    for name in ("PLUTO_CACHE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert store.default_cache_home() == expected


ARRAYS = st.dictionaries(
    st.text(min_size=1, max_size=8),
    hnp.arrays(st.sampled_from(["<f8", "<i8", "?"]), hnp.array_shapes(min_dims=0, min_side=0, max_side=5)),
    max_size=5,
)


@given(ARRAYS, st.booleans())
@settings(max_examples=60, deadline=None)
def test_arrays_come_back_as_they_were(tmp_path_factory, arrays, transposed):
    """Any names, shapes and layouts survive; each array begins at a multiple of 64 bytes."""
    path = tmp_path_factory.mktemp("file") / "arrays.map"
    arrays = {name: array.T if transposed else array for name, array in arrays.items()}
    write(path, arrays, {"note": [1, "two"]})
    about, found = read(path)
    assert about["note"] == [1, "two"]
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
        assert found[name].size == 0 or found[name].ctypes.data % 64 == 0
        assert not found[name].flags.writeable or found[name].size == 0


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_no_damage_gives_wrong_arrays(tmp_path_factory, data):
    """A file with any byte changed and any part cut off is refused, or nothing that was stored has changed."""
    path = tmp_path_factory.mktemp("file") / "arrays.map"
    array = np.arange(40.0).reshape(8, 5)
    write(path, {"a": array}, {})
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.unlink()
    path.write_bytes(content[: data.draw(st.sampled_from([len(content), len(content) - 1, 30]))])
    try:
        _, found = read(path)
    except DamagedError:
        return
    np.testing.assert_array_equal(found["a"], array)


def test_a_writer_that_fails_leaves_nothing(tmp_path, monkeypatch):
    """Neither half a file nor a temporary one stays when the disk is full."""
    monkeypatch.setattr(os, "fsync", partial(_fail, "disk full"))
    with pytest.raises(OSError, match="disk full"):
        write(tmp_path / "arrays.map", {"a": np.zeros(3)}, {})
    assert list(tmp_path.iterdir()) == []


def _fail(message, *_):
    raise OSError(message)
