"""Pieces of HTML: text, tables, tiles, sections. Everything that comes from outside is escaped here."""

import base64
import hashlib
import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources

import attrs

_ABSOLUTE = re.compile(r"""(?<![\w.…:/~-])(?:~|[A-Za-z]:)?[\\/](?:[^\s"'<>|,:;()\[\]\\/]+[\\/])*([^\s"'<>|,:;()\[\]\\/]+)""")
_DIGITS = 2
UNKNOWN = "-"


def escape(text: object) -> str:
    """Return text for HTML."""
    return html.escape(str(text), quote=True)


def anonymous(text: object) -> str:
    """Return text with the folders of absolute paths taken out: a report is about a run, not about somebody's disk."""
    return _ABSOLUTE.sub(r"…/\1", str(text))


@attrs.frozen(kw_only=True)
class Cell:
    """A cell of a table: what is shown, and what it is sorted by."""

    shown: str
    """HTML."""
    value: float | str
    kind: str = ""
    """Class of the cell."""


def number(value: float | None, digits: int = _DIGITS, *, kind: str = "") -> Cell:
    """Return a cell with a number; a dash where it is unknown."""
    if value is None or not math.isfinite(value):
        return Cell(shown=UNKNOWN, value=math.inf, kind=f"number {kind}")
    return Cell(shown=f"{value:,.{digits}f}", value=value, kind=f"number {kind}")


def count(value: float) -> Cell:
    """Return a cell with a whole number."""
    return number(value, 0)


def words(text: object, *, kind: str = "") -> Cell:
    """Return a cell with text."""
    return Cell(shown=escape(text), value=str(text), kind=kind)


def table(header: Sequence[str], rows: Iterable[Sequence[Cell]], *, caption: str = "", name: str = "") -> str:
    """Return a table that readers can sort by any column.

    Args:
        header: Names of the columns.
        rows: Cells, as many as columns.
        caption: Words above it.
        name: For tables that can be searched: what its rows are called.
    """
    filled = list(rows)
    numeric = [any("number" in row[place].kind for row in filled) for place in range(len(header))]
    heads = "".join(
        f'<th scope="col"{" class=number" if right else ""}><button type="button">{escape(title)}</button></th>'
        for title, right in zip(header, numeric, strict=True)
    )
    body = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in filled)
    above = f'<p class="caption">{escape(caption)}</p>' if caption else ""
    search = ""
    if name:
        label = f"Search {name}"
        search = f'<input type="search" placeholder="{escape(label)}" aria-label="{escape(label)}">'
    return (
        f'<div class="sheet">{above}{search}<div class="scroll" tabindex="0"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>\n{body}\n</tbody></table></div></div>"
    )


def _cell(cell: Cell) -> str:
    kind = f' class="{escape(cell.kind.strip())}"' if cell.kind.strip() else ""
    return f'<td{kind} data-value="{escape(cell.value)}">{cell.shown}</td>'


def facts(rows: Mapping[str, object]) -> str:
    """Return a short list of names and values."""
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(anonymous(value))}</dd>" for name, value in rows.items())
    return f"<dl>{items}</dl>"


def tiles(found: Sequence[tuple[str, str, str]]) -> str:
    """Return a row of figures: name, figure, and what to make of it."""
    made = "".join(
        f'<div class="tile"><span class="name">{escape(name)}</span><span class="figure">{escape(figure)}</span>'
        f'<span class="note">{escape(note)}</span></div>'
        for name, figure, note in found
    )
    return f'<div class="tiles">{made}</div>'


def section(anchor: str, title: str, *parts: str) -> str:
    """Return a section; nothing where it has no part."""
    filled = [part for part in parts if part]
    return f'<section id="{escape(anchor)}"><h2>{escape(title)}</h2>\n{chr(10).join(filled)}\n</section>' if filled else ""


def paragraph(text: str) -> str:
    """Return a paragraph."""
    return f"<p>{escape(text)}</p>"


def folded(title: str, content: str) -> str:
    """Return content that is shown when asked for."""
    return f"<details><summary>{escape(title)}</summary>\n{content}\n</details>"


def code(text: str) -> str:
    """Return text as it stands."""
    return f'<pre tabindex="0">{escape(text)}</pre>'


def picture(light: bytes, dark: bytes, text: str) -> str:
    """Return a picture with its twin for dark pages, and a caption; both are in the page itself."""
    day, night = (f"data:image/png;base64,{base64.b64encode(data).decode()}" for data in (light, dark))
    source = f'<source srcset="{night}" media="(prefers-color-scheme: dark)">'
    return (
        f'<figure><picture>{source}<img src="{day}" alt="{escape(text)}"></picture>'
        f"<figcaption>{escape(text)}</figcaption></figure>"
    )


def gallery(figures: Sequence[str]) -> str:
    """Return figures side by side."""
    return f'<div class="gallery">{"".join(figures)}</div>' if figures else ""


def pairs(figures: Sequence[tuple[str, ...]]) -> str:
    """Return pairs of figures, each pair side by side."""
    made = "".join(f'<div class="pair">{"".join(pair)}</div>' for pair in figures)
    return f'<div class="gallery pairs">{made}</div>' if figures else ""


def key(entries: Sequence[tuple[str, str, str, bool]]) -> str:
    """Return the legend of pictures.

    Args:
        entries: Words, colour on light and on dark paper, and whether it is an area; else it is a line.
    """
    made = "".join(
        f'<span><i class="{"area" if area else "line"}" style="--light:{light};--dark:{dark}"></i>{escape(name)}</span>'
        for name, light, dark, area in entries
    )
    return f'<div class="key">{made}</div>' if entries else ""


def bars(rows: Sequence[tuple[str, float, str]]) -> str:
    """Return horizontal bars: name, length, and words at its end."""
    most = max((length for _, length, _ in rows), default=0.0) or 1.0
    made = "".join(
        f'<div class="bar"><span class="name">{escape(name)}</span><span class="track">'
        f'<span class="fill" style="width:{100 * length / most:.1f}%"></span></span>'
        f'<span class="note">{escape(note)}</span></div>'
        for name, length, note in rows
    )
    return f'<div class="bars">{made}</div>' if rows else ""


def page(title: str, head: str, sections: Sequence[str]) -> str:
    """Return a whole page that needs nothing else: it loads nothing, and runs no script but its own.

    Args:
        title: Its title.
        head: HTML before the first section.
        sections: From `section`; empty ones are left out.
    """
    shown = [part for part in sections if part]
    links = "".join(
        f'<a href="#{anchor}">{name}</a>'
        for part in shown
        for anchor, name in re.findall(r'^<section id="([^"]+)"><h2>([^<]+)</h2>', part)
    )
    files = resources.files("pluto_viz.report")
    style, script = (files.joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(f"\n{script}".encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"<header>\n{head}\n<nav>{links}</nav>\n</header>\n<main>\n{chr(10).join(shown)}\n</main>\n"
        f"<script>\n{script}</script>\n</body>\n</html>\n"
    )
