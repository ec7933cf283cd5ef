"""Measured figures: several rounds of one measurement, and what they say together."""

import statistics
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class Figure:
    """What one thing takes, or gives, as measured in several rounds."""

    part: str
    """What it belongs to, such as `loader`."""
    name: str
    unit: str
    values: tuple[float, ...] = attrs.field(validator=attrs.validators.min_len(1))
    """One a round; what happens but once has one."""
    note: str = ""
    more: dict[str, Any] = attrs.field(factory=dict[str, Any])
    """Other numbers for programs."""

    @property
    def median(self) -> float:
        """Return what counts: neither a lucky round nor a disturbed one."""
        return statistics.median(self.values)

    def plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "part": self.part,
            "name": self.name,
            "unit": self.unit,
            "median": self.median,
            "lowest": min(self.values),
            "highest": max(self.values),
            "rounds": len(self.values),
            "note": self.note,
            **self.more,
        }


def rounded(value: float) -> str:
    """Return a number with three digits that matter, and all those before the point."""
    for limit, digits in ((100, 0), (10, 1), (1, 2)):
        if abs(value) >= limit:
            return f"{value:,.{digits}f}"
    return f"{value:.3f}"
