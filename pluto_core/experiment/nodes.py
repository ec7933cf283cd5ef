"""Values of an experiment file together with where they come from, and how layers of them become one."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from pluto_core.errors import Mistake
from pluto_core.experiment.lines import Path
from pluto_core.experiment.tomltext import write_key

SETTINGS_RANK = 1
"""Rank of the first `--set`; the file itself has 0, what it extends -1 and so on."""
PRESET_RANK = -1000
"""Rank of what `preset = "NAME"` lays under a table."""
REQUIRED_RANK = -2000
"""Rank of builders that nobody named, but the model requires."""

_VARIABLE = re.compile(r"\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::([^}]*))?\}|)")


@attrs.frozen
class Origin:
    """Where a value comes from."""

    source: str
    """Path of a file, `preset:NAME`, `--set`, or words."""
    line: int | None = None
    rank: int = 0
    """Which layer it is; higher ones override lower ones."""

    def __str__(self) -> str:
        """Return `source:line`."""
        return self.source if self.line is None else f"{self.source}:{self.line}"

    @property
    def order(self) -> tuple[bool, int, int]:
        """Return where it stands when all origins are sorted: the file, what it extends, then `--set`."""
        return (self.rank > 0, abs(self.rank), self.line or 0)


@attrs.frozen
class GivenText:
    """The text of a `--set`, whose meaning depends on the type of its key."""

    text: str
    parsed: "Node | None"
    """What it is as TOML; None where it is none."""

    def plain(self) -> Any:
        """Return its value where no type is known: TOML if it is any, else a string."""
        return self.text if self.parsed is None else self.parsed.plain()


@attrs.frozen
class Node:
    """One value and its origin."""

    value: Any
    """Table (dict of nodes), array (list of nodes), plain value, or `GivenText`."""
    origin: Origin

    @property
    def is_table(self) -> bool:
        """Return whether it is a table."""
        return isinstance(self.value, dict)

    def plain(self) -> Any:
        """Return the value without origins."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value.plain() if isinstance(self.value, GivenText) else self.value

    def settled(self) -> "Node":
        """Return the node with a `GivenText` read without regard to a type."""
        if not isinstance(self.value, GivenText):
            return self
        return self.value.parsed or Node(self.value.text, self.origin)


def build(value: Any, origin_of: Callable[[Path], Origin], path: Path = ()) -> Node:
    """Return plain values as nodes; `origin_of` says where each path comes from."""
    built: Any = value
    if isinstance(value, Mapping):
        built = {key: build(item, origin_of, (*path, key)) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        built = [build(item, origin_of, (*path, position)) for position, item in enumerate(value)]
    return Node(built, origin_of(path))


def merge(lower: Node, upper: Node) -> Node:
    """Return `upper` laid over `lower`: tables merge by key, everything else is replaced."""
    if not (lower.is_table and upper.is_table):
        return upper
    merged = dict(lower.value)
    for key, child in upper.value.items():
        merged[key] = merge(merged[key], child) if key in merged else child
    return Node(merged, upper.origin)


def dotted(path: Path) -> str:
    """Return a path as it is written after `--set`."""
    return ".".join(write_key(part) if isinstance(part, str) else str(part) for part in path)


@attrs.define
class Variables:
    """Puts environment variables into strings, and remembers which were not there."""

    environment: Mapping[str, str]
    unset: list[Mistake] = attrs.field(factory=list)
    """One entry for each place that names a variable which is not set and has no default."""
    mistakes: list[Mistake] = attrs.field(factory=list)

    def expand(self, node: Node, path: Path = ()) -> Node:
        """Return the node with `${NAME}` and `${NAME:default}` replaced in its strings."""
        value = node.value
        if isinstance(value, dict):
            return Node({key: self.expand(child, (*path, key)) for key, child in value.items()}, node.origin)
        if isinstance(value, list):
            return Node([self.expand(child, (*path, position)) for position, child in enumerate(value)], node.origin)
        if isinstance(value, GivenText):
            parsed = value.parsed and self.expand(value.parsed, path)
            plain = value.parsed is None or not isinstance(value.parsed.value, str)
            text = self.text(value.text, node.origin, path) if plain else value.text
            return Node(GivenText(text, parsed), node.origin)
        return Node(self.text(value, node.origin, path), node.origin) if isinstance(value, str) else node

    def text(self, text: str, origin: Origin, path: Path) -> str:
        """Return a string with its variables replaced; those that are not set stay as they are."""

        def replaced(match: "re.Match[str]") -> str:
            name, default = match.groups()
            if name is None:
                self._blame("'${' begins an environment variable: write ${NAME} or ${NAME:default}", origin, path)
            elif name in self.environment:
                return self.environment[name]
            elif default is not None:
                return str(default)
            else:
                problem = f"the environment variable {name} is not set; set it, or write ${{{name}:default}}"
                self.unset.append(Mistake(str(origin), dotted(path), problem))
            return match.group()

        return _VARIABLE.sub(replaced, text)

    def _blame(self, problem: str, origin: Origin, path: Path) -> None:
        mistake = Mistake(str(origin), dotted(path), problem)
        if mistake not in self.mistakes:
            self.mistakes.append(mistake)


def settings(node: Node, path: Path = ()) -> Iterator[tuple[Path, Node]]:
    """Yield every setting with its path: what is neither a table nor an array of tables."""
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            yield from settings(child, (*path, key))
    elif isinstance(node.value, list) and node.value and all(child.is_table for child in node.value):
        for position, child in enumerate(node.value):
            yield from settings(child, (*path, position))
    else:
        yield path, node
