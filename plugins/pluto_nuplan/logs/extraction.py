"""How a scenario is cut out around its token (nuPlan v1.1, ScenarioMapping)."""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import attrs
import numpy as np

from pluto_core.errors import PlutoError
from pluto_core.listing import Listing
from pluto_core.scene import Floats, Ints

_MICROSECONDS = 1e6
_RATIO_TOLERANCE = 1e-3


@attrs.frozen
class Cut:
    """Which frames make one type's scenarios: `duration_s` from `offset_s` after the token, every `1 / ratio`-th of them."""

    duration_s: float
    offset_s: float
    ratio: float

    @property
    def stride(self) -> int:
        """Return how many frames make one iteration."""
        return int(1 / self.ratio)


@attrs.frozen
class ScenarioMapping:
    """The cut of every scenario type."""

    cuts: Mapping[str, Cut]
    unlisted: Cut

    def cut(self, scenario_type: str) -> Cut:
        """Return the cut of a type; types that the mapping does not list share one."""
        return self.cuts.get(scenario_type, self.unlisted)

    @classmethod
    def of(cls, ratio: float, overrides: Mapping[str, tuple[float, ...]]) -> "ScenarioMapping":
        """Return nuPlan's mapping with another ratio and other cuts for some types.

        Raises:
            PlutoError: A cut has no duration, a ratio is not 1 divided by a whole number, or the numbers are too few or many.
        """
        stock = _stock()
        unlisted = _cut("source.subsample_ratio", stock["unlisted"], ratio)
        listed = _cut("source.subsample_ratio", stock["listed"], ratio)
        cuts = dict.fromkeys(stock["types"], listed)
        cuts |= {name: _cut(f"source.scenario_mapping.{name}", numbers, ratio) for name, numbers in overrides.items()}
        return cls(cuts, unlisted)


def _stock() -> dict[str, Any]:
    text = files("pluto_nuplan").joinpath("facts/scenario_mapping.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def _cut(key: str, numbers: tuple[float, ...], ratio: float) -> Cut:
    if len(numbers) not in (2, 3):
        raise PlutoError(f"{key}: give [duration_s, offset_s] or [duration_s, offset_s, ratio], not {len(numbers)} numbers")
    cut = Cut(float(numbers[0]), float(numbers[1]), float(numbers[2]) if len(numbers) > 2 else ratio)  # noqa: PLR2004
    if cut.duration_s <= 0:
        raise PlutoError(f"{key}: the duration must be above 0 s, it is {cut.duration_s}")
    if not 0 < cut.ratio <= 1 or abs(1 / cut.ratio - round(1 / cut.ratio)) > _RATIO_TOLERANCE:
        raise PlutoError(f"{key}: the ratio must be 1 divided by a whole number, such as 0.5; it is {cut.ratio}")
    return cut


@attrs.frozen(kw_only=True, eq=False)
class Iterations:
    """The frames of scenarios of one log: iteration `i` of scenario `r` is frame `first[r] + i * stride[r]`."""

    first: Ints
    """(n,)"""
    count: Ints
    """(n,) number of iterations; 0 where the log has no frame in the span."""
    stride: Ints
    """(n,)"""
    ratio: Floats
    """(n,)"""

    def frames(self, row: int) -> Ints:
        """Return the frames of one scenario."""
        return np.asarray(self.first[row] + self.stride[row] * np.arange(self.count[row]))


def iterations(times_us: Ints, listing: Listing, mapping: ScenarioMapping | None) -> Iterations:
    """Return the frames of scenarios of one log.

    Args:
        times_us: (F,) times of the log's frames.
        listing: Scenarios; of which `anchor_us` and `types` count.
        mapping: How they are cut; None: each is its own frame.
    """
    if mapping is None:
        ones = np.ones(len(listing), np.int64)
        return Iterations(
            first=np.searchsorted(times_us, listing.anchor_us), count=ones, stride=ones, ratio=np.ones(len(listing))
        )
    cuts = [mapping.cut(name) for name in listing.types.values]
    codes = listing.types.codes
    offset = np.asarray([cut.offset_s for cut in cuts])[codes] if cuts else np.zeros(0)
    duration = np.asarray([cut.duration_s for cut in cuts])[codes] if cuts else np.zeros(0)
    stride = np.asarray([cut.stride for cut in cuts], np.int64)[codes] if cuts else np.zeros(0, np.int64)
    ratio = np.asarray([cut.ratio for cut in cuts])[codes] if cuts else np.zeros(0)
    start = np.trunc(listing.anchor_us + offset * _MICROSECONDS).astype(np.int64)
    end = np.trunc(start + duration * _MICROSECONDS).astype(np.int64)
    first = np.searchsorted(times_us, start)
    stop = np.searchsorted(times_us, end, side="right")
    return Iterations(first=first, count=-(-(stop - first) // stride), stride=stride, ratio=ratio)
