"""Texts of experiments: files, presets, `--set`, each as nodes with lines."""

import ast
import os
import re
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any

import attrs

from pluto_core.errors import ExperimentError, Mistake, PlutoError
from pluto_core.experiment import tomltext
from pluto_core.experiment.lines import line_of_each
from pluto_core.experiment.nodes import SETTINGS_RANK, GivenText, Node, Origin, build, dotted, merge
from pluto_core.places import user_path

PRESET_PREFIX = "preset:"
_NAMES = re.compile(r"\((['\"].*)\)")
"""A key as tomllib writes it: `('source', 'inner')`."""


@attrs.frozen
class Document:
    """One text of an experiment."""

    label: str
    """What mistakes call it."""
    root: Node
    folder: FilePath | None = None
    """Folder of the file; None for presets."""


def from_file(path: FilePath, *, rank: int = 0) -> Document:
    """Return the document in a file.

    Raises:
        ExperimentError: The file cannot be read, or is no TOML.
    """
    label = str(path)
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise ExperimentError([Mistake(f"{label}:{line}", "", "the file is not UTF-8 text; save it as UTF-8")]) from None
    except (OSError, ValueError) as error:
        raise ExperimentError([Mistake(label, "", _unreadable(path, error))]) from None
    return Document(label, parse(text, label, rank), path.parent)


def _unreadable(path: FilePath, error: OSError | ValueError) -> str:
    if os.path.isdir(path):  # noqa: PTH112 -- unlike Path.is_dir, it raises nothing
        files = sorted(found.name for found in path.glob("*.toml"))
        return f"this is a folder; name a file{f' in it, such as {files[0]}' if files else ''}"
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return f"the file cannot be read: {getattr(error, 'strerror', None) or error}"


def parse(text: str, label: str, rank: int) -> Node:
    """Return a TOML text as nodes.

    Raises:
        ExperimentError: It is no TOML.
    """
    try:
        table = tomltext.loads(text)
        lines = line_of_each(text)
    except tomltext.TomlError as error:
        raise ExperimentError([_syntax(label, str(error), text)]) from None
    except RecursionError:
        raise ExperimentError([Mistake(label, "", "arrays or tables are nested too deeply")]) from None
    return build(table, lambda path: Origin(label, lines.get(path), rank))


def _syntax(label: str, message: str, text: str) -> Mistake:
    message, _, position = message.partition(" (at ")
    problem = f"this is no valid TOML: {_NAMES.sub(_as_written, message)}"
    if position.startswith("line "):
        line, _, column = position.removeprefix("line ").rstrip(")").partition(", column ")
        return Mistake(f"{label}:{line}", "", f"{problem} (column {column})")
    return Mistake(f"{label}:{text.count(chr(10)) + 1}" if position else label, "", problem)


def _as_written(names: "re.Match[str]") -> str:
    """Return a key that tomllib gives as a tuple of Python as it is written in TOML."""
    try:
        return dotted(ast.literal_eval(names.group()))
    except (SyntaxError, ValueError):
        return names.group()


def parent_path(child: Document, named: str) -> FilePath:
    """Return the path of the file that `extends` names, relative to the child's folder."""
    folder = child.folder or FilePath()
    return FilePath(os.path.normpath(folder / user_path(named)))


def with_settings(root: Node, settings: Sequence[str]) -> tuple[Node, list[Mistake]]:
    """Return an experiment with `KEY=VALUE`s laid over it, and what is wrong with those that could not be.

    Args:
        root: The experiment; a number in a key picks an element of one of its arrays.
        settings: What stood behind `--set`, in order.
    """
    mistakes: list[Mistake] = []
    for position, setting in enumerate(settings):
        origin = Origin("--set", None, SETTINGS_RANK + position)
        try:
            keys, text = _split(setting)
            root = merge(root, _layer(keys, given(text, origin), origin, root))
        except PlutoError as error:
            mistakes.append(Mistake("--set", setting, str(error)))
    return root, mistakes


def _split(setting: str) -> tuple[list[str], str]:
    for at, character in enumerate(setting):
        if character == "=":
            try:
                parsed = tomltext.loads(f"{setting[:at]}=0")
            except tomltext.TomlError:
                continue
            return _single_path(parsed), setting[at + 1 :].strip()
    message = "write KEY=VALUE, such as loader.batch_size=16"
    raise PlutoError(message)


def _single_path(table: Any) -> list[str]:
    keys: list[str] = []
    while isinstance(table, dict):
        if len(table) != 1:
            message = "write one key"
            raise PlutoError(message)
        key, table = next(iter(table.items()))
        keys.append(key)
    return keys


def given(text: str, origin: Origin) -> Node:
    """Return the text behind a `--set KEY=` as a node."""
    try:
        table = tomltext.loads(f"v = {text}")
    except tomltext.TomlError:
        table = {}
    parsed = build(table["v"], lambda _path: origin) if table.keys() == {"v"} else None
    if parsed is not None and parsed.is_table:
        return parsed
    return Node(GivenText(text, parsed), origin)


def _layer(keys: Sequence[str], value: Node, origin: Origin, base: Node | None) -> Node:
    """Return a layer that changes one key; an array on the way is copied from `base` and changed in one element."""
    if not keys:
        return value
    key, rest = keys[0], keys[1:]
    current = base.settled().value if base is not None else None
    if isinstance(current, list):
        if not key.isdecimal() or int(key) >= len(current):
            raise PlutoError(f"{key!r} picks no element of an array of {len(current)}")
        elements = list(current)
        element = elements[int(key)]
        elements[int(key)] = merge(element, _layer(rest, value, origin, element))
        return Node(elements, origin)
    child = current.get(key) if isinstance(current, dict) else None
    return Node({key: _layer(rest, value, origin, child)}, origin)
