"""Every test of every suite can fail: parts with one defect each are caught by the tests that are there for it."""

import importlib
import os

import attrs
import pytest

from pluto_core.component import load
from pluto_core.testing.guard import inherited_tests

GUARD = "test_no_test_of_the_suite_is_missing"
"""Proven in test_testing_guard.py."""

QUIET = [f"-c{os.devnull}", "-q", "--import-mode=importlib", "-pno:cacheprovider", "-pno:timeout", "-pno:faulthandler"]
"""How pytest runs inside pytest: it reads no settings, writes no files, and leaves timers alone."""

INNER = """
import {module} as broken
from broken_parts import parts
from pluto_core.component import load
import pytest

Suite = load("{suite}")
{body}
for name in parts(broken):
    class_name = "Test_" + name
    globals()[class_name] = type(class_name, (Suite,), {{"hooks": "{module}", "use": name, "__module__": __name__, **more}})
"""


@attrs.frozen
class Case:
    """A suite, the module of the parts that break it, and what classes of tests need besides."""

    suite: str
    module: str
    body: str = "more = {}"
    elsewhere: frozenset[str] = frozenset()
    """Tests whose failing is proven with other parts."""


SAMPLES = """
from pluto_core.testing.supply import Supply
from pluto_core.testing.config import FakeAgentsConfig
from pluto_core.testing.fake_samples import FakeAgents

SUPPLY = Supply((FakeAgents(FakeAgentsConfig()),))
more = {"spec": pytest.fixture(lambda self: SUPPLY.spec), "samples": pytest.fixture(lambda self: SUPPLY.samples())}
"""
FACTS = frozenset({"test_facts_are_true"})
CASES = [
    Case(
        "pluto_core.testing:AugmentationSuite",
        "broken_augmentations",
        SAMPLES,
        FACTS | {"test_samples_are_what_their_spec_says"},
    ),
    Case("pluto_core.testing:BuilderSuite", "broken_builders", elsewhere=FACTS),
    Case("pluto_core.testing:CacheSuite", "broken_caches"),
    Case("pluto_core.testing:SourceSuite", "broken_sources"),
    Case("pluto_core.testing:SplitterSuite", "broken_splitters", elsewhere=FACTS),
    Case("pluto_core.testing:WorkerSuite", "broken_workers"),
]


class Verdicts:
    """Notes which tests failed, and how, as a plugin of pytest."""

    def __init__(self):
        self.failed = {}
        self.broken = {}

    def pytest_runtest_logreport(self, report):
        """Note a failure of the test itself, or of what surrounds it."""
        if report.failed:
            _, cls, test = report.nodeid.split("::")
            into = self.failed if report.when == "call" else self.broken
            into[cls.removeprefix("Test_"), test.partition("[")[0]] = report.longreprtext


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.suite.partition(":")[2])
def test_broken_parts_are_caught(tmp_path, local_plugins, case):
    """Each broken part fails the tests that it names, in the test itself; together they make every test of the suite fail."""
    module = importlib.import_module(case.module)
    parts = importlib.import_module("broken_parts").parts(module)
    expected = {(name, test) for name, cls in parts.items() for test in cls.caught_by}
    path = tmp_path / f"test_inner_{case.module}.py"
    path.write_text(INNER.format(module=case.module, suite=case.suite, body=case.body))
    verdicts = Verdicts()
    pytest.main(
        [*QUIET, f"--rootdir={tmp_path}", *(f"{path}::Test_{name}::{test}" for name, test in sorted(expected))], [verdicts]
    )
    missed = sorted(expected - set(verdicts.failed))
    assert not missed, f"not caught: {missed}; {verdicts.broken}"
    suite = load(case.suite)
    tests = {name for name, _ in inherited_tests(suite)} - {GUARD} - case.elsewhere
    never = sorted(tests - {test for _, test in expected})
    assert not never, f"nothing proves that these can fail: {', '.join(never)}"
