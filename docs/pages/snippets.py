"""Quotations of files: a comment names what stands in the block below it.

    <!-- from: tests/sample_plugin/src/pluto_neighbors/builder.py#NeighborsBuilder.build -->

The part after `#` is a name in a Python file, or the header of a table in a TOML file; without one it is the whole file.
"""

import ast
import re
import textwrap
from pathlib import Path

_QUOTED = re.compile(r"<!-- from: (?P<path>[^#\s]+)(?:#(?P<part>\S+))? -->\n```(?P<language>\w*)\n(?P<text>.*?)```", re.DOTALL)


def filled(text: str, root: Path, name: str) -> str:
    """Return a page with every quotation as its file has it.

    Args:
        text: The page.
        root: Folder below which the files are.
        name: Of the page, for messages.

    Raises:
        LookupError: A file has no such part.
    """

    def quoted(match: re.Match[str]) -> str:
        path, part = match["path"], match["part"]
        try:
            found = _part(root / path, part) if part else (root / path).read_text("utf-8")
        except (OSError, LookupError) as error:
            message = f"{name}: {path}#{part}: {error}"
            raise LookupError(message) from None
        label = f"{path}#{part}" if part else path
        return f"<!-- from: {label} -->\n```{match['language']}\n{found.rstrip()}\n```"

    return _QUOTED.sub(quoted, text)


def _part(path: Path, part: str) -> str:
    text = path.read_text("utf-8")
    return _of_python(text, part) if path.suffix == ".py" else _of_toml(text, part)


def _of_python(text: str, part: str) -> str:
    """Return a function, a class, or `Class.method`, with its decorators."""
    nodes: list[ast.stmt] = ast.parse(text).body
    for name in part.split("."):
        named = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name]
        if not named:
            raise LookupError(part)
        found = named[0]
        nodes = found.body
    first = min([found.lineno, *(decorator.lineno for decorator in found.decorator_list)])
    return textwrap.dedent("\n".join(text.splitlines()[first - 1 : found.end_lineno]))


def _of_toml(text: str, part: str) -> str:
    """Return a table, header and all."""
    lines = text.splitlines()
    first = next((number for number, line in enumerate(lines) if line.strip("[] ") == part), None)
    if first is None:
        raise LookupError(part)
    last = next((number for number, line in enumerate(lines) if number > first and line.startswith("[")), len(lines))
    return "\n".join(lines[first:last])
