import re

import pytest

from pluto_core.cli.bars import bar


def test_progress_is_silent_where_nobody_looks(monkeypatch, capsys):
    """Without a terminal nothing is written."""
    monkeypatch.delenv("CI", raising=False)
    with bar("verify") as show:
        for done in range(101):
            show(done, 100)
    assert capsys.readouterr() == ("", "")


def test_progress_in_ci_is_plain_lines(monkeypatch, capsys):
    """In CI every tenth is a line without control characters; `--no-progress` silences it."""
    monkeypatch.setenv("CI", "true")
    with bar("verify") as show:
        for done in range(101):
            show(done, 100)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines] == [f"verify: {done} of 100" for done in range(10, 101, 10)]
    assert lines[-1].endswith("/s, 0 s left")
    assert all(line.isprintable() for line in lines)
    with bar("verify", wanted=False) as show:
        show(100, 100)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("wish", "colored"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color_is_kept(wish, colored, monkeypatch, capsys):
    """A terminal gets a bar with rate and time left; with NO_COLOR it has no colours."""
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm-256color", **wish}.items():
        monkeypatch.setenv(name, value)
    with bar("verify") as show:
        for done in range(50):
            show(done, 100)
    text = capsys.readouterr().err
    assert "verify" in text
    assert bool(re.search(r"\x1b\[(\d+;)*3\d", text)) is colored
