"""Runs suites on broken parts, in a pytest inside the one that runs."""

import importlib
import os

import broken_parts
import pytest

from pluto_core.component import load
from pluto_core.testing.guard import inherited_tests

GUARD = "test_no_test_of_the_suite_is_missing"
"""Proven in test_testing_guard.py."""
QUIET = [
    f"-c{os.devnull}",
    "-q",
    "--import-mode=importlib",
    "-pno:cacheprovider",
    "-pno:timeout",
    "-pno:faulthandler",
    "--tb=short",
]
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


def assert_caught(suite, module, folder, body="more = {}", elsewhere=()):
    """Assert that each part fails the tests that it names, in the test itself, and that together they fail all tests.

    Args:
        suite: Import string of the suite.
        module: Module of the broken parts.
        folder: Where the test of the parts is written.
        body: Text that assigns to `more` what the classes of tests need besides.
        elsewhere: Tests whose failing is proven with other parts.
    """
    parts = broken_parts.parts(importlib.import_module(module))
    expected = {(name, test) for name, cls in parts.items() for test in cls.caught_by}
    path = folder / f"test_inner_{module}.py"
    path.write_text(INNER.format(module=module, suite=suite, body=body))
    verdicts = Verdicts()
    asked = [f"{path}::Test_{name}::{test}" for name, test in sorted(expected)]
    pytest.main([*QUIET, f"--rootdir={folder}", *asked], [verdicts])
    missed = sorted(expected - set(verdicts.failed))
    assert not missed, f"not caught: {missed}; {verdicts.broken}"
    tests = {name for name, _ in inherited_tests(load(suite))} - {GUARD} - set(elsewhere)
    never = sorted(tests - {test for _, test in expected})
    assert not never, f"nothing proves that these can fail: {', '.join(never)}"
