"""Version, changelog and citation speak of the same release."""

import re

from pluto_core import __version__


def test_the_newest_release_is_this_version(repository):
    """The newest dated section of CHANGELOG and CITATION.cff agree, and are this version unless that one is in the making."""
    changes = (repository / "CHANGELOG.md").read_text("utf-8")
    citation = (repository / "CITATION.cff").read_text("utf-8")
    version, date = re.findall(r"^## (\S+) - (\d{4}-\d{2}-\d{2})$", changes, re.MULTILINE)[0]
    assert re.search(r"^version: (\S+)$", citation, re.MULTILINE)[1] == version
    assert re.search(r'^date-released: "(\S+)"$', citation, re.MULTILINE)[1] == date
    assert ".dev" in __version__ or __version__ == version


def test_what_proves_that_needs_are_met_exists(repository):
    """Every test and program that the page of requirements names is there."""
    page = (repository / "docs" / "requirements.md").read_text("utf-8")
    named = re.findall(r"`((?:tests|benchmarks)/[\w/]+\.py)(?:::(\w+))?`", page)
    assert len(named) > 20
    for path, function in named:
        text = (repository / path).read_text("utf-8")
        assert not function or f"def {function}(" in text, f"{path}::{function}"
