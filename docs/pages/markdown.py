"""Markdown from values."""

import re
from collections.abc import Iterable, Sequence

HEAD = "<!-- Written by docs/generate.py; change the code that it is about. -->\n"

_LONE_STAR = re.compile(r"(?<!\*)\*(?!\*)")
_CODE = re.compile(r"(`[^`]*`)")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are escaped outside of backticks."""
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    lines += [f"| {' | '.join(map(cell, row))} |" for row in rows]
    return "\n".join(lines)


def cell(text: str) -> str:
    """Return a text that stands in a table as it is."""
    parts = _CODE.split(" ".join(text.split()))
    return "".join(part if part.startswith("`") else prose(part) for part in parts).replace("|", "\\|")


def prose(text: str) -> str:
    """Return a text without backticks whose marks mean nothing."""
    return _LONE_STAR.sub(r"\\*", text.replace("&", "&amp;").replace("<", "&lt;").replace("[", "\\["))


def code(text: str) -> str:
    """Return a text as code."""
    return f"`{text}`"


def block(text: str, language: str = "") -> str:
    """Return a fenced block."""
    return f"```{language}\n{text.rstrip()}\n```"


def page(*parts: str) -> str:
    """Return the text of a generated page."""
    return HEAD + "\n" + "\n\n".join(part.strip("\n") for part in parts if part) + "\n"
