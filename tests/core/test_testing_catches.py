"""Every test of every suite can fail: parts with one defect each are caught by the tests that are there for it."""

import importlib

import pytest

SAMPLES = """
from pluto_core.testing.supply import Supply
from pluto_core.testing.config import FakeAgentsConfig
from pluto_core.testing.fake_samples import FakeAgents

SUPPLY = Supply((FakeAgents(FakeAgentsConfig()),))
more = {"spec": pytest.fixture(lambda self: SUPPLY.spec), "samples": pytest.fixture(lambda self: SUPPLY.samples())}
"""
FACTS = "test_facts_are_true"
CASES = {
    "AugmentationSuite": (
        "broken_augmentations",
        {"body": SAMPLES, "elsewhere": (FACTS, "test_samples_are_what_their_spec_says")},
    ),
    "BuilderSuite": ("broken_builders", {"elsewhere": (FACTS,)}),
    "CacheSuite": ("broken_caches", {}),
    "SourceSuite": ("broken_sources", {}),
    "SplitterSuite": ("broken_splitters", {"elsewhere": (FACTS,)}),
    "WorkerSuite": ("broken_workers", {}),
}


@pytest.mark.parametrize("suite", CASES)
def test_broken_parts_are_caught(tmp_path, local_plugins, suite):
    """Each broken part fails the tests that it names, in the test itself; together they make every test of the suite fail."""
    module, options = CASES[suite]
    importlib.import_module("broken_runs").assert_caught(f"pluto_core.testing:{suite}", module, tmp_path, **options)
