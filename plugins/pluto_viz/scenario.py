"""One scenario as a picture."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from pluto_core.plan import Plan
from pluto_core.sketch import Area, Box, Line, Role, Sketch
from pluto_viz.palette import FILLED, INK, MUTED, OTHERS_FUTURE, PAPER, STYLES, Style

Floats = npt.NDArray[np.float64]

_MODES = 6
_SCALE_M = 20.0
_AT_ORIGIN_M = 0.5
_EDGE_IN, _HEADER_IN, _LEGEND_IN = 0.1, 0.5, 0.85
_SHADE = "#c8c8c8"


def figure(sketch: Sketch, plan: Plan | None = None, *, title: str = "", size_in: float = 7.0) -> Figure:
    """Return a picture of a scenario in the ego frame, x to the right.

    Args:
        sketch: What was known and what happened.
        plan: (1, K, T, 3) what was planned; its most probable modes are drawn.
        title: Lines above the picture: the first says what it shows, further ones are small.
        size_in: Side of the drawing, inches.
    """
    width, height = size_in + 2 * _EDGE_IN, size_in + _HEADER_IN + _LEGEND_IN
    picture = Figure(figsize=(width, height), facecolor=PAPER)
    axes = picture.add_axes((_EDGE_IN / width, _LEGEND_IN / height, size_in / width, size_in / height))
    draw(axes, sketch, plan)
    headline, _, rest = title.partition("\n")
    left = _EDGE_IN / width
    picture.text(left, 1 - 0.08 / height, headline, fontsize=11, weight="bold", color=INK, va="top")
    picture.text(left, 1 - 0.30 / height, rest, fontsize=8, color=MUTED, va="top")
    picture.legend(handles=_legend(sketch, plan), loc="lower center", ncols=4, fontsize=8, frameon=False)
    return picture


def save(picture: Figure, path: Path, *, dpi: int = 110) -> Path:
    """Write a picture as PNG and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"savefig.facecolor": PAPER}):
        picture.savefig(path, dpi=dpi)
    return path


def draw(axes: Axes, sketch: Sketch, plan: Plan | None = None) -> None:
    """Draw a scenario on axes of any figure."""
    if sketch.raster is not None:
        _raster(axes, sketch)
    _areas(axes, sketch.areas)
    _lines(axes, sketch.lines)
    _boxes(axes, sketch.boxes)
    if not any(box.role is Role.EGO for box in sketch.boxes):
        ego = STYLES[Role.EGO]
        axes.plot(
            [0.0], [0.0], marker=">", markersize=9, color=ego.color, markeredgecolor=INK, zorder=ego.order, linestyle="none"
        )
    if plan is not None:
        _plan(axes, plan)
    radius = sketch.radius_m
    axes.set_xlim(-radius, radius)
    axes.set_ylim(-radius, radius)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("#d0d4da")
    _scale(axes, radius)


def _raster(axes: Axes, sketch: Sketch) -> None:
    raster = sketch.raster
    assert raster is not None
    reach = 8.0
    axes.imshow(
        np.clip(raster.values, -reach, reach),
        extent=raster.extent_m,
        origin="upper",
        cmap="Greys_r",
        alpha=0.22,
        vmin=-reach,
        vmax=reach,
        zorder=0,
        interpolation="bilinear",
    )


def _areas(axes: Axes, areas: Sequence[Area]) -> None:
    for role in dict.fromkeys(area.role for area in areas):
        style = STYLES[role]
        rings = [area.points for area in areas if area.role is role]
        axes.add_collection(PolyCollection(rings, facecolors=style.color, edgecolors="none", alpha=0.8, zorder=style.order))


def _lines(axes: Axes, lines: Sequence[Line]) -> None:
    for style in dict.fromkeys(_style(line) for line in lines):
        mine = [line for line in lines if _style(line) == style]
        shade = [mpl.colors.to_rgba(style.color, 0.25 + 0.75 * min(line.weight, 1.0)) for line in mine]
        dashes = (0, (6, 5)) if style.dashed else "solid"
        points = [line.points for line in mine]
        axes.add_collection(LineCollection(points, colors=shade, linewidths=style.width, linestyles=dashes, zorder=style.order))
        if style is STYLES[Role.FUTURE]:
            for line in mine:
                _end(axes, line.points, style, 5.0)


