"""Which scenarios to show, where neighbours in time look alike."""

from collections.abc import Iterable

from pluto_core.scene import ScenarioId

APART_S = 5.0
"""Scenarios of one log that are nearer than this look alike."""


def apart(ordered: Iterable[tuple[int, ScenarioId]], seconds: float = APART_S) -> list[int]:
    """Return rows in their order without those within some seconds of an earlier one of the same log.

    Scenarios of nuPlan follow one another at fractions of a second: the five worst ones would be one.

    Args:
        ordered: Rows and what they are.
        seconds: How far apart they must be.
    """
    kept: list[int] = []
    taken: dict[str, list[int]] = {}
    for row, scenario in ordered:
        others = taken.setdefault(scenario.log, [])
        if all(abs(scenario.start_us - other) >= seconds * 1e6 for other in others):
            others.append(scenario.start_us)
            kept.append(row)
    return kept
