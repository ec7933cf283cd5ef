"""Scenarios as figures of a page, on light and on dark paper."""

from collections.abc import Iterable

import attrs
from matplotlib.patches import Patch

from pluto_core.api import Drawing
from pluto_viz import scenario
from pluto_viz.captions import judgement, readable
from pluto_viz.palette import DARK, LIGHT
from pluto_viz.report import elements

_SIZE_IN = 5.4
_DPI = 96


@attrs.frozen(kw_only=True)
class Shown:
    """Figures of scenarios, and what their colours mean."""

    figures: tuple[str, ...]
    entries: tuple[tuple[str, str, str, bool], ...]
    """Of the legend, as `elements.key` takes them."""


def shown(drawings: Iterable[tuple[str, Drawing]]) -> Shown:
    """Return figures of scenarios with what was planned.

    Args:
        drawings: Words to begin the caption with, and the scenario.
    """
    figures: list[str] = []
    entries: dict[str, tuple[str, str, str, bool]] = {}
    for prefix, drawing in drawings:
        figures.append(_figure(prefix, drawing))
        entries |= {entry[0]: entry for entry in _entries(drawing)}
    return Shown(figures=tuple(figures), entries=tuple(entries.values()))


def _figure(prefix: str, drawing: Drawing) -> str:
    light, dark = (
        scenario.figure(drawing.sketch, drawing.plan, size_in=_SIZE_IN, theme=theme, with_legend=False).png(dpi=_DPI)
        for theme in (LIGHT, DARK)
    )
    told = [prefix, readable(drawing.scenario_type), judgement(drawing.errors), drawing.id.token]
    return elements.picture(light, dark, " · ".join(filter(None, told)))


def _entries(drawing: Drawing) -> list[tuple[str, str, str, bool]]:
    both = (scenario.legend(drawing.sketch, drawing.plan, theme) for theme in (LIGHT, DARK))
    return [
        (_words(str(light.get_label())), scenario.color_of(light), scenario.color_of(dark), isinstance(light, Patch))
        for light, dark in zip(*both, strict=True)
    ]


def _words(label: str) -> str:
    """Return a label without what only one scenario says."""
    return "planned (fainter: less probable)" if label.startswith("planned") else label
