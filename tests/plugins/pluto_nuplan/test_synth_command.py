"""`pluto data synth`: what its options say is what is written."""

import sqlite3
from contextlib import closing

import pytest

from pluto_core.cli.main import outcome


def _frames(log):
    with closing(sqlite3.connect(log)) as database, database:
        return database.execute("SELECT count(*) FROM lidar_pc").fetchone()[0]


def test_options(tmp_path, capsys):
    """Number and length of logs are those asked for, the same seed writes the same, and it says how to read them."""
    options = ("--logs", "3", "--seconds", "5", "--seed", "4", "--junctions", "2x1", "--density", "0.2")
    for name in ("one", "two"):
        assert outcome(["data", "synth", *options, "--out", str(tmp_path / name)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("3 logs, ")
    assert f"--set source.data_root={tmp_path / 'one'}" in said
    one, two = (sorted((tmp_path / name).rglob("*.db")) for name in ("one", "two"))
    assert len(one) == 3
    assert all(abs(_frames(log) - 100) <= 1 for log in one)
    assert [log.read_bytes() for log in one] == [log.read_bytes() for log in two]


@pytest.mark.parametrize("option", ["--junctions", "--grid"])
def test_junctions_that_are_none(tmp_path, capsys, option):
    """A grid that cannot be read is one message, by the old name of the option too, and nothing is written."""
    assert outcome(["data", "synth", "--out", str(tmp_path / "town"), option, "3by3"]) == 1
    assert "--junctions: '3by3' is no grid; write columns, x, rows, such as 3x3" in capsys.readouterr().err
    assert not (tmp_path / "town").exists()
