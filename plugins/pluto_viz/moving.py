"""A scenario as a moving picture (GIF): everybody drives, the plan is laid over what happened."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from PIL import Image

from pluto_core.plan import Plan
from pluto_core.sketch import Box, Line, Role, Sketch, Track
from pluto_viz import marks
from pluto_viz.palette import LIGHT, Theme
from pluto_viz.scenario import figure

FRAMES_PER_S = 5.0
_TRAIL_S = 2.0
_HOLD_S = 1.2
"""How long the last frame stays."""


def movie(
    sketch: Sketch,
    plan: Plan | None = None,
    *,
    title: str = "",
    size_in: float = 6.2,
    dpi: int = 100,
    theme: Theme = LIGHT,
) -> list[Image.Image]:
    """Return the frames of a scenario from its first to its last step.

    Args:
        sketch: What was known and what happened; only road users with tracks move.
        plan: (1, K, T, 3) what was planned; a mark drives along its most probable mode.
        title: Lines above the picture.
        size_in: Side of the drawing, inches.
        dpi: Pixels an inch.
        theme: Colours.
    """
    still = _still(sketch)
    picture = figure(still, plan, title=title, size_in=size_in, theme=theme, explained=sketch)
    picture.set_dpi(dpi)
    axes = picture.axes[0]
    clock = axes.text(
        0.02, 0.97, "", transform=axes.transAxes, fontsize=11, color=theme.ink, va="top", family="monospace", animated=True
    )
    canvas: Any = FigureCanvasAgg(picture)
    canvas.draw()
    background = canvas.copy_from_bbox(picture.bbox)
    frames = []
    for step in _steps(sketch):
        canvas.restore_region(background)
        seconds = (step - sketch.present) * sketch.interval_s
        clock.set_text(f"{seconds:+5.1f} s")
        added = [*_moving(axes, sketch, step, theme), *_planned(axes, plan, step - sketch.present, theme)]
        for artist in (*sorted(added, key=lambda each: each.get_zorder()), clock):
            picture.draw_artist(artist)
        for artist in added:
            artist.remove()
        frames.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy()))
    return frames


def save(frames: list[Image.Image], path: Path, theme: Theme = LIGHT) -> Path:
    """Write frames as a GIF that repeats, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gif(frames, theme))
    return path


def gif(frames: list[Image.Image], theme: Theme = LIGHT) -> bytes:
    """Return frames as a GIF that repeats."""
    palette = _palette(theme)
    mapped = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    lasts = [round(1000 / FRAMES_PER_S)] * (len(mapped) - 1) + [round(1000 * _HOLD_S)]
    stream = io.BytesIO()
    mapped[0].save(
        stream, format="GIF", save_all=True, append_images=mapped[1:], duration=lasts, loop=0, optimize=False, disposal=1
    )
    return stream.getvalue()


def _palette(theme: Theme) -> Image.Image:
    """Return the 256 colours of a moving picture.

    A palette from the pixels would spend itself on greys: roads are large, and lights and plans are thin. This one holds every
    colour of the theme, and what it becomes at edges.
    """
    named = [style.color for style in (*theme.styles.values(), theme.others_future)]
    marks_rgb = np.array([to_rgb(color) for color in dict.fromkeys(named)])
    below = np.array([to_rgb(color) for color in dict.fromkeys((theme.ground, *theme.fills.values()))])
    mixed = [share * marks_rgb + (1 - share) * below.mean(axis=0) for share in (1.0, 0.75, 0.5, 0.25)]
    grounds = np.linspace(to_rgb(theme.shade), to_rgb(theme.ground), 48)
    inks = np.linspace(to_rgb(theme.paper), to_rgb(theme.ink), 24)
    colors = np.concatenate([*mixed, below, inks, grounds])[:256]
    values = (colors * 255).round().astype(np.uint8)
    image = Image.new("P", (1, 1))
    image.putpalette(values.tobytes() + bytes(values[-1]) * (256 - len(values)))
    return image


def _still(sketch: Sketch) -> Sketch:
    """Return the sketch without those who move; what the ego did stays, as what the plan is compared with."""
    lines = [line for line in sketch.lines if line.role is not Role.HISTORY and not _is_others(line)]
    boxes = [box for box in sketch.boxes if box.role is Role.STATIC] if sketch.tracks else sketch.boxes
    # A box without a size keeps the mark for a missing ego away.
    nobody = Box(center=np.zeros(2), heading_rad=0.0, length_m=0.0, width_m=0.0, role=Role.EGO)
    return Sketch(
        lines=tuple(lines), boxes=(*boxes, nobody), areas=sketch.areas, raster=sketch.raster, radius_m=sketch.radius_m
    )


def _is_others(line: Line) -> bool:
    return marks.style_of(line, LIGHT) is LIGHT.others_future


def _steps(sketch: Sketch) -> list[int]:
    """Return the steps to draw, with time zero among them."""
    count = max((len(track.valid) for track in sketch.tracks), default=1)
    stride = max(1, round(1 / (FRAMES_PER_S * sketch.interval_s)))
    return list(range(sketch.present % stride, count, stride))


def _moving(axes: Axes, sketch: Sketch, step: int, theme: Theme) -> Iterator[Artist]:
    """Add everybody's box at a step, with a trail behind it."""
    there = [track for track in sketch.tracks if track.valid[step]]
    yield from marks.boxes(axes, [_box(track, step) for track in there], theme)
    first = max(0, step - round(_TRAIL_S / sketch.interval_s))
    for track in there:
        points = track.positions[first : step + 1][track.valid[first : step + 1]]
        style = theme.styles[track.role]
        yield from axes.plot(*points.T, color=style.color, linewidth=1.4, alpha=0.7, zorder=style.order - 0.5)


def _box(track: Track, step: int) -> Box:
    heading = float(track.headings_rad[step])
    return Box(
        center=track.positions[step], heading_rad=heading, length_m=track.length_m, width_m=track.width_m, role=track.role
    )


def _planned(axes: Axes, plan: Plan | None, step: int, theme: Theme) -> Iterator[Artist]:
    """Add where the most probable mode would have the ego."""
    if plan is None or step < 0 or not marks.ways(plan):
        return
    style = theme.styles[Role.PLAN]
    way, _ = marks.ways(plan)[0]
    yield from axes.plot(
        *way[min(step, len(way) - 1)], marker="o", markersize=8, color=style.color, markeredgecolor=theme.ink,
        markeredgewidth=0.8, zorder=style.order + 1, linestyle="none",
    )  # fmt: skip
