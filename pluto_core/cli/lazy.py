"""A group of commands that are imported when they are called, so that `--help` costs nothing but click."""

import ast
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, NamedTuple

import click


class LazyCommand(NamedTuple):
    """Where a command is, and its line in `--help`."""

    target: str
    """`package.module:command`."""
    summary: str


class LazyGroup(click.Group):
    """A group whose commands are names until one is called."""

    def __init__(self, *arguments: Any, lazy: dict[str, LazyCommand], entry_points: str | None = None, **options: Any) -> None:
        """Take the commands by name; `entry_points` names a group of entry points that adds those of plugins."""
        super().__init__(*arguments, **options)
        self._lazy = lazy
        self._group = entry_points

    def _of_plugins(self) -> dict[str, EntryPoint]:
        found = entry_points(group=self._group) if self._group else ()
        return {entry.name: entry for entry in found if entry.name not in self._lazy}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        """Return the names in the order in which `--help` shows them."""
        return [*self._lazy, *sorted(self._of_plugins())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- click's signature
        """Import a command.

        Raises:
            PlutoError: A plugin's command cannot be imported.
        """
        from pluto_core.component import load

        if cmd_name in self._lazy:
            found: click.Command = load(self._lazy[cmd_name].target)
            return found
        entry = self._of_plugins().get(cmd_name)
        return None if entry is None else _load(entry)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name; for a name that is none, the nearest one is suggested."""
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            from pluto_core.component import suggestion

            ctx.fail(f"there is no command {args[0]!r}{suggestion(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 -- click's signature
        """Write the list of commands without importing any."""
        rows = [(name, command.summary) for name, command in self._lazy.items()]
        plugins = [(name, _summary(entry)) for name, entry in sorted(self._of_plugins().items())]
        for title, lines in (("Commands", rows), ("Commands of plugins", plugins)):
            if lines:
                with formatter.section(title):
                    formatter.write_dl(lines)


def _summary(entry: EntryPoint) -> str:
    """Return the first line of a command's docstring, from its source: importing it could take seconds."""
    module, _, command = entry.value.partition(":")
    package, *parts = module.split(".")
    spec = PathFinder.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        try:
            tree = ast.parse(Path(folder, *parts).with_suffix(".py").read_text(encoding="utf-8"))
        except (OSError, ValueError, SyntaxError):
            continue
        found = next((node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == command), None)
        text = ast.get_docstring(found) if found is not None else None
        if text:
            return text.partition("\n")[0]
    return f"from {_distribution(entry)}"


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.value


def _load(entry: EntryPoint) -> click.Command:
    from pluto_core.errors import PlutoError

    try:
        command = entry.load()
    except ImportError as error:
        raise PlutoError(f"the command {entry.name!r} of {_distribution(entry)} cannot be imported: {error}") from error
    if not isinstance(command, click.Command):
        raise PlutoError(f"the command {entry.name!r} of {_distribution(entry)} is no click command: {entry.value}")
    return command
