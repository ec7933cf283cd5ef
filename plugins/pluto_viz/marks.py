"""The marks of a sketch on axes: areas, lines, boxes, plans, a scale."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection

from pluto_core.plan import Plan
from pluto_core.sketch import Area, Box, Line, Role, Sketch
from pluto_viz.palette import FILLED, Style, Theme

Floats = npt.NDArray[np.float64]

MODES = 6
"""Most probable modes of a plan that are drawn."""
_SCALES_M = (5.0, 10.0, 20.0, 50.0, 100.0)
_AT_ORIGIN_M = 0.5
_REACH = 8.0
"""Values of rasters are told apart up to here."""


def draw(axes: Axes, sketch: Sketch, plan: Plan | None, theme: Theme, *, scale: float = 1.0) -> None:
    """Draw a scenario on axes of any figure.

    Args:
        axes: Where to.
        sketch: What was known and what happened.
        plan: (1, K, T, 3) what was planned.
        theme: Colours.
        scale: Factor of widths; below 1 for small pictures.
    """
    world(axes, sketch, theme, scale=scale)
    lines(axes, [line for line in sketch.lines if _moves(line)], theme, scale)
    boxes(axes, sketch.boxes, theme)
    if not any(box.role is Role.EGO for box in sketch.boxes):
        _ego_mark(axes, theme)
    if plan is not None:
        modes(axes, plan, theme, scale)


def world(axes: Axes, sketch: Sketch, theme: Theme, *, scale: float = 1.0, radius_m: float | None = None) -> None:
    """Draw what stands still: ground, map, lights, lines to follow, and the scale; set the limits of the axes."""
    axes.set_facecolor(theme.ground)
    _areas(axes, sketch.areas, theme)
    _raster(axes, sketch, theme)
    lines(axes, [line for line in sketch.lines if not _moves(line)], theme, scale)
    radius = sketch.radius_m if radius_m is None else radius_m
    axes.set_xlim(-radius, radius)
    axes.set_ylim(-radius, radius)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(theme.frame)
    _scale(axes, radius, theme)


def _moves(line: Line) -> bool:
    return line.role in {Role.HISTORY, Role.FUTURE}


def _ego_mark(axes: Axes, theme: Theme) -> None:
    ego = theme.styles[Role.EGO]
    axes.plot(
        [0.0], [0.0], marker=">", markersize=9, color=ego.color, markeredgecolor=theme.ink, zorder=ego.order, linestyle="none"
    )


def _raster(axes: Axes, sketch: Sketch, theme: Theme) -> None:
    raster = sketch.raster
    if raster is None:
        return
    reach = min(_REACH, float(np.abs(raster.values).max(initial=1.0)))
    axes.imshow(
        np.clip(raster.values, -reach, reach),
        extent=raster.extent_m,
        origin="upper",
        cmap=theme.shades,
        alpha=0.18,
        vmin=-reach,
        vmax=reach,
        zorder=0.9,
        interpolation="bilinear",
    )


def _areas(axes: Axes, areas: Sequence[Area], theme: Theme) -> None:
    for role in dict.fromkeys(area.role for area in areas):
        rings = [area.points for area in areas if area.role is role and len(area.points)]
        color = theme.fills.get(role, theme.styles[role].color)
        order = 0.6 if role is Role.CROSSWALK else 0.5
        # Edges of the same colour close the hairlines between lanes that touch.
        axes.add_collection(PolyCollection(rings, facecolors=color, edgecolors=color, linewidths=0.4, zorder=order))


def lines(axes: Axes, drawn: Sequence[Line], theme: Theme, scale: float = 1.0) -> None:
    """Draw lines, those of one style at once."""
    for style in dict.fromkeys(style_of(line, theme) for line in drawn):
        mine = [line for line in drawn if style_of(line, theme) == style and len(line.points)]
        shade = [mpl.colors.to_rgba(style.color, 0.25 + 0.75 * min(line.weight, 1.0)) for line in mine]
        dashes = (0, (6, 5)) if style.dashed else "solid"
        points = [line.points for line in mine]
        width = style.width * scale
        axes.add_collection(LineCollection(points, colors=shade, linewidths=width, linestyles=dashes, zorder=style.order))
        if style is theme.styles[Role.FUTURE]:
            for line in mine:
                _end(axes, line.points, style, 5.0 * scale)
        if style.marker and mine:
            starts = np.stack([line.points[0] for line in mine])
            axes.plot(
                *starts.T, marker=style.marker, markersize=5.5 * scale, color=style.color, markeredgecolor=theme.ink,
                markeredgewidth=0.5, zorder=style.order + 0.5, linestyle="none",
            )  # fmt: skip


def _end(axes: Axes, points: Floats, style: Style, size: float) -> None:
    """Mark where a way ends, so that standing still is seen too."""
    axes.plot(*points[-1:].T, marker="o", markersize=size, color=style.color, zorder=style.order + 0.6, linestyle="none")


def style_of(line: Line, theme: Theme) -> Style:
    """Return how a line is drawn: the ego stands at the origin, so a future that begins elsewhere is another's."""
    others = line.role is Role.FUTURE and len(line.points) > 0 and np.hypot(*line.points[0]) > _AT_ORIGIN_M
    return theme.others_future if others else theme.styles[line.role]


