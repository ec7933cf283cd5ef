"""Every kind of mistake, as pairs of a file and the exact text that a user reads."""

import os
from pathlib import Path

import pytest

from pluto_core.errors import ExperimentError
from pluto_core.experiment import read
from pluto_core.plugins import PluginBugError

CASES = sorted((Path(__file__).parent / "errors").glob("*.toml"))
"""Files, and one folder that is called like a file."""


def _report(name, toys):
    """Return what a user reads who runs a file; lines of comments at its top are `--set`s."""
    path = Path(name)
    text = path.read_text("utf-8", errors="replace") if path.is_file() else ""
    settings = [line.removeprefix("# --set ") for line in text.splitlines() if line.startswith("# --set ")]
    with pytest.raises((ExperimentError, PluginBugError)) as caught:  # noqa: PT012 -- what `run` asks, too
        experiment = read(name, settings=settings, catalogue=toys, environment={})
        experiment.require_variables()
        experiment.require_extras()
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


def test_every_case_has_both(repository):
    """No text without its file, no file without its text."""
    folder = repository / "tests" / "core" / "errors"
    assert {case.stem for case in CASES} == {text.stem for text in folder.glob("*.txt")}


def test_no_such_file(tmp_path, toys):
    """A path that leads nowhere is one mistake."""
    with pytest.raises(ExperimentError, match=r"none\.toml: there is no such file$"):
        read(tmp_path / "none.toml", catalogue=toys)


def test_parent_too_long_for_the_file_system(tmp_path, toys):
    """A parent whose name no file can have is one mistake."""
    path = tmp_path / "child.toml"
    path.write_text(f'extends = "{"a" * 300}.toml"', encoding="utf-8")
    with pytest.raises(
        ExperimentError, match=r"child\.toml:1: extends: .*a\.toml: the file cannot be read: File name too long$"
    ):
        read(path, catalogue=toys)


def test_parent_in_a_circle_of_links(tmp_path, toys):
    """A parent that is a link to itself is one mistake."""
    (tmp_path / "round.toml").symlink_to("round.toml")
    path = tmp_path / "child.toml"
    path.write_text('extends = "round.toml"', encoding="utf-8")
    with pytest.raises(ExperimentError, match=r"extends: .*round\.toml: the file cannot be read: "):
        read(path, catalogue=toys)


def test_deep_nesting(tmp_path, toys):
    """Nesting beyond all measure is a mistake, not a crash."""
    path = tmp_path / "deep.toml"
    path.write_text("name = " + "[" * 5000 + "]" * 5000, encoding="utf-8")
    with pytest.raises(ExperimentError, match="nested too deeply"):
        read(path, catalogue=toys)


def test_order_of_mistakes(tmp_path, toys):
    """Mistakes stand in the order of the file, whatever is looked at first."""
    path = tmp_path / "order.toml"
    path.write_text(
        '[model]\nuse = "toy"\ndim = 0\n[source]\nuse = "toy"\ndata_root = 1\n[loader]\nbatch_size = 0\n', encoding="utf-8"
    )
    with pytest.raises(ExperimentError) as caught:
        read(path, catalogue=toys)
    assert [mistake.key for mistake in caught.value.mistakes] == ["model.dim", "source.data_root", "loader.batch_size"]
