"""Fixtures for the tests of plugins: scenes, samples and small real parts.

A test's module, or the `conftest.py` at the top, names them: `pytest_plugins = ["pluto_core.testing.fixtures"]`.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from pluto_core.arrays import SampleSpec
from pluto_core.samples import Sample
from pluto_core.scene import Scene
from pluto_core.testing.config import FakeAgentsConfig, FakeSourceConfig, FakeTruthConfig
from pluto_core.testing.fake_samples import FakeAgents, FakeTruth, Mirror
from pluto_core.testing.fakes import DictCache, FakeSource, InlineWorker, NameSplitter
from pluto_core.testing.scenes import bare_scene, make_scene
from pluto_core.testing.supply import Supply

_EXPERIMENT = """plugins = ["pluto_core.testing.plugin"]
output_dir = {output!r}
{text}
"""
_SOURCE = """
[source]
use = "fake"
"""


@pytest.fixture
def scene() -> Scene:
    """Return the usual scene: a junction ahead, a vehicle, a pedestrian and a cyclist."""
    return make_scene()


@pytest.fixture
def empty_scene() -> Scene:
    """Return the emptiest scene that is valid: nobody else, no map, no past and no future."""
    return bare_scene()


@pytest.fixture
def fake_source() -> FakeSource:
    """Return a source of scenes made in memory: four logs of six scenarios."""
    return FakeSource(FakeSourceConfig())


@pytest.fixture
def fake_supply() -> Supply:
    """Return the small builders: where others are, and where the ego vehicle goes."""
    return Supply((FakeAgents(FakeAgentsConfig()), FakeTruth(FakeTruthConfig())))


@pytest.fixture
def fake_spec(fake_supply: Supply) -> SampleSpec:
    """Return the spec of the samples of the small builders."""
    return fake_supply.spec


@pytest.fixture
def fake_samples(fake_supply: Supply) -> list[Sample]:
    """Return four samples of different sizes."""
    return fake_supply.samples()


@pytest.fixture
def fake_augmentation() -> Mirror:
    """Return the augmentation that moves and mirrors."""
    return Mirror()


@pytest.fixture
def fake_cache() -> DictCache:
    """Return the store that keeps shards in dicts."""
    return DictCache()


@pytest.fixture
def fake_splitter() -> NameSplitter:
    """Return the splitter that goes by the names of logs."""
    return NameSplitter()


@pytest.fixture
def fake_worker() -> InlineWorker:
    """Return the worker that does everything where it is called."""
    return InlineWorker()


@pytest.fixture
def write_experiment(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes an experiment and returns its file.

    It is given the text, top-level keys first. The small parts can be selected in it (`use = "fake"`); scenes made in memory
    are its source where it names none; what it writes lands in the test's folder.
    """

    def write(text: str) -> Path:
        path = tmp_path / "experiment.toml"
        whole = _EXPERIMENT.format(output=str(tmp_path / "runs"), text=text)
        path.write_text(whole if "[source]" in text else whole + _SOURCE, encoding="utf-8")
        return path

    return write
