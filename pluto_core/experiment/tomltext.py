"""TOML as text: reading with the standard library, writing values."""

import sys
from collections.abc import Mapping
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TomlError = tomllib.TOMLDecodeError

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def loads(text: str) -> dict[str, Any]:
    """Return the table that a TOML text describes.

    Raises:
        TomlError: It is no valid TOML.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        message = "Arrays or tables are nested too deeply"
        raise TomlError(message) from None


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
        return repr(value)  # `inf` and `nan` are TOML, too
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
