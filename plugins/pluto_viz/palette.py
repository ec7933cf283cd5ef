"""Colours, widths and order by role, on light and on dark paper.

Lights and road users take hues of Okabe and Ito, which colour-blind people tell apart; lights differ in shape too. What a
picture is about, truth and plan, takes ink and magenta, which nothing else has. A test looks at the colours through the
eyes of protanopes, deuteranopes and tritanopes.
"""

from collections.abc import Mapping

import attrs

from pluto_core.sketch import Role


@attrs.frozen
class Style:
    """How a role is drawn."""

    color: str
    width: float = 1.0
    order: float = 1
    """What is drawn over what."""
    dashed: bool = False
    legend: str | None = None
    """Words for the legend; None: not in it."""
    marker: str = ""
    """What stands where such a line begins."""


@attrs.frozen(kw_only=True, eq=False)
class Theme:
    """One set of colours."""

    name: str
    ink: str
    muted: str
    paper: str
    ground: str
    """Where there is no road."""
    frame: str
    styles: Mapping[Role, Style]
    others_future: Style
    """Futures that do not begin at the ego."""
    fills: Mapping[Role, str]
    """Colours of areas; other areas take that of their style."""
    shades: str
    """Colour map of rasters."""
    shade: str
    """Colour of low values, for the legend."""


LIGHT = Theme(
    name="light",
    ink="#26282b",
    muted="#5b6774",
    paper="#ffffff",
    ground="#f3f4f6",
    frame="#d0d4da",
    fills={Role.LANE: "#dfe3e8", Role.LANE_CONNECTOR: "#e4e7ec", Role.CROSSWALK: "#f7f8fa"},
    shades="Greys_r",
    shade="#c8c8c8",
    others_future=Style("#5b6774", 1.3, 7, legend="where others went"),
    styles={
        Role.LANE: Style("#a9b0ba", 0.8, 2, dashed=True),
        Role.LANE_CONNECTOR: Style("#b9bfc8", 0.7, 2, dashed=True),
        Role.BOUNDARY: Style("#8d949e", 0.9, 3),
        Role.CROSSWALK: Style("#b4bac3", 0.9, 2),
        Role.ROUTE: Style("#bcd7ee", 6.0, 1.5, legend="route"),
        Role.REFERENCE_LINE: Style("#56b4e9", 1.5, 4, legend="reference line"),
        Role.LIGHT_RED: Style("#d55e00", 2.2, 4.3, legend="red light", marker="s"),
        Role.LIGHT_YELLOW: Style("#f0e442", 2.2, 4.2, legend="yellow light", marker="D"),
        Role.LIGHT_GREEN: Style("#009e73", 1.5, 4.1, legend="green light", marker="o"),
        Role.VEHICLE: Style("#6c7a89", 0.8, 6, legend="vehicle"),
        Role.PEDESTRIAN: Style("#e69f00", 0.8, 6, legend="pedestrian"),
        Role.BICYCLE: Style("#7a4f00", 0.8, 6, legend="cyclist"),
        Role.STATIC: Style("#3d3d3d", 0.6, 5, legend="static object"),
        Role.EGO: Style("#0072b2", 1.0, 9, legend="ego"),
        Role.HISTORY: Style("#858d98", 1.0, 5, dashed=True, legend="past"),
        Role.FUTURE: Style("#26282b", 4.0, 9.2, legend="truth: where the ego went"),
        Role.PLAN: Style("#c2189b", 1.8, 10, legend="planned"),
        Role.GOAL: Style("#cc79a7", 1.2, 7, legend="goal"),
        Role.OTHER: Style("#999999", 0.8, 3),
    },
)

DARK = Theme(
    name="dark",
    ink="#eceff3",
    muted="#9aa5b1",
    paper="#14171b",
    ground="#1a1e23",
    frame="#3a4149",
    fills={Role.LANE: "#2b3138", Role.LANE_CONNECTOR: "#2f353d", Role.CROSSWALK: "#454d57"},
    shades="Greys_r",
    shade="#0c0e10",
    others_future=Style("#a9b4c0", 1.3, 7, legend="where others went"),
    styles={
        Role.LANE: Style("#59626d", 0.8, 2, dashed=True),
        Role.LANE_CONNECTOR: Style("#4d555f", 0.7, 2, dashed=True),
        Role.BOUNDARY: Style("#707a86", 0.9, 3),
        Role.CROSSWALK: Style("#69727d", 0.9, 2),
        Role.ROUTE: Style("#24506f", 6.0, 1.5, legend="route"),
        Role.REFERENCE_LINE: Style("#1f8296", 1.5, 4, legend="reference line"),
        Role.LIGHT_RED: Style("#e8743b", 2.2, 4.3, legend="red light", marker="s"),
        Role.LIGHT_YELLOW: Style("#f0e442", 2.2, 4.2, legend="yellow light", marker="D"),
        Role.LIGHT_GREEN: Style("#1fbf8f", 1.5, 4.1, legend="green light", marker="o"),
        Role.VEHICLE: Style("#8996a5", 0.8, 6, legend="vehicle"),
        Role.PEDESTRIAN: Style("#ffc247", 0.8, 6, legend="pedestrian"),
        Role.BICYCLE: Style("#b5761b", 0.8, 6, legend="cyclist"),
        Role.STATIC: Style("#c9ced6", 0.6, 5, legend="static object"),
        Role.EGO: Style("#2f9df4", 1.0, 9, legend="ego"),
        Role.HISTORY: Style("#79838f", 1.0, 5, dashed=True, legend="past"),
        Role.FUTURE: Style("#f5f7fa", 4.0, 9.2, legend="truth: where the ego went"),
        Role.PLAN: Style("#ff79d2", 1.8, 10, legend="planned"),
        Role.GOAL: Style("#e39cc4", 1.2, 7, legend="goal"),
        Role.OTHER: Style("#808080", 0.8, 3),
    },
)

FILLED = {Role.EGO, Role.VEHICLE, Role.PEDESTRIAN, Role.BICYCLE, Role.STATIC}
