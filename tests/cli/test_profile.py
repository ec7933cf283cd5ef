import sys

import pytest


def test_a_profile_names_where_the_time_went(say, here):
    """`--profile` leaves one HTML page in the output folder, says where, and in it stand the functions of the step."""
    pytest.importorskip("pyinstrument")
    told = say("run", "small.toml", "--profile").ok()
    page = here / "runs" / "profile.html"
    assert f"profile: {page.relative_to(here)}" in told
    text = page.read_text(encoding="utf-8")
    assert text.lstrip().startswith("<!DOCTYPE html>")
    assert "cache_scenarios" in text
    assert page.stat().st_size < 5_000_000


def test_a_run_that_fails_leaves_its_profile_too(say, here):
    """The run ends as it would have ended; what it did until then is in the page."""
    pytest.importorskip("pyinstrument")
    failed = say("run", "small.toml", "--profile", "--set", "max_failures=0")
    assert failed.code == say("run", "small.toml", "--out", "plain", "--set", "max_failures=0").code != 0
    assert "Traceback" not in failed.err
    assert (here / "runs" / "profile.html").is_file()


def test_without_pyinstrument_one_line_says_what_to_install(say, here, monkeypatch):
    """The option needs an extra; nothing is run without it."""
    monkeypatch.setitem(sys.modules, "pyinstrument", None)
    refused = say("run", "small.toml", "--profile")
    assert refused.code == 1
    assert "pip install 'pluto-framework[profile]'" in refused.err
    assert not (here / "runs").exists()
