"""One scenario as a picture."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from pluto_core.plan import Plan
from pluto_core.sketch import Role, Sketch
from pluto_viz import marks
from pluto_viz.palette import FILLED, LIGHT, Style, Theme

_EDGE_IN, _LEGEND_IN, _NARROW_LEGEND_IN = 0.1, 0.85, 1.1
_DPI = 110
_NARROW_IN = 6.8
"""Pictures narrower than this have a legend of three columns."""
_TOLD_MODES = 3
"""Modes whose probabilities stand in the legend."""


class Picture(Figure):
    """A figure that notebooks show by itself."""

    def __init__(self, **options: Any) -> None:
        """Take the options of a figure."""
        super().__init__(**options)
        FigureCanvasAgg(self)

    def png(self, *, dpi: int = _DPI) -> bytes:
        """Return the picture as PNG."""
        stream = io.BytesIO()
        with mpl.rc_context({"savefig.facecolor": "auto"}):
            self.savefig(stream, format="png", dpi=dpi)
        return stream.getvalue()

    def _repr_png_(self) -> bytes:
        """Return what a notebook shows."""
        return self.png()


def figure(
    sketch: Sketch,
    plan: Plan | None = None,
    *,
    title: str = "",
    size_in: float = 7.0,
    theme: Theme = LIGHT,
    explained: Sketch | None = None,
    with_legend: bool = True,
) -> Picture:
    """Return a picture of a scenario in the ego frame, x to the right.

    Args:
        sketch: What was known and what happened.
        plan: (1, K, T, 3) what was planned; its most probable modes are drawn.
        title: Lines above the picture: the first says what it shows, further ones are small.
        size_in: Side of the drawing, inches.
        theme: Colours.
        explained: What the legend is about, where that is more than is drawn.
        with_legend: Whether there is one.
    """
    narrow = size_in < _NARROW_IN
    low = _EDGE_IN if not with_legend else _NARROW_LEGEND_IN if narrow else _LEGEND_IN
    width, height = size_in + 2 * _EDGE_IN, size_in + header_in(title) + low
    picture = Picture(figsize=(width, height), facecolor=theme.paper)
    axes = picture.add_axes((_EDGE_IN / width, low / height, size_in / width, size_in / height))
    marks.draw(axes, sketch, plan, theme)
    write_title(picture, title, theme)
    if with_legend:
        write_legend(picture, legend(explained or sketch, plan, theme), theme, ncols=3 if narrow else 4)
    return picture


def header_in(title: str) -> float:
    """Return how much room a title needs, inches."""
    return 0.36 + 0.15 * title.count("\n") if title else 0.1


def write_title(picture: Figure, title: str, theme: Theme) -> None:
    """Write the first line of a title large and the rest small, at the top left."""
    width, height = picture.get_size_inches()
    headline, _, rest = title.partition("\n")
    left = _EDGE_IN / width
    picture.text(left, 1 - 0.08 / height, headline, fontsize=11, weight="bold", color=theme.ink, va="top", parse_math=False)
    picture.text(left, 1 - 0.30 / height, rest, fontsize=8, color=theme.muted, va="top", parse_math=False)


def write_legend(picture: Figure, handles: list[Line2D | Patch], theme: Theme, *, ncols: int = 4) -> None:
    """Write a legend at the bottom."""
    picture.legend(handles=handles, loc="lower center", ncols=ncols, fontsize=8, frameon=False, labelcolor=theme.ink)


def save(picture: Figure, path: Path, *, dpi: int = _DPI) -> Path:
    """Write a picture as PNG and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"savefig.facecolor": "auto"}):
        picture.savefig(path, dpi=dpi)
    return path


def legend(sketch: Sketch, plan: Plan | None, theme: Theme) -> list[Line2D | Patch]:
    """Return a handle for everything in the picture that has words, in the order of the palette."""
    roles = {box.role for box in sketch.boxes} | {Role.EGO}
    used = {marks.style_of(line, theme) for line in sketch.lines} | {theme.styles[role] for role in roles}
    words: Mapping[Style, str] = {}
    if plan is not None:
        used.add(theme.styles[Role.PLAN])
        words = {theme.styles[Role.PLAN]: _planned(plan)}
    filled = {theme.styles[role] for role in FILLED}
    handles = [
        _handle(style, words.get(style, style.legend), theme, filled=style in filled)
        for style in (*theme.styles.values(), theme.others_future)
        if style in used and style.legend
    ]
    if sketch.raster is not None:
        handles.append(Patch(facecolor=theme.shade, label=f"{sketch.raster.label} (dark: low)"))
    return handles


def color_of(handle: Line2D | Patch) -> str:
    """Return the colour of a handle of a legend."""
    return mpl.colors.to_hex(handle.get_facecolor() if isinstance(handle, Patch) else handle.get_color())


def _planned(plan: Plan) -> str:
    """Return words for the modes of a plan, with the probabilities of the first ones."""
    chances = [chance for _, chance in marks.ways(plan)]
    if len(chances) == 1:
        return "planned"
    told = ", ".join(f"{chance:.0%}" for chance in chances[:_TOLD_MODES])
    return f"planned ({told}{', …' if len(chances) > _TOLD_MODES else ''})"


def _handle(style: Style, label: str | None, theme: Theme, *, filled: bool) -> Line2D | Patch:
    if filled:
        return Patch(facecolor=style.color, edgecolor=theme.ink, linewidth=0.5, label=label)
    width = max(style.width, 1.5)
    dashes: Literal["-", "--"] = "--" if style.dashed else "-"
    return Line2D([], [], color=style.color, linewidth=width, linestyle=dashes, label=label, marker=style.marker, markersize=5)
