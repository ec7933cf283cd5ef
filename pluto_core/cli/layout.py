"""Text that fits the terminal: tables whose last column is wrapped, and lines with a hanging indent."""

import shutil
import textwrap
from collections.abc import Iterator, Sequence

_CAP = 44
"""Columns are not aligned beyond this width."""
_READABLE = 28
"""A last column narrower than this goes below its row."""
_BELOW = "      "


def terminal_width() -> int:
    """Return the width of the terminal; `COLUMNS` where it is set, 80 where nobody looks."""
    return shutil.get_terminal_size((80, 24)).columns


def hanging(prefix: str, text: str, width: int | None = None) -> list[str]:
    """Return text behind a prefix, wrapped so that its lines stand below each other; words are never broken."""
    room = max((width or terminal_width()) - len(prefix), _READABLE)
    lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
    return [(prefix + lines[0]).rstrip(), *(" " * len(prefix) + line for line in lines[1:])]


def table(header: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None) -> list[str]:
    """Return rows as lines with aligned columns, the last of which is wrapped.

    Where there is no room for the last column, it goes below its row; where there is none for the others either, all but
    the first one do.

    Args:
        header: Names of the columns.
        rows: As many cells as columns each.
        width: Of the terminal; None: as it is.
    """
    room = width or terminal_width()
    every = [header, *rows]
    widths = [min(max(len(str(row[column])) for row in every), _CAP) for column in range(len(header) - 1)]
    fixed = 2 + sum(each + 2 for each in widths)
    lines: list[str] = []
    for row in every:
        cells = "  " + "".join(f"{cell:<{each}}  " for cell, each in zip(row[:-1], widths, strict=True))
        overlong = any(len(str(cell)) > each for cell, each in zip(row[:-1], widths, strict=True))
        if not overlong and fixed + _READABLE <= room:
            lines += hanging(cells, row[-1], room)
        elif not overlong and fixed <= room + 2:
            lines += [cells.rstrip(), *_under(row[-1], room)]
        else:
            lines += [f"  {row[0]}", *_under("  ".join(filter(None, row[1:-1])), room), *_under(row[-1], room)]
    return lines


def _under(text: str, width: int) -> Iterator[str]:
    yield from (line for line in hanging(_BELOW, text, width) if line.strip())
