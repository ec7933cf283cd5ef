"""The resolved experiment: every setting with its value and its origin, as a tree and as TOML that repeats the run."""

import enum
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from pluto_core.experiment.nodes import Node, Origin, build
from pluto_core.experiment.sections import Chosen
from pluto_core.experiment.structure import fields_of
from pluto_core.experiment.tomltext import write_key, write_value
from pluto_core.kinds import BY_SECTION

_DEFAULT = Origin("default")
_WIDE = 60
"""Longer lines do not push the origins of the others to the right."""


def plain(value: Any) -> Any:
    """Return a config object as what TOML can hold; keys that are None are left out."""
    if attrs.has(type(value)):
        fields = fields_of(type(value))
        return {key: plain(found) for key, field in fields.items() if (found := getattr(value, field.name)) is not None}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, pathlib.PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, set | frozenset):
        return sorted(plain(item) for item in value)
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def with_origins(values: Any, given: Node | None, default: Origin = _DEFAULT) -> Node:
    """Return plain values as nodes: those that the file gave with its origins, the others with `default`."""
    if given is None:
        return build(values, lambda _path: default)
    given = given.settled()
    if isinstance(values, dict):
        known = given.value if given.is_table else {}
        return Node({key: with_origins(item, known.get(key)) for key, item in values.items()}, given.origin)
    return build(values, lambda _path: given.origin)


def component_tree(chosen: Chosen, *extra: Mapping[str, Any]) -> Node:
    """Return one selected component: `use`, the core's keys of its table, its own settings."""
    selection = chosen.selection
    values: dict[str, Any] = {"use": selection.use}
    for more in (*extra, plain(selection.config)):
        values.update(more)
    default = _DEFAULT if chosen.node.origin.line or chosen.node.value else chosen.node.origin
    tree = with_origins(values, chosen.node, default)
    if "use" not in chosen.node.value:
        tree.value["use"] = Node(selection.use, default)
    return tree


def write(root: Node, heading: str) -> str:
    """Return a tree as TOML, every line with its origin."""
    lines = [(line, "") for line in heading.splitlines()]
    lines += list(_table(root, ()))
    width = max((len(text) for text, note in lines if note and len(text) <= _WIDE), default=0)
    return "\n".join(f"{text:<{width}}  # {note}" if note else text for text, note in lines) + "\n"


def _table(node: Node, path: Sequence[str]) -> Iterator[tuple[str, str]]:
    tables = {key: child for key, child in node.value.items() if child.is_table}
    arrays = {key: child for key, child in node.value.items() if key in BY_SECTION and isinstance(child.value, list)}
    for key, child in node.value.items():
        if key not in tables and (key not in arrays or path or not child.value):
            yield f"{write_key(key)} = {write_value(child.plain())}", str(child.origin)
    for key, child in node.value.items():
        name = ".".join(write_key(part) for part in (*path, key))
        if key in tables:
            yield "", ""
            yield f"[{name}]", ""
            yield from _table(child, (*path, key))
        elif key in arrays and not path:
            for element in child.value:
                yield "", ""
                yield f"[[{name}]]", ""
                yield from _table(element, (*path, key))
