"""The kit for authors of plugins: suites that prove a component keeps its contract, scenes to try it on, small real parts.

A test of a cache backend, complete:

    from pluto_core.testing import CacheSuite, HooksSuite

    class TestHooks(HooksSuite):
        hooks = "pluto_shelf"

    class TestShelf(CacheSuite):
        hooks, use = "pluto_shelf", "shelf"

All tests of a suite are inherited; one that a component cannot pass is named, with the reason: `gaps = {"test_...": "why"}`.

Suites need the extra `testing` (pytest, hypothesis); those for models and trainers are in `pluto_lightning.testing`. Fixtures
are in `pluto_core.testing.fixtures`, to be named in `pytest_plugins`. `pluto_core.testing.plugin` is a plugin of small real
parts (`plugins = ["pluto_core.testing.plugin"]` in an experiment), which needs no pytest; so suites load when asked for.
"""

from typing import TYPE_CHECKING

from pluto_core.testing.lazy import suites

if TYPE_CHECKING:
    from pluto_core.testing.augmentations import AugmentationSuite as AugmentationSuite
    from pluto_core.testing.builders import BuilderSuite as BuilderSuite
    from pluto_core.testing.caches import CacheSuite as CacheSuite
    from pluto_core.testing.hooks import HooksSuite as HooksSuite
    from pluto_core.testing.scenes import make_scene as make_scene
    from pluto_core.testing.sources import SourceSuite as SourceSuite
    from pluto_core.testing.splitters import SplitterSuite as SplitterSuite
    from pluto_core.testing.workers import WorkerSuite as WorkerSuite

_PLACES = {
    "AugmentationSuite": "augmentations",
    "BuilderSuite": "builders",
    "CacheSuite": "caches",
    "HooksSuite": "hooks",
    "SourceSuite": "sources",
    "SplitterSuite": "splitters",
    "WorkerSuite": "workers",
    "make_scene": "scenes",
}

__all__ = [
    "AugmentationSuite",
    "BuilderSuite",
    "CacheSuite",
    "HooksSuite",
    "SourceSuite",
    "SplitterSuite",
    "WorkerSuite",
    "make_scene",
]

__getattr__ = suites(__name__, _PLACES)
