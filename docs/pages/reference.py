"""Reference pages: settings of the core, arrays, commands, exit codes and errors."""

import ast
import enum
import inspect
import textwrap
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import click

from pages.kinds import settings_table
from pages.markdown import block, code, page, table
from pluto_core import errors
from pluto_core.cli import describe
from pluto_core.cli.main import COMMANDS, pluto
from pluto_core.errors import ExitCode, PlutoError, Reason
from pluto_core.filters import ScenarioFilter
from pluto_core.kinds import BY_NAME
from pluto_core.plugins import Catalogue
from pluto_core.settings import CacheSettings, LoaderSettings, TopLevel

DISTRIBUTION = "pluto-framework"
INTRODUCTION = (
    "What the bundled builders give with their default settings. A number in `dims` is a fixed size; a name is a size that "
    "differs between samples: such arrays are padded in a batch. `ego` is the frame of the rear axle at time zero, x forward, "
    "y left. `pluto plugins show NAME` prints the same for any installed builder."
)
ENDINGS = {
    ExitCode.OK: "It did what it was asked to do.",
    ExitCode.FAILED: "A mistake of the user's or of the data's, told in one message; or a bug, with its traceback.",
    ExitCode.USAGE: "The command line is wrong: no such command, option or argument.",
    ExitCode.TOO_MANY_FAILURES: "More scenarios failed than `max_failures` allows.",
    ExitCode.INTERRUPTED: "Ctrl-C. What was done is kept; the same command goes on.",
}


def bundled() -> Catalogue:
    """Return the catalogue of the plugins of this distribution, whatever else is installed."""
    others = [entry.name for entry in entry_points(group="pluto") if entry.dist is not None and entry.dist.name != DISTRIBUTION]
    return Catalogue.load(without=sorted(set(others)), environment={})


def pages(catalogue: Catalogue, root: Path) -> dict[str, str]:
    """Return the pages by path.

    Args:
        catalogue: The bundled plugins.
        root: Folder of the checkout, where the tests of messages are.
    """
    return {
        "reference/settings.md": _settings(),
        "reference/arrays.md": _arrays(catalogue),
        "reference/commands.md": page("# Commands", *_commands()),
        "reference/errors.md": page("# Exit codes and errors", *_errors(root)),
    }


def _settings() -> str:
    return page(
        "# Settings of the core",
        "What an experiment file may say beside the settings of its components, which stand on the pages of their "
        "[kinds](../kinds/index.md). `pluto schema` prints all of it as JSON Schema, for editors.",
        "## Top level",
        "Keys above the first table. `extends` names a file, or `preset:NAME`, to lay under this one.",
        settings_table(list(describe.settings(TopLevel))),
        "## `[filter]`",
        inspect.getdoc(ScenarioFilter) or "",
        settings_table(list(describe.settings(ScenarioFilter))),
        "## `[loader]`",
        "How samples become batches.",
        settings_table(list(describe.settings(LoaderSettings))),
        "## `[cache]`",
        "Keys that every backend shares; each adds its own.",
        settings_table(list(describe.settings(CacheSettings))),
    )


def _arrays(catalogue: Catalogue) -> str:
    parts = [
        "# Arrays",
        INTRODUCTION,
    ]
    for name in ("features", "targets"):
        for component in catalogue.components(name):
            if component.provides is not None:
                spec = catalogue.resolve(component.provides, "`provides`", catalogue.plugin_of(name, component.name))(
                    catalogue.config_class(name, component.name)()
                )
                rows = [
                    (code(key), array.describe_dims(), _dtype(array), array.unit, array.frame, array.summary)
                    for key, array in spec.items()
                ]
                parts += [
                    f"## `{component.name}`",
                    f"{component.summary} ({BY_NAME[name].header})",
                    table(("array", "dims", "dtype", "unit", "frame", "meaning"), rows),
                ]
    return page(*parts)


def _dtype(array: object) -> str:
    stored = f" ({array.at_rest} on disk)" if array.at_rest else ""  # type: ignore[attr-defined]
    return f"{array.dtype}{stored}"  # type: ignore[attr-defined]


def _commands() -> Iterator[str]:
    yield "`pluto COMMAND --help` prints the same. Commands of installed plugins are added to these."
    owned = {entry.name for entry in entry_points(group="pluto.commands") if entry.dist and entry.dist.name == DISTRIBUTION}
    context = click.Context(pluto, info_name="pluto")
    for name in [*COMMANDS, *sorted(owned)]:
        command = pluto.get_command(context, name)
        assert command is not None
        yield from _command(name, command, context, "##")


def _command(name: str, command: click.Command, parent: click.Context, marks: str) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent, max_content_width=100, terminal_width=100)
    yield f"{marks} `{context.command_path}`"
    yield block(command.get_help(context), "text")
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            assert found is not None
            yield from _command(inner, found, context, f"{marks}#")


def _errors(root: Path) -> Iterator[str]:
    yield "## Exit codes"
    yield table(("code", "name", "when"), [(str(int(one)), code(one.name), ENDINGS[one]) for one in ExitCode])
    yield "## Errors in Python"
    yield "Raised by the core and by plugins. Anything that is none of these is a bug, and keeps its traceback."
    kinds = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, Exception)]
    kinds.sort(key=lambda one: (not issubclass(one, PlutoError), inspect.getsourcelines(one)[1]))
    yield table(("error", "meaning"), [(code(f"pluto_core.errors.{one.__name__}"), _first(one)) for one in kinds])
    yield "## Reasons"
    yield "Why a scenario gave no sample: `reason` in a cache's `failures.jsonl`, and the first argument of `SampleError`."
    yield table(("reason", "meaning"), [(code(member.value), text) for member, text in _members(Reason)])
    yield "## Mistakes in experiments"
    yield (
        "`pluto check` and `pluto run` report all mistakes of a file at once, each as `file:line: key: what is wrong`. These "
        "are the messages of the tests; the names stand for what is wrong."
    )
    folder = root / "tests" / "core" / "errors"
    for path in sorted(folder.glob("*.txt")):
        yield f"{path.stem.replace('_', ' ').capitalize()}:"
        yield block(_wrapped(path.read_text("utf-8")), "text")


def _first(found: type) -> str:
    return (inspect.getdoc(found) or "").partition("\n")[0]


def _wrapped(text: str) -> str:
    lines = (textwrap.wrap(line, 110, subsequent_indent="    ", break_long_words=False) for line in text.splitlines())
    return "\n".join(part for line in lines for part in line)


def _members(kind: type[enum.Enum]) -> Iterator[tuple[enum.Enum, str]]:
    """Yield the members of an enumeration with the texts that stand below them."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    for node, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(after, ast.Expr):
            text = after.value
            assert isinstance(text, ast.Constant)
            yield kind[node.targets[0].id], str(text.value)
