"""Every kind of mistake, as pairs of a file and the exact text that a user reads."""

import os
from pathlib import Path

import pytest

from pluto_core.errors import ExperimentError
from pluto_core.experiment import read
from pluto_core.plugins import PluginBugError

CASES = sorted((Path(__file__).parent / "errors").glob("*.toml"))


def _report(name, toys):
    text = Path(name).read_text("utf-8")
    settings = [line.removeprefix("# --set ") for line in text.splitlines() if line.startswith("# --set ")]
    with pytest.raises(ExperimentError) as caught:
        read(name, settings=settings, catalogue=toys, environment={})
    return str(caught.value)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_text(case, toys, monkeypatch):
    """A file with mistakes gives exactly the text that stands beside it (PLUTO_WRITE_ERRORS=1 writes it anew)."""
    monkeypatch.chdir(case.parent)
    report = _report(case.name, toys) + "\n"
    expected = case.with_suffix(".txt")
    if os.environ.get("PLUTO_WRITE_ERRORS"):
        expected.write_text(report, encoding="utf-8")
    assert report == expected.read_text("utf-8")


def test_no_such_file(tmp_path, toys):
    """A path that leads nowhere is one mistake."""
    with pytest.raises(ExperimentError, match=r"none\.toml: there is no such file$"):
        read(tmp_path / "none.toml", catalogue=toys)


def test_folder(tmp_path, toys):
    """A folder in place of a file is a mistake that names a file in it."""
    (tmp_path / "a.toml").touch()
    with pytest.raises(ExperimentError, match=r"this is a folder; name a file in it, such as a\.toml$"):
        read(tmp_path, catalogue=toys)


def test_not_utf8(tmp_path, toys):
    """A file in another encoding is a mistake at the line of the first bad byte."""
    path = tmp_path / "latin.toml"
    path.write_bytes(b'name = "x"\n# \xe9t\xe9\n')
    with pytest.raises(ExperimentError, match=r"latin\.toml:2: the file is not UTF-8 text"):
        read(path, catalogue=toys)


def test_deep_nesting(tmp_path, toys):
    """Nesting beyond all measure is a mistake, not a crash."""
    path = tmp_path / "deep.toml"
    path.write_text("name = " + "[" * 5000 + "]" * 5000, encoding="utf-8")
    with pytest.raises(ExperimentError, match="nested too deeply"):
        read(path, catalogue=toys)


@pytest.mark.parametrize(
    ("use", "text"),
    [
        ("buggy", r"config class toy_parts\.BuggyConfig, key 'size' raised TypeError: .*this is a bug of its plugin"),
        ("strange", r"'source\.number' has the type <class 'complex'>, which no experiment file can hold"),
        ("gone", r"plugin 'toy_parts' .*toy_parts:Missing, cannot be imported"),
    ],
)
def test_bug_of_a_plugin(use, text, tmp_path, toys):
    """A config class with a bug is blamed on its plugin, and no user's mistake."""
    path = tmp_path / "bug.toml"
    path.write_text(f'[source]\nuse = "{use}"\n[model]\nuse = "toy"\n', encoding="utf-8")
    settings = {"buggy": ["source.size=3"], "strange": ["source.number=1"], "gone": []}[use]
    with pytest.raises(PluginBugError, match=text):
        read(path, settings=settings, catalogue=toys)


def test_order_of_mistakes(tmp_path, toys):
    """Mistakes stand in the order of the file, whatever is looked at first."""
    path = tmp_path / "order.toml"
    path.write_text(
        '[model]\nuse = "toy"\ndim = 0\n[source]\nuse = "toy"\ndata_root = 1\n[loader]\nbatch_size = 0\n', encoding="utf-8"
    )
    with pytest.raises(ExperimentError) as caught:
        read(path, catalogue=toys)
    assert [mistake.key for mistake in caught.value.mistakes] == ["model.dim", "source.data_root", "loader.batch_size"]
