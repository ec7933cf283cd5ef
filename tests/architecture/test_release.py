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
