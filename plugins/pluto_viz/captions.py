"""Words about a drawing: what it is, and how good the plan was."""

import math
from collections.abc import Mapping
from typing import Protocol

from pluto_core.scene import ScenarioId

_LONG = 20
"""Longer tokens are told by their end in small pictures."""


class Named(Protocol):
    """A scenario, and errors of the plan where there is one."""

    @property
    def id(self) -> ScenarioId:
        """Return which one it is."""
        ...

    @property
    def scenario_type(self) -> str:
        """Return its type."""
        ...

    @property
    def errors(self) -> Mapping[str, float]:
        """Return `ade_top1_m` and the like; nothing without a plan."""
        ...


def title(drawn: Named, rank: str = "", more: str = "") -> str:
    """Return the title of a picture: what it is and how good the plan was, then type, then log and token.

    Args:
        drawn: What the picture shows.
        rank: Words to begin with.
        more: Words beside the type, such as the name of the map.
    """
    head = ": ".join(filter(None, [rank, judgement(drawn.errors)])) or readable(drawn.scenario_type)
    kind = "   ".join(filter(None, [drawn.scenario_type, more]))
    log = "" if drawn.id.token.startswith(drawn.id.log) else f"log {drawn.id.log}   "  # a token that holds it says it
    return f"{head}\n{kind}\n{log}token {drawn.id.token}"


def readable(scenario_type: str) -> str:
    """Return a scenario type as words."""
    return scenario_type.replace("_", " ")


def judgement(errors: Mapping[str, float]) -> str:
    """Return in words how good a plan was; nothing where nothing was planned."""
    if not errors:
        return ""
    ade, fde = errors["ade_top1_m"], errors["fde_top1_m"]
    if math.isnan(ade):
        return "no truth to compare with"
    if math.isnan(fde):
        return f"ADE {ade:.2f} m (most probable mode; the last pose is not known)"
    return f"FDE {fde:.2f} m, ADE {ade:.2f} m (most probable mode)"


def short(drawn: Named) -> str:
    """Return a caption of two short lines, for small pictures."""
    fde = drawn.errors.get("fde_top1_m", math.nan)
    judged = "" if math.isnan(fde) else f"FDE {fde:.1f} m   "
    token = drawn.id.token
    return f"{readable(drawn.scenario_type)}\n{judged}{token if len(token) <= _LONG else f'…{token[-_LONG:]}'}"
