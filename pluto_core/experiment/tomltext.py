"""TOML as text: reading with the standard library, writing values."""

import re
import sys
from collections.abc import Mapping
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_DEEPEST = 100
_MANY_DIGITS = re.compile("[0-9_]{1000,}")
"""What may be more digits than Python reads (4300 by default)."""
_MOST_IN_TENS = 10**1000
"""Python writes longer numbers in base 16 only."""
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


class TomlError(ValueError):
    """A text is no valid TOML; in tomllib's words, or in ours where it has none."""


def loads(text: str) -> dict[str, Any]:
    """Return the table that a TOML text describes.

    Raises:
        TomlError: It is no valid TOML.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TomlError(str(error)) from None
    except ValueError:
        raise TomlError(_too_long(text)) from None
    except RecursionError:
        table = None
    if table is None or _depth(table) > _DEEPEST:
        message = "Arrays or tables are nested too deeply"
        raise TomlError(message)
    return table


def _too_long(text: str) -> str:
    """Return what is wrong with a text in which Python refuses to read a number, and where, as tomllib says it."""
    number = max(_MANY_DIGITS.finditer(text), key=lambda found: len(found.group()), default=None)
    start = number.start() if number else 0
    line, column = text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
    return f"A number has too many digits (at line {line}, column {column})"


def _depth(table: Any) -> int:
    """Return how deeply arrays and tables are nested, without recursion: dotted keys nest as deep as they are long."""
    depth, level = 0, [table]
    while level:
        depth += 1
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, Mapping) else outer)
            if isinstance(inner, list | Mapping)
        ]
    return depth


def write_key(key: str) -> str:
    """Return a key, quoted where it must be."""
    return key if key and _BARE.issuperset(key) else write_value(key)


def write_value(value: Any) -> str:
    """Return a value on one line.

    Raises:
        TypeError: TOML has no such value.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{"".join(_escaped(character) for character in value)}"'
    if isinstance(value, int | float):
        enormous = isinstance(value, int) and abs(value) > _MOST_IN_TENS
        return f"{value:#x}" if enormous else repr(value)  # `inf` and `nan` are TOML, too
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{write_key(key)} = {write_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(write_value, value)) + "]"
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    message = f"TOML cannot hold {value!r}"
    raise TypeError(message)


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character < " " or character == "\x7f":
        return f"\\u{ord(character):04x}"
    return character


def kind_of(value: Any) -> str:
    """Return what TOML calls a value, with its article."""
    if isinstance(value, bool):
        return "a boolean"
    for types, word in (
        (str, "a string"),
        (int, "an integer"),
        (float, "a float"),
        (Mapping, "a table"),
        (list | tuple, "an array"),
    ):
        if isinstance(value, types):
            return word
    return "a date or time"
