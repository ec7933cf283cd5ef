"""A test of a plugin that lacks something says what it lacks."""

import pytest

from pluto_core.testing import AugmentationSuite, CacheSuite

pytest_plugins = ("pytester",)
TEST = "from pluto_core.testing import {suite}\n\nclass TestPart({suite}):\n    {body}\n"


@pytest.mark.parametrize(
    ("suite", "body", "message"),
    [
        (CacheSuite, "pass", "TestPart needs `hooks` and `use`, or the fixture 'shards'"),
        (
            CacheSuite,
            'hooks, use = "pluto_core.testing.plugin", "tape"',
            "pluto_core.testing.plugin registers no caches called 'tape'",
        ),
        (
            CacheSuite,
            'hooks, use, kind = "pluto_core.testing.plugin", "fake", "targets"',
            "TestPart tests caches, not targets",
        ),
        (AugmentationSuite, "pass", "TestPart needs the fixtures `spec` and `samples`"),
    ],
)
def test_what_is_missing_is_named(pytester, suite, body, message):
    """A class without a component, with an unknown one, or without samples fails with one line."""
    pytester.makepyfile(TEST.format(suite=suite.__name__, body=body))
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    assert message in done.stdout.str()
