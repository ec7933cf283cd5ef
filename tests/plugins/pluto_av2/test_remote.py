"""Recordings behind URLs are read as those on the disk."""

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pluto_av2.config import Av2Config
from pluto_av2.doctor import ROOT, examine
from pluto_av2.source import Av2Source
from pluto_core.errors import PlutoError, SampleError
from pluto_core.filters import ScenarioFilter
from pluto_core.maps import Layer
from pluto_core.moments import Surroundings
from pluto_core.places import remote
from pluto_core.scene import Window

fsspec = pytest.importorskip("fsspec", reason="the extra `remote` is not installed")

WINDOW = Window(history_s=2.0, future_s=8.0)


@pytest.fixture(params=["sensor", "motion"])
def root(request: pytest.FixtureRequest, sensor_root: Path, motion_root: Path) -> Path:
    """Return a folder of a sensor log or of a motion scenario."""
    return sensor_root if request.param == "sensor" else motion_root


@pytest.fixture
def url(root: Path) -> Iterator[str]:
    """Return a URL of that folder."""
    system = fsspec.filesystem("memory")
    system.put(f"{root}/", "/drives/", recursive=True)
    yield "memory://drives"
    system.rm("/drives", recursive=True)


def test_a_remote_recording_is_the_local_one(root: Path, url: str, tmp_path: Path) -> None:
    """The same identity, listing and scene, so that caches made of one go on with the other; also in another process."""
    near = Av2Source(Av2Config(data_root=str(root)))
    far = pickle.loads(pickle.dumps(Av2Source(Av2Config(data_root=url), cache_home=tmp_path)))  # noqa: S301 -- made here
    assert far.identity() == near.identity()
    assert not (tmp_path / "remote").exists()  # nothing is fetched before it is needed
    ids = list(near.list(ScenarioFilter()).ids())
    assert list(far.list(ScenarioFilter()).ids()) == ids
    first, second = far.load(ids[0], WINDOW), near.load(ids[0], WINDOW)
    np.testing.assert_array_equal(first.ego.position, second.ego.position)
    np.testing.assert_array_equal(first.tracks.position, second.tracks.position)
    np.testing.assert_array_equal(first.map.ids(Layer.LANE), second.map.ids(Layer.LANE))
    assert len(list((tmp_path / "remote").glob("*/*.json"))) == 1


def test_what_cannot_be_fetched(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording that is gone by the time it is read is refused with its reason; a URL that leads nowhere is a mistake."""
    monkeypatch.setattr(remote, "DELAYS_S", ())
    source = Av2Source(Av2Config(data_root=url), cache_home=tmp_path)
    monkeypatch.setattr(remote.RemotePath, "local", _gone)
    with pytest.raises(SampleError, match="is gone"):
        source._open(source.logs()[0])
    with pytest.raises(PlutoError, match="is no folder"):
        Av2Source(Av2Config(data_root="memory://nowhere"), cache_home=tmp_path)


def _gone(_path: remote.RemotePath) -> Path:
    message = "it is gone"
    raise OSError(message)


def test_doctor_fetches_one_recording(url: str, tmp_path: Path) -> None:
    """It opens one behind a URL."""
    (found,) = examine(Surroundings(environment={ROOT: url}, cache_home=tmp_path))
    assert found.state == "ok"
    assert f"1 recordings in {url}" in found.text
