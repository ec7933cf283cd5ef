"""The stages of a filter that count: how many scenarios to take, and which where there are more.

Without `filter.spread_over` they take what nuPlan v1.1 takes. With it, the strata (logs, types) share a number as evenly as
they can, and what each gives depends on its own scenarios and the seed, never on the order in which a source lists them.
"""

import bisect
import math
from collections.abc import Callable, Sequence

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.filters import ScenarioFilter
from pluto_core.listing import Listing, Names
from pluto_core.pipeline.randomness import generator

Rows = npt.NDArray[np.int64]
Stage = Callable[[Listing], Rows]

UNKNOWN = "unknown"
"""Type of frames without a tag; a limit drops these first."""


def counting_stages(wanted: ScenarioFilter, seed: int) -> list[tuple[str, Stage]]:
    """Return the counting stages that a filter asks for, by the names of their fields, in order of application."""
    take = _Choice(draw_seed=seed if wanted.shuffle else None, strata=wanted.spread_over or ())
    per_type, per_log = wanted.num_scenarios_per_type, wanted.num_scenarios_per_log
    limit, gap_s = wanted.limit_total_scenarios, wanted.timestamp_threshold_s
    stages: list[tuple[str, Stage]] = []
    if per_type is not None:
        stages.append(("num_scenarios_per_type", lambda listing: _at_most_per_type(listing, per_type, take)))
    if per_log is not None:
        stages.append(("num_scenarios_per_log", lambda listing: _at_most_per_log(listing, per_log, take)))
    if limit is not None:
        stages.append(("limit_total_scenarios", lambda listing: _at_most_in_total(listing, limit, take)))
    if gap_s is not None:
        stages.append(("timestamp_threshold_s", lambda listing: _apart_in_time(listing, gap_s)))
    return stages


@attrs.frozen(kw_only=True)
class _Choice:
    """How to choose where there is more than a limit allows."""

    draw_seed: int | None
    """Seed of the draw; None: evenly spread ones."""
    strata: tuple[str, ...]
    """What shares a limit evenly, the first outside: `log`, `type`."""

    def some(self, listing: Listing, rows: Rows, wanted: int, stage: str) -> Rows:
        """Return `wanted` of `rows`, evenly over the strata if there are any."""
        if self.strata and wanted < len(rows):
            return self.spread(listing, rows, wanted, stage)
        if wanted >= len(rows):
            return rows
        if self.draw_seed is not None:
            return self._drawn(rows, wanted, stage)
        step = max(len(rows) // wanted, 1) if wanted else 1
        return rows[::step][:wanted]

    def spread(self, listing: Listing, rows: Rows, wanted: int, stage: str) -> Rows:
        """Return `wanted` of `rows` by token: evenly over the strata, and within those evenly in time, or drawn."""
        columns = {"log": listing.logs, "type": listing.types}
        in_time = rows[np.lexsort((listing.tokens[rows], listing.anchor_us[rows]))]
        found = self._shared(in_time, wanted, [columns[name] for name in self.strata], stage)
        return found[np.argsort(listing.tokens[found], kind="stable")]

    def _shared(self, rows: Rows, wanted: int, columns: Sequence[Names], stage: str) -> Rows:
        if not columns or not 0 < wanted < len(rows):
            return self._even(rows, wanted, stage)
        groups = sorted(_groups(columns[0], rows))
        shares = self._shares(np.asarray([len(group) for _, group in groups]), wanted, f"{stage}/shares")
        found = [
            self._shared(group, share, columns[1:], f"{stage}/{name}")
            for (name, group), share in zip(groups, shares.tolist(), strict=True)
        ]
        return np.concatenate(found)

    def _shares(self, sizes: Rows, wanted: int, stage: str) -> Rows:
        """Return how many each of some groups gives: as many as every other, or all that it has.

        `wanted` is below the sum of `sizes`; what does not divide goes to groups that have more, evenly spread or drawn.
        """
        ordered = np.sort(sizes)
        given_by_smaller = np.cumsum(ordered) - ordered
        levels = (wanted - given_by_smaller) // np.arange(len(sizes), 0, -1)
        level = int(levels[np.argmax(levels < ordered)])
        shares = np.minimum(sizes, level)
        shares[self._even(np.flatnonzero(sizes > level), wanted - int(shares.sum()), stage)] += 1
        return shares

    def _even(self, rows: Rows, wanted: int, stage: str) -> Rows:
        if not 0 < wanted < len(rows):
            return rows[:wanted]
        if self.draw_seed is not None:
            return self._drawn(rows, wanted, stage)
        return rows[np.arange(wanted) * len(rows) // wanted]

    def _drawn(self, rows: Rows, wanted: int, stage: str) -> Rows:
        assert self.draw_seed is not None
        return rows[np.sort(generator(self.draw_seed, "filter", stage).permutation(len(rows))[:wanted])]


def _groups(column: Names, rows: Rows) -> list[tuple[str, Rows]]:
    """Return the rows of each value of a column, in their order."""
    codes = column.codes[rows]
    order = np.argsort(codes, kind="stable")
    present, starts = np.unique(codes[order], return_index=True)
    return [
        (column.values[code], rows[group]) for code, group in zip(present.tolist(), np.split(order, starts[1:]), strict=False)
    ]


def _at_most_per_type(listing: Listing, wanted: int, take: _Choice) -> Rows:
    groups = _groups(listing.types, np.arange(len(listing)))
    return _ascending([take.some(listing, rows, wanted, f"num_scenarios_per_type/{name}") for name, rows in groups])


def _at_most_per_log(listing: Listing, wanted: int, take: _Choice) -> Rows:
    groups = _groups(listing.logs, np.arange(len(listing)))
    return _ascending([take.spread(listing, rows, wanted, f"num_scenarios_per_log/{name}") for name, rows in groups])


def _at_most_in_total(listing: Listing, limit: float, take: _Choice) -> Rows:
    total = len(listing)
    wanted = math.ceil(limit * total) if isinstance(limit, float) else limit
    everything = np.arange(total)
    if wanted >= total:
        return everything
    code = listing.types.values.index(UNKNOWN) if UNKNOWN in listing.types.values else -1
    unknown = listing.types.codes == code
    unknowns, others = np.flatnonzero(unknown), np.flatnonzero(~unknown)
    if total - wanted < len(unknowns):
        fewer = take.some(listing, unknowns, len(unknowns) - (total - wanted), "limit_total_scenarios/unknown")
        return _ascending([others, fewer])
    by_token = others[np.argsort(listing.tokens[others], kind="stable")]
    # From here on they stand by token, as in nuPlan: of two at one time, the next stage takes the one with the lesser token.
    return take.some(listing, by_token, wanted, "limit_total_scenarios")


def _apart_in_time(listing: Listing, gap_s: float) -> Rows:
    kept: list[Rows] = []
    for _, rows in _groups(listing.types, np.arange(len(listing))):
        in_time = rows[np.argsort(listing.anchor_us[rows], kind="stable")]
        times_s = (listing.anchor_us[in_time] * 1e-6).tolist()
        places, place = [], 0
        while place < len(times_s):
            places.append(place)
            place = bisect.bisect_left(times_s, times_s[place] + gap_s, lo=place + 1)
        kept.append(in_time[places])
    return _ascending(kept)


def _ascending(parts: list[Rows]) -> Rows:
    return np.sort(np.concatenate(parts)) if parts else np.zeros(0, np.int64)
