"""Help as people read it: on eighty columns, with examples that work."""

import sys
from pathlib import Path

import click
import pytest

from pluto_core.cli.main import outcome, pluto

sys.path.append(str(Path(__file__).resolve().parents[1] / "architecture"))  # tests are no packages
from doc_blocks import command_lines, parse


def commands(group: click.Group = pluto, before: tuple[str, ...] = ()) -> dict[str, click.Command]:
    """Return every command by its words."""
    found = {}
    context = click.Context(group, info_name="pluto")
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        found[" ".join((*before, name))] = command
        if isinstance(command, click.Group):
            found |= commands(command, (*before, name))
    return found


@pytest.mark.parametrize("words", commands())
def test_help_fits_and_its_examples_work(words, capsys, monkeypatch):
    """The help of every command is at most 80 columns wide, and shows command lines with options that exist."""
    monkeypatch.setenv("COLUMNS", "80")
    assert outcome([*words.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    examples = [
        line.strip().partition("   ")[0] for line in text.splitlines() if line.startswith(f"  pluto {words.split()[0]}")
    ]
    assert examples, f"`pluto {words} --help` shows no example"
    for arguments in command_lines("```console\n" + "".join(f"$ {line}\n" for line in examples) + "```\n"):
        parse(arguments)


def test_commands_of_plugins_say_what_they_do(capsys):
    """Commands of plugins stand in `pluto --help` with the first line of their help, without being imported."""
    assert outcome(["--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "render Draw scenarios of WHAT" in text
    assert "report Write one HTML file about RUN" in text
