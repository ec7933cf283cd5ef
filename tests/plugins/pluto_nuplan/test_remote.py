"""Logs and maps behind URLs are read as those on the disk."""

import pickle
import shutil

import numpy as np
import pytest

from pluto_core.errors import PlutoError, SampleError
from pluto_core.filters import ScenarioFilter
from pluto_core.maps import Layer
from pluto_core.moments import Surroundings
from pluto_core.places import remote
from pluto_core.places.copies import Copies
from pluto_core.scene import Window
from pluto_nuplan.config import NuPlanConfig
from pluto_nuplan.doctor import examine
from pluto_nuplan.maps import store
from pluto_nuplan.source import NuPlanSource

fsspec = pytest.importorskip("fsspec", reason="the extra `remote` is not installed")

WINDOW = Window(history_s=1.0, future_s=1.0, interval_s=0.1)


@pytest.fixture(scope="module", params=["memory", "file"])
def url(request, dataset):
    """Return a URL of the dataset."""
    if request.param == "file":
        yield dataset.root.as_uri()
        return
    system = fsspec.filesystem("memory")
    system.put(f"{dataset.root}/", "/lake/", recursive=True)
    yield "memory://lake"
    system.rm("/lake", recursive=True)


@pytest.fixture
def far(url, tmp_path):
    """Return a source of the dataset behind its URL."""
    return NuPlanSource(NuPlanConfig(data_root=url), cache_home=tmp_path)


def test_a_remote_dataset_is_the_local_one(far, source):
    """The same identity, listing and scenes, so that caches made of one go on with the other."""
    assert far.identity() == source.identity()
    ours, theirs = far.list(ScenarioFilter()), source.list(ScenarioFilter())
    assert list(ours.ids()) == list(theirs.ids())
    chosen = list(ours.ids())[::400]
    for one in chosen:
        first, second = far.load(one, WINDOW), source.load(one, WINDOW)
        np.testing.assert_array_equal(first.ego.position, second.ego.position)
        np.testing.assert_array_equal(first.tracks.position, second.tracks.position)
        np.testing.assert_array_equal(first.map.ids(Layer.LANE), second.map.ids(Layer.LANE))


def test_nothing_is_fetched_before_it_is_needed(far, tmp_path):
    """Finding logs and maps lists folders only; one log's scenes fetch that log and its map."""
    assert not (tmp_path / "remote").exists()
    (name, *_) = far._paths
    list(far.list(ScenarioFilter(log_names=(name,))).ids())
    held = {path.name for path in (tmp_path / "remote").glob("*/*")}
    assert f"{name}.db" in held
    assert len([one for one in held if one.endswith(".db")]) == 1


def test_a_pickled_source_goes_on(far):
    """A worker gets the places, and fetches by itself."""
    scenario = next(iter(far.list(ScenarioFilter()).ids()))
    again = pickle.loads(pickle.dumps(far))  # noqa: S301 -- made here
    assert again.load(scenario, WINDOW).times_us.tolist() == far.load(scenario, WINDOW).times_us.tolist()


def test_copies_that_were_removed_are_fetched_again(far, tmp_path):
    """A log that made room for others is there when it is asked for."""
    scenario = next(iter(far.list(ScenarioFilter()).ids()))
    shutil.rmtree(tmp_path / "remote")
    assert len(far.load(scenario, WINDOW).times_us)


def test_a_built_map_needs_no_package(far, tmp_path, monkeypatch):
    """What was built from a package behind a URL opens without fetching it again."""
    scenario = next(iter(far.list(ScenarioFilter()).ids()))
    far.load(scenario, WINDOW)
    store._open.cache_clear()
    again = pickle.loads(pickle.dumps(far))  # noqa: S301 -- made here
    monkeypatch.setattr(store, "build", None)
    assert len(again.load(scenario, WINDOW).map.lanes)


def test_a_log_that_cannot_be_fetched_is_refused(far, monkeypatch):
    """Its scenarios fail with a reason; others go on."""
    first, _ = far._paths
    original = Copies.get

    def get(self, where, *arguments):
        if first in where:
            message = "the network is down"
            raise ConnectionError(message)
        return original(self, where, *arguments)

    monkeypatch.setattr(Copies, "get", get)
    assert len(far.list(ScenarioFilter()))
    ((log, _, detail),) = far.problems()
    assert log == first
    assert "the network is down" in detail


def test_a_map_that_cannot_be_fetched_is_refused(far, monkeypatch):
    """The scene is refused as one whose map is missing."""
    scenario = next(iter(far.list(ScenarioFilter()).ids()))
    original = Copies.get

    def get(self, where, *arguments):
        if where.endswith(".gpkg"):
            message = "the network is down"
            raise ConnectionError(message)
        return original(self, where, *arguments)

    monkeypatch.setattr(Copies, "get", get)
    store._open.cache_clear()
    with pytest.raises(SampleError, match="the network is down"):
        far.load(scenario, WINDOW)


def test_wrong_urls_are_mistakes(url, tmp_path, monkeypatch):
    """A folder that is not there, or holds no logs or maps, is named."""
    monkeypatch.setattr(remote, "DELAYS_S", ())
    for settings, said in (
        ({"data_root": f"{url}/nowhere"}, "there is no folder or file"),
        ({"data_root": f"{url}/maps"}, "holds no nuPlan log"),
        ({"data_root": url, "map_root": f"{url}/nowhere"}, "there is no folder"),
        ({"data_root": url, "map_root": url}, r"holds no nuplan-maps-v1\.0\.json"),
    ):
        with pytest.raises(PlutoError, match=said):
            NuPlanSource(NuPlanConfig(**settings), cache_home=tmp_path)


def test_maps_may_lie_elsewhere(url, dataset, source, tmp_path):
    """Local logs with remote maps, remote logs with local maps, and a list of both kinds of logs."""
    logs = sorted(dataset.root.rglob("*.db"))
    inside = logs[0].relative_to(dataset.root)
    for settings in (
        {"data_root": str(dataset.root), "map_root": f"{url}/maps"},
        {"data_root": url, "map_root": str(dataset.map_root)},
        {"data_root": (f"{url}/{inside}", str(logs[1])), "map_root": str(dataset.map_root)},
    ):
        mixed = NuPlanSource(NuPlanConfig(**settings), cache_home=tmp_path)
        assert mixed.identity() == source.identity()
        assert len(mixed.list(ScenarioFilter())) == len(source.list(ScenarioFilter()))


def test_doctor_opens_one_log_behind_a_url(url, tmp_path):
    """It does not download everything: the first log and its map."""
    surroundings = Surroundings(environment={"NUPLAN_DATA_ROOT": url}, cache_home=tmp_path)
    found = {one.subject: one for one in examine(surroundings)}
    assert found["NUPLAN_DATA_ROOT"].text.startswith("1 of 1 logs open, of 2 with")
    assert "broken" not in {one.state for one in found.values()}
    assert len(list((tmp_path / "remote").glob("*/*.db"))) == 1
