"""Several scenarios on one sheet."""

import math
from collections.abc import Sequence

import attrs
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from pluto_core.plan import Plan
from pluto_core.sketch import Sketch
from pluto_viz import marks
from pluto_viz.palette import LIGHT, Theme
from pluto_viz.scenario import Picture, header_in, legend, write_legend, write_title

_GAP_IN, _CAPTION_IN, _LEGEND_IN = 0.1, 0.36, 0.85
_NARROW_IN = 9.0
"""Sheets narrower than this have a legend of fewer columns."""


@attrs.frozen(kw_only=True, eq=False)
class Cell:
    """One scenario of a sheet."""

    sketch: Sketch
    plan: Plan | None = None
    caption: str = ""
    """Two lines below the drawing."""


def sheet(
    cells: Sequence[Cell], *, title: str = "", columns: int | None = None, size_in: float = 3.2, theme: Theme = LIGHT
) -> Picture:
    """Return one picture of several scenarios, with one legend.

    Args:
        cells: The scenarios, row by row.
        title: Lines above the picture.
        columns: Drawings in a row; None: about as many as there are rows, at most six.
        size_in: Side of a drawing, inches.
        theme: Colours.
    """
    across = columns or min(6, math.ceil(math.sqrt(len(cells))))
    down = math.ceil(len(cells) / across)
    header = header_in(title)
    width = across * (size_in + _GAP_IN) + _GAP_IN
    bottom = _LEGEND_IN if width > _NARROW_IN else 1.6 * _LEGEND_IN
    height = down * (size_in + _CAPTION_IN + _GAP_IN) + header + bottom
    picture = Picture(figsize=(width, height), facecolor=theme.paper)
    for number, cell in enumerate(cells):
        row, column = divmod(number, across)
        left = _GAP_IN + column * (size_in + _GAP_IN)
        low = height - header - (row + 1) * (size_in + _CAPTION_IN + _GAP_IN) + _CAPTION_IN + _GAP_IN
        axes = picture.add_axes((left / width, low / height, size_in / width, size_in / height))
        marks.draw(axes, cell.sketch, cell.plan, theme, scale=0.6)
        first, _, second = cell.caption.partition("\n")
        for offset, text, color in ((0.05, first, theme.ink), (0.20, second, theme.muted)):
            picture.text(left / width, (low - offset) / height, text, fontsize=7.5, color=color, va="top", parse_math=False)
    write_title(picture, title, theme)
    write_legend(picture, _legend(cells, theme), theme, ncols=5 if width > _NARROW_IN else 3)
    return picture


def _legend(cells: Sequence[Cell], theme: Theme) -> list[Line2D | Patch]:
    """Return one handle for whatever any of the drawings shows, without what only one of them says."""
    found: dict[str, Line2D | Patch] = {}
    for cell in cells:
        for handle in legend(cell.sketch, None, theme):
            found.setdefault(str(handle.get_label()), handle)
    with_plan = next((cell for cell in cells if cell.plan is not None), None)
    if with_plan is not None:
        planned = legend(Sketch(), with_plan.plan, theme)[-1]
        planned.set_label("planned (fainter: less probable)")
        found["planned"] = planned
    return list(found.values())
