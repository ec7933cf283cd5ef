"""The command `pluto`: which commands there are, and how it ends."""

import errno
import os
import sys
from collections.abc import Sequence

import click

from pluto_core import __version__
from pluto_core.cli.lazy import LazyCommand, LazyGroup

COMMANDS = {
    "run": LazyCommand("pluto_core.cli.run:run", "Do what an experiment says."),
    "check": LazyCommand("pluto_core.cli.check:check", "Find every mistake in an experiment, without running it."),
    "show": LazyCommand("pluto_core.cli.show:show", "Print an experiment with every setting and where it comes from."),
    "plugins": LazyCommand("pluto_core.cli.plugins:plugins", "What experiments can be made of."),
    "schema": LazyCommand("pluto_core.cli.schema:schema", "JSON Schema of experiment files, for editors."),
    "new": LazyCommand("pluto_core.cli.new:new", "Write the package of a plugin, or an experiment, to begin with."),
    "runs": LazyCommand("pluto_core.cli.runs:runs", "List the runs of a folder."),
    "scenarios": LazyCommand("pluto_core.cli.scenarios:scenarios", "List the scenarios that an experiment selects."),
    "plan": LazyCommand("pluto_core.cli.plan:plan", "Measure a sample and say what the cache step will take."),
    "predict": LazyCommand("pluto_core.cli.predict:predict", "Plan some scenarios with a trained planner."),
    "bench": LazyCommand("pluto_core.cli.bench:bench", "Measure what features, cache, loading and training take."),
    "doctor": LazyCommand("pluto_core.cli.doctor:doctor", "Look at versions, disk, plugins and data; say what to do next."),
    "cache": LazyCommand("pluto_core.cli.cache:cache", "Look at a cache, prove it, copy it, mend it, remove it."),
}
"""Name of each command, where it is, and its line in `pluto --help`."""
_INTERRUPTED = 130
"""`ExitCode.INTERRUPTED`."""


@click.group(
    cls=LazyGroup, lazy=COMMANDS, entry_points="pluto.commands", context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="pluto")
def pluto() -> None:
    """Experiments with learned driving planners, put together from plugins.

    \b
    pluto run experiments/sanity.toml      cache, train, validate
    pluto check experiments/sanity.toml    find mistakes first
    pluto plugins                          what there is
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and leave the process with its exit code."""
    sys.exit(outcome(arguments))


def outcome(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; mistakes become one message, bugs keep their traceback."""
    try:
        result = pluto.main(args=arguments, prog_name="pluto", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001 -- told apart; what is a bug is raised again
        return _told(error)
    return int(result) if isinstance(result, int) else 0


def _told(error: Exception) -> int:
    """Tell the user of a mistake and return the exit code; raise again what is a bug."""
    from pluto_core.errors import PlutoError, printable  # not above: `--help` needs neither it nor what it is made with

    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:  # whoever asks first: the name is the user's
        error = PlutoError(f"{error.strerror}: {error.filename}")
    if not isinstance(error, PlutoError):
        raise error
    mark = click.style("error:", fg="red", bold=True) if not os.environ.get("NO_COLOR") else "error:"
    for line in printable(str(error), kept="\n\t").splitlines():
        click.echo(f"{mark} {line}", err=True)  # click leaves colours out where there is no terminal
    return int(error.exit_code)


if __name__ == "__main__":
    main()
