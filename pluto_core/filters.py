"""`[filter]`: which scenarios of a source an experiment takes.

Field names are those of nuPlan v1.1 (ScenarioFilter), except `num_scenarios_per_log` and `spread_over`, which it lacks.
"""

from collections.abc import Iterable, Iterator
from typing import Literal

import attrs

from pluto_core.component import setting

_LIMITS = ("num_scenarios_per_type", "num_scenarios_per_log", "limit_total_scenarios")
OWN_FIELDS = frozenset({*_LIMITS, "timestamp_threshold_s", "spread_over", "shuffle"})
"""Fields that the core applies, whatever the source."""
_COMPANIONS = {
    "speed_noise_tolerance": ("ego_start_speed_threshold", "ego_stop_speed_threshold"),
    "token_set_path": ("fraction_in_token_set_threshold",),
    "fraction_in_token_set_threshold": ("token_set_path",),
    "spread_over": _LIMITS,
}
"""Fields that mean nothing unless one of some others is set."""


@attrs.frozen(kw_only=True)
class ScenarioFilter:
    """Which scenarios to take. Unset fields take all; they apply in the order in which they stand here.

    The last two say how limits choose.
    """

    log_names: tuple[str, ...] | None = setting(None, "Take these logs only.")
    scenario_types: tuple[str, ...] | None = setting(
        None, "Take frames tagged with one of these types; untagged ones are left out."
    )
    scenario_tokens: tuple[str, ...] | None = setting(None, "Take these tokens only.")
    map_names: tuple[str, ...] | None = setting(
        None,
        "Take scenarios on these maps only (nuPlan: sg-one-north, ...; Argoverse 2: ATX, DTW, MIA, PAO, PIT, WDC).",
    )
    remove_invalid_goals: bool = setting(default=False, help="Leave out scenarios whose mission goal is unknown.")
    expand_scenarios: bool = setting(
        default=True, help="Every frame is a scenario of one step; false cuts out the mapping's duration around the frame."
    )
    num_scenarios_per_type: int | None = setting(None, "Take at most so many of each type, evenly spread.", minimum=1)
    num_scenarios_per_log: int | None = setting(None, "Take at most so many of each log, evenly spread.", minimum=1)
    limit_total_scenarios: int | float | None = setting(
        None, "Take so many scenarios (integer) or this share of them (number between 0 and 1).", above=0
    )
    timestamp_threshold_s: float | None = setting(None, "Least time between two scenarios of one type, seconds.", minimum=0)
    ego_displacement_minimum_m: float | None = setting(None, "Least distance that the ego vehicle drives, metres.", minimum=0)
    ego_start_speed_threshold: float | None = setting(None, "Take scenarios whose speed rises above this, m/s.", minimum=0)
    ego_stop_speed_threshold: float | None = setting(None, "Take scenarios whose speed falls to this or below, m/s.", minimum=0)
    speed_noise_tolerance: float | None = setting(None, "Ignore speed changes up to this, m/s (0.1 where unset).", minimum=0)
    token_set_path: str | None = setting(None, "JSON list of tokens for `fraction_in_token_set_threshold`.")
    fraction_in_token_set_threshold: float | None = setting(
        None, "Take scenarios with more than this share of their frames in the token set.", minimum=0, maximum=1
    )
    ego_route_radius: float | None = setting(
        None, "Take scenarios with a route lane this near to the ego vehicle, metres.", above=0
    )
    spread_over: tuple[Literal["log", "type"], ...] | None = setting(
        None,
        "Where a limit chooses, take as many of each log, or of each type, as of the others, as far as it has them; with both, "
        "the second within the first.",
    )
    shuffle: bool = setting(default=False, help="Draw where a limit chooses, instead of taking evenly spread ones.")

    def asked(self) -> frozenset[str]:
        """Return the names of the fields that the experiment sets to something other than their default."""
        return frozenset(field.name for field in attrs.fields(type(self)) if getattr(self, field.name) != field.default)


SOURCE_FIELDS = frozenset(field.name for field in attrs.fields(ScenarioFilter)) - OWN_FIELDS
"""Fields that only a source can answer; those with nuPlan's tags, routes and goals answer all of them."""


def unanswered(wanted: ScenarioFilter, answers: Iterable[str]) -> list[str]:
    """Return the fields that a filter sets and a source that answers `answers` cannot answer, by name."""
    known = frozenset(answers) | OWN_FIELDS
    known |= {name for name, partners in _COMPANIONS.items() if known.intersection(partners)}
    return sorted(wanted.asked() - known)


def contradictions(wanted: ScenarioFilter) -> Iterator[tuple[str, str]]:
    """Yield every field whose value makes no sense whatever the source, and what is wrong with it."""
    for name, partners in _COMPANIONS.items():
        if getattr(wanted, name) is not None and all(getattr(wanted, partner) is None for partner in partners):
            yield name, f"has no effect without filter.{' or filter.'.join(partners)}; set that too, or leave it out"
    strata = wanted.spread_over
    if strata is not None and len(set(strata)) != max(len(strata), 1):
        yield "spread_over", 'names nothing, or one twice; write ["log"], ["type"], or both in the order that matters'
    limit = wanted.limit_total_scenarios
    if isinstance(limit, float) and not 0 < limit < 1:
        yield (
            "limit_total_scenarios",
            f"a share must lie between 0 and 1 (both excluded), not {limit}; write an integer for a number",
        )
