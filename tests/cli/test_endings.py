"""How the command ends: exit codes, one message for mistakes, tracebacks for bugs."""

import errno

import click
import pytest

from pluto_core.cli import main
from pluto_core.cli.lazy import LazyCommand, LazyGroup
from pluto_core.errors import ExperimentError, Mistake, PlutoError, TooManyFailuresError


@pytest.fixture
def ending(monkeypatch):
    """Return a function that runs a command which does `action`, and returns the exit code."""

    def end(action):
        @click.command()
        def command():
            return action()

        monkeypatch.setattr(main, "pluto", command)
        return main.outcome([])

    return end


def _raising(error):
    def action():
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (PlutoError("no"), 1, "error: no\n"),
        (TooManyFailuresError("7 failed"), 3, "error: 7 failed\n"),
        (ExperimentError([Mistake("a:1", "b", "c"), Mistake("a:2", "", "d")]), 1, "error: a:1: b: c\nerror: a:2: d\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (click.UsageError("what?"), 2, "Error: what?\n"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "a" * 300), 1, f"error: File name too long: {'a' * 300}\n"),
    ],
)
def test_errors(ending, capsys, error, code, text):
    """Every kind of mistake has its exit code and one message."""
    assert ending(_raising(error)) == code
    assert capsys.readouterr().err.endswith(text)


def test_bug(ending):
    """Anything else is a bug and keeps its traceback."""
    with pytest.raises(ZeroDivisionError):
        ending(lambda: 1 / 0)


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (3, 3)])
def test_result(ending, result, code):
    """What a command returns is the exit code; nothing is success."""
    assert ending(lambda: result) == code


class _Entry:
    """An entry point of a plugin's command."""

    def __init__(self, name, found):
        self.name, self.value, self.dist, self._found = name, "somewhere:command", None, found

    def load(self):
        """Return the command, or fail."""
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


@pytest.fixture
def group(monkeypatch):
    """Return a function that makes a group with commands of plugins."""

    def make(*entries):
        monkeypatch.setattr("pluto_core.cli.lazy.entry_points", lambda group: [_Entry(*entry) for entry in entries])
        return LazyGroup("x", lazy={"own": LazyCommand("no_such_module:own", "Own.")}, entry_points="pluto.commands")

    return make


def test_plugin_commands_are_listed_unloaded(group):
    """Help lists commands of plugins without loading them."""
    made = group(("broken", ImportError("gone")))
    context = click.Context(made)
    assert made.list_commands(context) == ["own", "broken"]
    assert "broken" in made.get_help(context)


def test_broken_plugin_command(group):
    """Only calling a broken command fails, and names it; what is no command is refused."""
    made = group(("broken", ImportError("gone")), ("odd", "text"))
    with pytest.raises(PlutoError, match="the command 'broken' of somewhere:command cannot be imported: gone"):
        made.get_command(click.Context(made), "broken")
    with pytest.raises(PlutoError, match="the command 'odd' of somewhere:command is no click command"):
        made.get_command(click.Context(made), "odd")


def test_plugin_command_cannot_replace_an_own_one(group):
    """A plugin's command of the name of one of ours is not listed."""
    made = group(("own", click.Command("own")))
    assert made.list_commands(click.Context(made)) == ["own"]
