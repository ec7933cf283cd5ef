"""Where each key of a TOML text stands: tomllib gives values, this gives lines.

The text must be valid TOML (tomllib has read it). Every table, key and array element gets the line on which it first stands.
"""

import bisect
import re
from typing import Any

from pluto_core.experiment.tomltext import loads

Path = tuple[str | int, ...]
"""Keys and array positions from the top, such as `("features", 0, "use")`."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"[ \t]*")
_BLANK_LINES = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_PLAIN_VALUE = re.compile(r"[^,\]}#\n]*")
_STRINGS = {
    '"""': re.compile(r'"""(?:[^\\"]|\\.|"(?!""))*"""(?:"{0,2})', re.DOTALL),
    "'''": re.compile(r"'''(?:[^']|'(?!''))*'''(?:'{0,2})", re.DOTALL),
    '"': re.compile(r'"(?:[^\\"\n]|\\.)*"'),
    "'": re.compile(r"'[^'\n]*'"),
}


def line_of_each(text: str) -> dict[Path, int]:
    """Return the line (from 1) of every table, key and array element of a valid TOML text."""
    return _Scanner(text).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._breaks = [match.start() for match in re.finditer("\n", text)]
        self._lines: dict[Path, int] = {}
        self._lengths: dict[Path, int] = {}
        """Arrays of tables that headers have opened, with their length."""

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        self._skip(_BLANK_LINES)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._assignment(table)
            self._skip(_BLANK_LINES)
        return self._lines

    def _skip(self, pattern: "re.Pattern[str]") -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            message = f"no {pattern.pattern} at offset {self._at}: the text is no valid TOML"
            raise ValueError(message)
        self._at = match.end()
        return match.group()

    def _expect(self, token: str) -> None:
        self._skip(re.compile(re.escape(token)))

    def _mark(self, path: Path) -> None:
        self._lines.setdefault(path, bisect.bisect_left(self._breaks, self._at) + 1)

    def _header(self) -> Path:
        start = self._at
        many = self._text.startswith("[[", self._at)
        self._at += 2 if many else 1
        keys = self._dotted_key()
        end, self._at = self._at, start
        path: Path = ()
        for position, key in enumerate(keys):
            path = (*path, key)
            self._mark(path)
            last = position == len(keys) - 1
            if last and many:
                self._lengths[path] = self._lengths.get(path, 0) + 1
            if path in self._lengths:
                path = (*path, self._lengths[path] - 1)
                self._mark(path)
        self._at = end
        self._expect("]]" if many else "]")
        return path

    def _assignment(self, table: Path) -> None:
        start = self._at
        keys = self._dotted_key()
        end, self._at = self._at, start
        path = table
        for key in keys:
            path = (*path, key)
            self._mark(path)
        self._at = end
        self._expect("=")
        self._skip(_BLANK)
        self._value(path)

    def _dotted_key(self) -> list[str]:
        keys: list[str] = []
        while True:
            self._skip(_BLANK)
            keys.append(self._key())
            self._skip(_BLANK)
            if not self._text.startswith(".", self._at):
                return keys
            self._at += 1

    def _key(self) -> str:
        quote = self._text[self._at]
        if quote not in "\"'":
            return self._skip(_BARE_KEY)
        table: dict[str, Any] = loads(f"{self._skip(_STRINGS[quote])} = 0")
        return next(iter(table))

    def _value(self, path: Path) -> None:
        first = self._text[self._at]
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        elif first in "\"'":
            triple = first * 3
            self._skip(_STRINGS[triple if self._text.startswith(triple, self._at) else first])
        else:
            self._skip(_PLAIN_VALUE)

    def _array(self, path: Path) -> None:
        self._at += 1
        self._skip(_BLANK_LINES)
        position = 0
        while self._text[self._at] != "]":
            element = (*path, position)
            self._mark(element)
            self._value(element)
            self._separator()
            position += 1
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        self._skip(_BLANK_LINES)
        while self._text[self._at] != "}":
            self._assignment(path)
            self._separator()
        self._at += 1

    def _separator(self) -> None:
        self._skip(_BLANK_LINES)
        if self._text[self._at] == ",":
            self._at += 1
            self._skip(_BLANK_LINES)
