"""Charts as SVG that is part of the page: lines over epochs, and histograms."""

import math
from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt

from pluto_viz.report.elements import escape

Floats = npt.NDArray[np.float64]

_WIDTH, _HEIGHT = 360.0, 210.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 10.0, 8.0, 30.0
_COLORS = 6
_TICKS = 4
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_BINS = 24
_LARGE, _SMALL = 1e5, 1e-3


@attrs.frozen(kw_only=True)
class Series:
    """One curve."""

    name: str
    points: tuple[tuple[float, float], ...]


@attrs.frozen
class _Axis:
    low: float
    high: float
    ticks: tuple[float, ...]
    begin: float
    end: float

    def at(self, value: float) -> float:
        """Return where a value lies, in pixels."""
        return self.begin + (value - self.low) / (self.high - self.low) * (self.end - self.begin)


def curves(title: str, series: Sequence[Series], *, unit: str = "", across: str = "epoch") -> str:
    """Return a chart with a curve for each series; values are shown where the mouse rests on a point."""
    drawn = [one for one in series if one.points]
    if not drawn:
        return ""
    xs, ys = zip(*(point for one in drawn for point in one.points), strict=True)
    x = _axis(min(xs), max(xs), _LEFT, _WIDTH - _RIGHT, whole=True)
    y = _axis(min(ys), max(ys), _HEIGHT - _BOTTOM, _TOP)
    marks = [_grid(x, y, across)]
    for place, one in enumerate(drawn):
        number = place % _COLORS
        path = " ".join(f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in one.points)
        marks.append(f'<polyline class="curve s{number}" points="{path}"/>')
        marks += [
            f'<circle class="d{number}" cx="{x.at(a):.1f}" cy="{y.at(b):.1f}" r="2.6">'
            f"<title>{escape(one.name)}, {escape(across)} {_text(a)}: {_text(b)}</title></circle>"
            for a, b in one.points
        ]
    return _chart(f"{title}{f', {unit}' if unit else ''}", marks, [one.name for one in drawn])


def histogram(
    title: str, values: Floats, other: Floats | None = None, *, names: tuple[str, str] = ("", ""), unit: str = ""
) -> str:
    """Return a chart of how often values lie where; a second set is drawn as an outline."""
    known = values[np.isfinite(values)]
    second = other[np.isfinite(other)] if other is not None else np.zeros(0)
    everything = np.concatenate([known, second])
    if not len(everything):
        return ""
    x = _axis(0.0, float(everything.max()) or 1.0, _LEFT, _WIDTH - _RIGHT)
    edges = np.linspace(0.0, x.high, _BINS + 1)
    first, outline = (np.histogram(part, edges)[0] for part in (known, second))
    y = _axis(0.0, float(max(first.max(), outline.max())), _HEIGHT - _BOTTOM, _TOP, whole=True)
    marks = [_grid(x, y, unit)]
    for rows, low, high in zip(first, edges, edges[1:], strict=False):
        width, top = x.at(high) - x.at(low) - 1, y.at(float(rows))
        marks.append(
            f'<rect class="f0" x="{x.at(low):.1f}" y="{top:.1f}" width="{width:.1f}" height="{y.begin - top:.1f}">'
            f"<title>{_text(low)} to {_text(high)}: {rows}</title></rect>"
        )
    if len(second):
        path = " ".join(
            f"L{x.at(low):.1f} {y.at(float(rows)):.1f}L{x.at(high):.1f} {y.at(float(rows)):.1f}"
            for rows, low, high in zip(outline, edges, edges[1:], strict=False)
        )
        marks.append(f'<path class="f1" d="M{x.begin:.1f} {y.begin:.1f}{path}"/>')
    return _chart(title, marks, [name for name in names if name])


def charts(made: Sequence[str]) -> str:
    """Return charts side by side."""
    filled = [one for one in made if one]
    return f'<div class="charts">{"".join(filled)}</div>' if filled else ""


def _chart(title: str, marks: Sequence[str], names: Sequence[str]) -> str:
    sample = '<svg viewBox="0 0 28 10" aria-hidden="true"><path class="curve s{n}" d="M0 5H28"/></svg>'
    legend = "".join(f"<span>{sample.format(n=place % _COLORS)}{escape(name)}</span>" for place, name in enumerate(names))
    return (
        f'<div class="chart"><h3>{escape(title)}</h3><svg viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img" '
        f'aria-label="{escape(title)}">{"".join(marks)}</svg><div class="legend">{legend}</div></div>'
    )


def _grid(x: _Axis, y: _Axis, across: str) -> str:
    parts = []
    for tick in y.ticks:
        at = y.at(tick)
        parts.append(f'<line class="grid" x1="{x.begin:.1f}" x2="{x.end:.1f}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{x.begin - 6:.1f}" y="{at + 4:.1f}" text-anchor="end">{_text(tick)}</text>')
    parts += [
        f'<text x="{x.at(tick):.1f}" y="{y.begin + 14:.1f}" text-anchor="middle">{_text(tick)}</text>' for tick in x.ticks
    ]
    parts.append(f'<text x="{x.end:.1f}" y="{y.begin + 27:.1f}" text-anchor="end">{escape(across)}</text>')
    return "".join(parts)


def _axis(low: float, high: float, begin: float, end: float, *, whole: bool = False) -> _Axis:
    """Return an axis with a few round ticks that holds both values."""
    if high - low < 1e-12:  # noqa: PLR2004 -- nothing to divide by
        pad = 0.5 if whole else max(abs(high) * 0.1, 1e-6)
        low, high = low - pad, high + pad
    raw = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(each * power for each in _STEPS if each * power >= raw * 0.999)
    if whole:
        step = max(1.0, math.ceil(step))
    first, last = math.floor(low / step), math.ceil(high / step)
    if whole:  # epochs begin and end where they do
        ticks = [tick * step for tick in range(first, last + 1) if low <= tick * step <= high]
        return _Axis(low, high, tuple(ticks), begin, end)
    ticks = [tick * step for tick in range(first, last + 1)]
    return _Axis(ticks[0], ticks[-1], tuple(ticks), begin, end)


def _text(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) >= _LARGE or abs(value) < _SMALL:
        return f"{value:.1e}"
    return f"{value:.4g}"