def _end(axes: Axes, points: Floats, style: Style, size: float) -> None:
    """Mark where a way ends, so that standing still is seen too."""
    axes.plot(*points[-1:].T, marker="o", markersize=size, color=style.color, zorder=style.order + 0.6, linestyle="none")


def _style(line: Line) -> Style:
    """Return how a line is drawn: the ego stands at the origin, so a future that begins elsewhere is another's."""
    others = line.role is Role.FUTURE and len(line.points) > 0 and np.hypot(*line.points[0]) > _AT_ORIGIN_M
    return OTHERS_FUTURE if others else STYLES[line.role]


def _boxes(axes: Axes, boxes: Sequence[Box]) -> None:
    for role in dict.fromkeys(box.role for box in boxes):
        style = STYLES[role]
        corners = [_corners(box) for box in boxes if box.role is role]
        face = style.color if role in FILLED else "none"
        axes.add_collection(
            PolyCollection(corners, facecolors=face, edgecolors=INK, linewidths=0.5, alpha=0.9, zorder=style.order)
        )
        noses = [ring[[0, 3]] * 0.85 + ring.mean(axis=0) * 0.15 for ring in corners]
        axes.add_collection(LineCollection(noses, colors=PAPER, linewidths=0.9, zorder=style.order + 0.1))


def _corners(box: Box) -> Floats:
    forward = np.array([np.cos(box.heading_rad), np.sin(box.heading_rad)])
    left = np.array([-forward[1], forward[0]])
    length, width = box.length_m / 2 * forward, box.width_m / 2 * left
    center = np.asarray(box.center)
    return np.stack([center + length + width, center - length + width, center - length - width, center + length - width])


def _plan(axes: Axes, plan: Plan) -> None:
    best = plan.top(_MODES)
    style = STYLES[Role.PLAN]
    top = max(float(best.probabilities[0].max()), 1e-9)
    for mode in range(best.probabilities.shape[1] - 1, -1, -1):
        share = float(best.probabilities[0, mode]) / top
        if share <= 0:
            continue
        start = np.zeros((1, 2))
        points = np.concatenate([start, best.trajectories[0, mode, :, :2]])
        axes.plot(
            *points.T, color=style.color, alpha=0.15 + 0.85 * share, linewidth=style.width, zorder=style.order + share / 2
        )
        if mode == 0:
            _end(axes, points, style, 4.0)


def _scale(axes: Axes, radius: float) -> None:
    right, low = radius * 0.95, -radius * 0.94
    axes.plot([right - _SCALE_M, right], [low, low], color=INK, linewidth=1.6, solid_capstyle="butt", zorder=12)
    axes.text(
        right - _SCALE_M / 2,
        low + radius * 0.015,
        f"{_SCALE_M:.0f} m",
        ha="center",
        va="bottom",
        fontsize=8,
        color=INK,
        zorder=12,
    )


def _legend(sketch: Sketch, plan: Plan | None) -> list[Line2D | Patch]:
    """Return a handle for everything in the picture that has words, in the order of the palette."""
    roles = {box.role for box in sketch.boxes} | {area.role for area in sketch.areas} | {Role.EGO}
    used = {_style(line) for line in sketch.lines} | {STYLES[role] for role in roles}
    if plan is not None:
        used.add(STYLES[Role.PLAN])
    filled = {STYLES[role] for role in FILLED}
    handles = [
        _handle(style, filled=style in filled) for style in (*STYLES.values(), OTHERS_FUTURE) if style in used and style.legend
    ]
    if sketch.raster is not None:
        handles.append(Patch(facecolor=_SHADE, label=f"{sketch.raster.label} (dark: low)"))
    return handles


def _handle(style: Style, *, filled: bool) -> Line2D | Patch:
    if filled:
        return Patch(facecolor=style.color, edgecolor=INK, linewidth=0.5, label=style.legend)
    width = max(style.width, 1.5)
    return Line2D([], [], color=style.color, linewidth=width, linestyle="--" if style.dashed else "-", label=style.legend)
