"""The fixtures of the kit give what they say, to a plugin's test that names them."""

import sys

import pytest

from pluto_core.experiment import read
from pluto_core.protocols import Augmentation, ScenarioSource, ShardStore, Splitter, Worker
from pluto_core.samples import check

pytest_plugins = ("pluto_core.testing.fixtures", "pytester")


def test_scenes(scene, empty_scene):
    """Both scenes are valid; one is busy, the other is bare."""
    scene.check()
    empty_scene.check()
    assert len(scene.tracks.token)
    assert len(empty_scene.tracks.token) == 0


def test_samples(fake_samples, fake_spec):
    """Samples are what their spec says, of different sizes."""
    for sample in fake_samples:
        check(sample, fake_spec)
    assert len({len(sample["agent/position"]) for sample in fake_samples}) > 2


def test_parts(fake_source, fake_augmentation, fake_cache, fake_splitter, fake_worker):
    """Each part keeps the protocol of its kind."""
    parts = (fake_source, fake_augmentation, fake_cache, fake_splitter, fake_worker)
    for part, protocol in zip(parts, (ScenarioSource, Augmentation, ShardStore, Splitter, Worker), strict=True):
        assert isinstance(part, protocol)


def test_experiments(write_experiment, pluto):
    """An experiment of small parts is checked, and its cache is made, without any data."""
    text = 'steps = ["cache"]\n[[features]]\nuse = "fake"\n[[targets]]\nuse = "fake"\n[splitter]\nuse = "fake"\n'
    file = write_experiment(text)
    assert read(file, environment={}).name == "experiment"
    said = pluto("run", file).ok()
    assert "24 computed" in said


@pytest.mark.parametrize("fixture", ["scene", "fake_samples", "write_experiment"])
def test_named_by_a_plugin(pytester, fixture):
    """A test of a plugin gets them by naming the module in `pytest_plugins`."""
    pytester.makeconftest('pytest_plugins = ["pluto_core.testing.fixtures"]')
    pytester.makepyfile(f"def test_it({fixture}):\n    assert {fixture}")
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
    assert "pluto_core.testing.fixtures" in sys.modules
