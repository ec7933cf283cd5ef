"""The small real parts pass the suites of their kinds."""

from typing import ClassVar

import numpy as np
import pytest

from pluto_core.testing import (
    AugmentationSuite,
    BuilderSuite,
    CacheSuite,
    HooksSuite,
    SourceSuite,
    SplitterSuite,
    WorkerSuite,
    make_scene,
)
from pluto_core.testing.config import FakeAgentsConfig
from pluto_core.testing.fake_samples import FakeAgents

FAKES = "pluto_core.testing.plugin"


class TestHooks(HooksSuite):
    """The hooks of the fakes."""

    hooks = FAKES


class TestFakeSource(SourceSuite):
    """`FakeSource`."""

    hooks, use = FAKES, "fake"


class TestFakeAgents(BuilderSuite):
    """`FakeAgents`."""

    hooks, use = FAKES, "fake"


class TestFakeTruth(BuilderSuite):
    """`FakeTruth`."""

    hooks, use, kind = FAKES, "fake", "targets"


class TestDictCache(CacheSuite):
    """`DictCache`."""

    hooks, use = FAKES, "fake"


class TestNameSplitter(SplitterSuite):
    """`NameSplitter`."""

    hooks, use = FAKES, "fake"


class TestMirror(AugmentationSuite):
    """`Mirror`."""

    hooks, use = FAKES, "fake"
    roles: ClassVar = ("anchor", "mirrored")


class TestInlineWorker(WorkerSuite):
    """`InlineWorker`."""

    hooks, use = FAKES, "fake"


class TestWithoutHooks(BuilderSuite):
    """A component may be given by its fixture, too."""

    @pytest.fixture
    def builder(self):
        """Return a builder that no hook registers."""
        return FakeAgents(FakeAgentsConfig(history_s=0.0))


def test_scenes_are_the_same_everywhere():
    """The same seed gives the same scene, another seed another one."""
    first, again, other = make_scene(seed=1), make_scene(seed=1), make_scene(seed=2)
    assert np.array_equal(first.ego.position, again.ego.position)
    assert not np.array_equal(first.ego.position, other.ego.position)
