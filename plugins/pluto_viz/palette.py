"""Colours and widths by role.

Lights and objects take hues of Okabe and Ito, which colour-blind people tell apart. What a picture is about, truth and plan,
takes black and magenta, which nothing else has.
"""

import attrs

from pluto_core.sketch import Role

INK = "#26282b"
MUTED = "#5b6774"
PAPER = "#ffffff"
ROAD = "#eceef1"


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


STYLES: dict[Role, Style] = {
    Role.LANE: Style("#b9bec6", 0.8, 2, dashed=True),
    Role.LANE_CONNECTOR: Style("#c9cdd3", 0.7, 2, dashed=True),
    Role.BOUNDARY: Style("#8d949e", 0.9, 3),
    Role.CROSSWALK: Style("#dfe3e8", 0.6, 2),
    Role.ROUTE: Style("#e3edf7", 6.0, 1, legend="route"),
    Role.REFERENCE_LINE: Style("#56b4e9", 1.3, 4, legend="reference line"),
    Role.LIGHT_RED: Style("#d55e00", 1.8, 4, legend="red light"),
    Role.LIGHT_YELLOW: Style("#f0e442", 1.8, 4, legend="yellow light"),
    Role.LIGHT_GREEN: Style("#009e73", 1.5, 4, legend="green light"),
    Role.VEHICLE: Style("#6c7a89", 0.8, 6, legend="vehicle"),
    Role.PEDESTRIAN: Style("#e69f00", 0.8, 6, legend="pedestrian"),
    Role.BICYCLE: Style("#8a5a00", 0.8, 6, legend="cyclist"),
    Role.STATIC: Style("#3d3d3d", 0.6, 5, legend="static object"),
    Role.EGO: Style("#0072b2", 1.0, 9, legend="ego"),
    Role.HISTORY: Style("#a5abb3", 0.9, 5, dashed=True, legend="past"),
    Role.FUTURE: Style(INK, 4.0, 9.2, legend="truth: where the ego went"),
    Role.PLAN: Style("#c2189b", 1.8, 10, legend="planned (fainter: less probable)"),
    Role.GOAL: Style("#cc79a7", 1.2, 7, legend="goal"),
    Role.OTHER: Style("#999999", 0.8, 3),
}

OTHERS_FUTURE = Style("#5b6774", 1.3, 7, legend="where others went")
"""Futures that do not begin at the ego."""

FILLED = {Role.EGO, Role.VEHICLE, Role.PEDESTRIAN, Role.BICYCLE, Role.STATIC}