def boxes(axes: Axes, drawn: Sequence[Box], theme: Theme) -> list[Artist]:
    """Draw boxes with a light line near the front, and return what was added."""
    added: list[Artist] = []
    for role in dict.fromkeys(box.role for box in drawn):
        style = theme.styles[role]
        corners = [_corners(box) for box in drawn if box.role is role]
        face = style.color if role in FILLED else "none"
        body = PolyCollection(corners, facecolors=face, edgecolors=theme.ink, linewidths=0.5, zorder=style.order)
        noses = [ring[[0, 3]] * 0.85 + ring.mean(axis=0) * 0.15 for ring in corners]
        nose = LineCollection(noses, colors=theme.paper, linewidths=0.9, zorder=style.order + 0.1)
        added += [axes.add_collection(body), axes.add_collection(nose)]
    return added


def _corners(box: Box) -> Floats:
    forward = np.array([np.cos(box.heading_rad), np.sin(box.heading_rad)])
    left = np.array([-forward[1], forward[0]])
    length, width = box.length_m / 2 * forward, box.width_m / 2 * left
    center = np.asarray(box.center)
    return np.stack([center + length + width, center - length + width, center - length - width, center + length - width])


def ways(plan: Plan) -> list[tuple[Floats, float]]:
    """Return the most probable modes of a plan, best first: (T + 1, 2) points from the origin on, m, and probability."""
    best = plan.top(MODES)
    start = np.zeros((1, 2))
    found = zip(best.trajectories[0], best.probabilities[0], strict=True)
    return [(np.concatenate([start, way[:, :2]]), float(chance)) for way, chance in found if chance > 0]


def modes(axes: Axes, plan: Plan, theme: Theme, scale: float = 1.0) -> None:
    """Draw the modes of a plan, the fainter the less probable; the most probable one ends in a dot."""
    style = theme.styles[Role.PLAN]
    drawn = ways(plan)
    top = max((chance for _, chance in drawn), default=1.0)
    for number, (points, chance) in reversed(list(enumerate(drawn))):
        share = chance / top
        order = style.order + share / 2
        axes.plot(*points.T, color=style.color, alpha=0.15 + 0.85 * share, linewidth=style.width * scale, zorder=order)
        if number == 0:
            _end(axes, points, style, 4.0 * scale)


def _scale(axes: Axes, radius: float, theme: Theme) -> None:
    """Draw a bar of a round number of metres, about a sixth of the width."""
    length = min(_SCALES_M, key=lambda each: abs(each - radius / 3))
    right, low = radius * 0.95, -radius * 0.94
    axes.plot([right - length, right], [low, low], color=theme.ink, linewidth=1.6, solid_capstyle="butt", zorder=12)
    axes.text(
        right - length / 2, low + radius * 0.015, f"{length:.0f} m",
        ha="center", va="bottom", fontsize=8, color=theme.ink, zorder=12,
    )  # fmt: skip
