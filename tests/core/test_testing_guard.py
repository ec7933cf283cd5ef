"""No test of a suite can be lost: deleting, overriding and switching off fail with a message that says what to do."""

import pytest

from pluto_core.testing.guard import Suite

pytest_plugins = ("pytester",)

SUITE = """
from pluto_core.testing.guard import Suite

class ShelfSuite(Suite, suite=True):
    shelf = 1
    def test_holds(self):
        assert self.shelf
    def test_is_level(self, tmp_path):
        '''Uses a fixture.'''
        assert self.shelf == 1, tmp_path
"""


def run(pytester, text):
    """Return how pytest judges a test file."""
    pytester.makepyfile(test_shelf=SUITE + text)
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-rx")


def test_all_is_inherited(pytester):
    """A subclass has the tests of its suite, the guard, and its own."""
    done = run(pytester, "class TestShelf(ShelfSuite):\n    def test_own(self):\n        pass")
    done.assert_outcomes(passed=4)


@pytest.mark.parametrize(
    "body",
    [
        "test_holds = None",
        "def test_holds(self):\n        pass",
        "test_holds = property(lambda self: None)",
        "@pytest.mark.skip(reason='no')\n    def test_holds(self):\n        pass",
        "@pytest.mark.xfail(reason='no')\n    def test_holds(self):\n        raise ValueError",
    ],
)
def test_overriding_fails(pytester, body):
    """An inherited test that is set to None or overridden, skipped or not, fails the guard, which names test and way out."""
    done = run(pytester, f"import pytest\nclass TestShelf(ShelfSuite):\n    {body}")
    assert done.parseoutcomes()["failed"] == 1
    done.stdout.fnmatch_lines(["*AssertionError: TestShelf drops or overrides test_holds: *name in `gaps`, with the reason*"])


@pytest.mark.parametrize("loss", ["del ShelfSuite.test_holds", "ShelfSuite.test_holds = None", "TestShelf.test_holds = None"])
def test_losing_later_fails(pytester, loss):
    """A test that is taken from a class or its suite after they were made is noticed."""
    done = run(pytester, f"class TestShelf(ShelfSuite):\n    pass\n{loss}")
    done.stdout.fnmatch_lines(["*AssertionError: TestShelf drops or overrides test_holds: *"])


def test_overriding_by_another_base_fails(pytester):
    """A class that stands before the suite among the bases cannot take its tests either."""
    mixin = "class Quiet:\n    def test_holds(self):\n        pass\n"
    done = run(pytester, mixin + "class TestShelf(Quiet, ShelfSuite):\n    pass")
    assert done.parseoutcomes()["failed"] == 1


def test_gaps_are_expected_to_fail(pytester):
    """A test named in `gaps` runs and is expected to fail, with its reason in the report; other classes keep theirs."""
    text = """
class TestTilted(ShelfSuite):
    shelf = 2
    gaps = {"test_is_level": "the wall is crooked"}

class TestShelf(ShelfSuite):
    pass
"""
    done = run(pytester, text)
    done.assert_outcomes(passed=5, xfailed=1)
    done.stdout.fnmatch_lines(["XFAIL *test_is_level - the wall is crooked*"])


def test_closed_gaps_are_noticed(pytester):
    """A test named in `gaps` that passes is a failure, so that no gap is kept that is none."""
    done = run(pytester, 'class TestShelf(ShelfSuite):\n    gaps = {"test_is_level": "the wall is crooked"}')
    done.assert_outcomes(passed=2, failed=1)
    done.stdout.fnmatch_lines(["*XPASS(strict)*the wall is crooked*"])


def test_gaps_are_inherited(pytester):
    """A gap of a class is one of its subclasses'."""
    text = """
class TestTilted(ShelfSuite):
    shelf = 2
    gaps = {"test_is_level": "the wall is crooked"}

class TestMoreTilted(TestTilted):
    shelf = 3
"""
    run(pytester, text).assert_outcomes(passed=4, xfailed=2)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"gaps": {"test_hold": "why"}}, "no suite has a test 'test_hold' that may fail; did you mean 'test_holds'"),
        ({"gaps": {"test_holds": " "}}, "say why test_holds must fail"),
        ({"gaps": {"test_holds": "why"}, "test_holds": None}, "overrides test_holds, which it names in `gaps`"),
        ({"gaps": {"test_no_test_of_the_suite_is_missing": "why"}}, "that may fail"),
        ({"test_no_test_of_the_suite_is_missing": None}, "must not override"),
        ({"__test__": False}, "switches its suite off"),
    ],
)
def test_the_way_out_is_narrow(body, message):
    """Gaps need a reason and an inherited test; guard and class cannot be switched off."""

    class ShelfSuite(Suite, suite=True):
        def test_holds(self):
            """Hold."""

    with pytest.raises(TypeError, match=message):
        type("TestShelf", (ShelfSuite,), body)
