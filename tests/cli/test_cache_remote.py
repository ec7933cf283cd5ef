"""`pluto cache export` and `import` on URLs."""

import pytest
from cache_experiment import told

from pluto_core.errors import ExitCode

pytest.importorskip("fsspec", reason="the extra `remote` is not installed")


@pytest.fixture
def url(here):
    """Return a URL in the working folder."""
    return f"file://{here}/away/"


def test_a_cache_goes_there_and_back(cached, url):
    """Pushed, pulled, and whole; into the same store, and into another one."""
    sent = told(cached("cache", "export", "cache", "--to", url, "--json"))
    assert (sent["to"], sent["store"], sent["there"]) == (url.rstrip("/"), "lmdb", 0)
    assert "files (" in cached("cache", "import", url, "--to", "copy").ok()
    assert "1 were there" in cached("cache", "import", url, "--to", "copy").ok()
    other = told(cached("cache", "import", url, "--to", "other", "--use", "files", "--json"))
    assert other["store"] == "files"
    for name in ("copy", "other"):
        assert "54 values read\nnothing is wrong" in cached("cache", "verify", name).ok()
        assert told(cached("cache", "info", name, "--json"))["samples"] == 24


def test_where_nothing_was_pushed(say, url, here):
    """It says how to push, and leaves nothing behind."""
    outcome = say("cache", "import", url, "--to", "copy")
    assert outcome.code == ExitCode.FAILED
    assert "pluto cache export CACHE --to" in outcome.err
    assert not (here / "copy").exists()


def test_into_a_store_that_keeps_nothing(cached, url, here):
    """Refused before anything is fetched."""
    cached("cache", "export", "cache", "--to", url).ok()
    outcome = cached("cache", "import", url, "--to", "copy", "--use", "memory")
    assert outcome.code == ExitCode.FAILED
    assert "ends with its process" in outcome.err
    assert not (here / ".copy.pulled").exists()
