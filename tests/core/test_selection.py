import json
import math
from collections import Counter

import attrs
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pluto_core.errors import PlutoError
from pluto_core.filters import ScenarioFilter
from pluto_core.jobs import Identity
from pluto_core.listing import Listing
from pluto_core.pipeline.selection import check_filter, filter_digest, select
from pluto_core.scene import ScenarioId

IDENTITY = Identity(reader="rows/1", settings={}, dataset={"a.db": 1})


class RowSource:
    """A source whose candidates and columns are given."""

    answers = frozenset({"scenario_tokens", "ego_displacement_minimum_m", "ego_start_speed_threshold", "ego_route_radius"})

    def __init__(self, rows, columns=None):
        self.listing = Listing.of(rows)
        self.given = columns or {}
        self.asked = []

    def list(self, _wanted):
        """Return the given rows."""
        return self.listing

    def columns(self, listing, names, _wanted):
        """Return the given columns."""
        self.asked.append((tuple(names), len(listing)))
        row_of = {token: row for row, token in enumerate(self.listing.tokens.tolist())}
        rows = [row_of[token] for token in listing.tokens.tolist()]
        return {name: np.asarray(self.given[name])[rows] for name in names}


def rows_of(types, *, step_us=1_000_000, scatter=7):
    """Return rows of one log whose token order differs from their order in time."""
    count = len(types)
    order = [(index * scatter) % count for index in range(count)] if count % scatter else list(range(count))
    return [(ScenarioId("log", f"{order[index]:016x}", index * step_us), kind, "town") for index, kind in enumerate(types)]


def rows_of_two_logs(types, *, scatter=7):
    """Return rows of two logs that were driven at the same times; the tokens of both are mixed."""
    half = len(types) // 2
    rows = rows_of(types[: 2 * half], scatter=scatter)
    return [
        (ScenarioId(f"log-{place // half}", one.token, one.start_us % (half * 1_000_000)), kind, town)
        for place, (one, kind, town) in enumerate(rows)
    ]


def tokens(selected):
    return [token.decode() for token in selected.listing.tokens]


def pick(items, number):
    """Return `number` items, evenly spread, as nuPlan takes them."""
    return items[:: max(len(items) // number, 1)][:number] if number else []


def reduced(kinds, total, limit):
    """Return `limit` of `total` scenarios by type: fewer untagged ones, or none and some of the others."""
    if total - limit < len(kinds.get("unknown", [])):
        return kinds | {"unknown": pick(kinds["unknown"], len(kinds["unknown"]) - (total - limit))}
    flat = [row for kind, items in kinds.items() for row in items if kind != "unknown"]
    kept = {}
    for row in pick(sorted(flat, key=lambda row: row[0].token), limit):
        kept.setdefault(row[1], []).append(row)
    return kept


def reference(rows, wanted):
    """The filter as the specification words it: dictionaries of lists, one scenario after the other."""
    kinds = {}
    for row in rows:
        kinds.setdefault(row[1], []).append(row)
    if wanted.num_scenarios_per_type is not None:
        kinds = {kind: pick(items, wanted.num_scenarios_per_type) for kind, items in kinds.items()}
    total = sum(map(len, kinds.values()))
    limit = wanted.limit_total_scenarios
    if isinstance(limit, float):
        limit = math.ceil(limit * total)
    if limit is not None and limit < total:
        kinds = reduced(kinds, total, limit)
    if wanted.timestamp_threshold_s is not None:
        for kind, items in kinds.items():
            kept = []
            for row in sorted(items, key=lambda row: row[0].start_us):
                if not kept or row[0].start_us * 1e-6 >= kept[-1][0].start_us * 1e-6 + wanted.timestamp_threshold_s:
                    kept.append(row)
            kinds[kind] = kept
    return sorted(row[0].token for items in kinds.values() for row in items)


@given(
    types=st.lists(st.sampled_from(["unknown", "turn", "stop", "lane"]), max_size=60),
    per_type=st.none() | st.integers(1, 9),
    limit=st.none() | st.integers(1, 60) | st.floats(0.01, 0.99),
    gap_s=st.none() | st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.5]),
    make_rows=st.sampled_from([rows_of, rows_of_two_logs]),
)
@example(types=["turn"] * 10, per_type=None, limit=9, gap_s=0.5, make_rows=rows_of_two_logs)
def test_counting_stages_follow_the_specification(types, per_type, limit, gap_s, make_rows):
    """Limits and thresholds on columns take what a plain walk through the specification takes, also of equal times."""
    wanted = ScenarioFilter(num_scenarios_per_type=per_type, limit_total_scenarios=limit, timestamp_threshold_s=gap_s)
    rows = make_rows(types)
    assert tokens(select(RowSource(rows), wanted, seed=0)) == reference(rows, wanted)


@given(
    types=st.lists(st.sampled_from(["unknown", "turn", "stop"]), min_size=1, max_size=40),
    limit=st.integers(1, 40),
    seed=st.integers(0, 5),
)
def test_drawing_takes_as_many_as_spreading_and_never_one_twice(types, limit, seed):
    """With shuffle the numbers by type of an untagged-only reduction stay, and no scenario is taken twice."""
    rows = rows_of(types)
    drawn = select(RowSource(rows), ScenarioFilter(limit_total_scenarios=limit, shuffle=True), seed)
    spread = select(RowSource(rows), ScenarioFilter(limit_total_scenarios=limit), seed)
    assert len(drawn.listing) == len(spread.listing)
    assert max(Counter(tokens(drawn)).values(), default=0) <= 1
    assert set(tokens(drawn)) <= {row[0].token for row in rows}


def test_shuffle_depends_on_the_seed_alone():
    """Two calls with one seed agree; another seed gives another order of the same scenarios."""
    rows = rows_of(["turn"] * 50)
    first, again, other = (tokens(select(RowSource(rows), ScenarioFilter(shuffle=True), seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert sorted(first) == sorted(other)


def test_a_draw_of_one_type_does_not_depend_on_other_types():
    """Adding scenarios of another type leaves the drawn ones of the first as they are."""
    few, more = rows_of(["turn"] * 20), rows_of(["turn"] * 20 + ["stop"] * 11, scatter=1000)
    few = more[:20]
    wanted = ScenarioFilter(num_scenarios_per_type=5, shuffle=True)
    turns = {row[0].token for row in few}
    assert set(tokens(select(RowSource(few), wanted, 3))) == set(tokens(select(RowSource(more), wanted, 3))) & turns


LOGS, TYPES = ("a", "b", "c", "d"), ("turn", "stop", "lane")
SPREADS = st.sampled_from([("log",), ("type",), ("log", "type"), ("type", "log")])


def rows_of_logs(places):
    """Return one row for each (log, type) of `places`; each log's rows stand in order of time, a second apart."""
    return [
        (ScenarioId(log, f"{(place * 7919) % 10007:016x}", place * 1_000_000), kind, "town")
        for place, (log, kind) in enumerate(places)
    ]


def assert_even(kept, there):
    """Prove that each group gave as many as every other, or one more, or all that it had."""
    unspent = [kept[name] for name, number in there.items() if kept[name] < number]
    assert max(kept.values(), default=0) - min(unspent, default=math.inf) <= 1


@given(
    places=st.lists(st.tuples(st.sampled_from(LOGS), st.sampled_from(TYPES)), max_size=60),
    limit=st.integers(1, 60),
    spread=SPREADS,
    shuffle=st.booleans(),
    seed=st.integers(0, 3),
)
def test_a_limit_spreads_evenly_over_logs_and_types(places, limit, spread, shuffle, seed):
    """Logs (or types) give as many as every other as far as they have them; within one, so do the strata of second rank."""
    wanted = ScenarioFilter(limit_total_scenarios=limit, spread_over=spread, shuffle=shuffle)
    listing = select(RowSource(rows_of_logs(places)), wanted, seed).listing
    assert len(listing) == min(limit, len(places))
    kept = [
        dict(zip(("log", "type"), (listing.logs.text(row), listing.types.text(row)), strict=True))
        for row in range(len(listing))
    ]
    there = [{"log": log, "type": kind} for log, kind in places]
    outer, inner = spread[0], spread[-1]
    assert_even(Counter(row[outer] for row in kept), Counter(row[outer] for row in there))
    for name in {row[outer] for row in there} if inner != outer else ():
        assert_even(*(Counter(row[inner] for row in rows if row[outer] == name) for rows in (kept, there)))


@given(
    places=st.lists(st.tuples(st.sampled_from(LOGS), st.sampled_from(TYPES)), max_size=40),
    wanted=st.builds(
        ScenarioFilter,
        num_scenarios_per_type=st.none() | st.integers(1, 9),
        num_scenarios_per_log=st.none() | st.integers(1, 9),
        limit_total_scenarios=st.integers(1, 30),
        timestamp_threshold_s=st.none() | st.just(2.5),
        spread_over=SPREADS,
        shuffle=st.booleans(),
    ),
    chance=st.randoms(use_true_random=False),
)
def test_what_is_spread_does_not_depend_on_the_order_of_the_candidates(places, wanted, chance):
    """However a source (or its workers) orders what it lists, the same scenarios are taken in the same order."""
    rows = rows_of_logs(places)
    other = chance.sample(rows, len(rows))
    assert tokens(select(RowSource(rows), wanted, 1)) == tokens(select(RowSource(other), wanted, 1))


@pytest.mark.parametrize("shuffle", [False, True])
def test_each_log_gives_at_most_so_many(shuffle):
    """Each log gives the limit or all that it has, whatever other logs there are; a log spreads over types if asked to."""
    rows = rows_of_logs([("a", "turn")] * 9 + [("a", "stop")] * 2 + [("b", "turn")] * 3)
    wanted = ScenarioFilter(num_scenarios_per_log=5, shuffle=shuffle)
    both, first = (select(RowSource(given), wanted, 0) for given in (rows, rows[:11]))
    assert both.stages[-1][1].logs == {"a": 5, "b": 3}
    assert set(tokens(first)) == {
        token for token, row in zip(tokens(both), range(8), strict=True) if both.listing.logs.text(row) == "a"
    }
    spread = select(RowSource(rows), attrs.evolve(wanted, spread_over=("type",)), 0)
    assert spread.stages[-1][1].types == {"turn": 6, "stop": 2}


def test_a_log_gives_scenarios_of_its_whole_length():
    """Without a draw, those of one log are evenly spread in time, also where most of them are taken."""
    rows = rows_of_logs([("a", "turn")] * 100)
    taken = select(RowSource(rows), ScenarioFilter(num_scenarios_per_log=60), 0).listing
    seconds = np.sort(taken.start_us // 1_000_000)
    assert (seconds[0], seconds[-1]) == (0, 98)
    assert set(np.diff(seconds).tolist()) == {1, 2}


def test_spreading_without_a_limit_is_refused():
    """Nothing chooses, or nothing is named: two mistakes that are explained."""
    with pytest.raises(PlutoError, match=r"filter\.spread_over: has no effect without filter\.num_scenarios_per_type or"):
        check_filter(ScenarioFilter(spread_over=("log",)), ())
    with pytest.raises(PlutoError, match=r"filter\.spread_over: names nothing, or one twice"):
        check_filter(ScenarioFilter(spread_over=("log", "log"), num_scenarios_per_type=3), ())


def test_columns_are_asked_of_survivors_and_satisfied():
    """Motion columns are asked together, the route only of what is left; the funnel names each stage."""
    rows = rows_of(["turn"] * 6)
    columns = {
        "ego_displacement_minimum_m": [0.0, 5.0, 5.1, np.nan, 9.0, 4.9],
        "ego_start_speed_threshold": [True, True, True, True, False, True],
        "ego_route_radius": [True, False, True, True, True, True],
    }
    source = RowSource(rows, columns)
    wanted = ScenarioFilter(ego_displacement_minimum_m=5.0, ego_start_speed_threshold=1.0, ego_route_radius=20.0)
    selected = select(source, wanted, 0)
    assert tokens(selected) == [rows[2][0].token]
    assert source.asked == [(("ego_displacement_minimum_m", "ego_start_speed_threshold"), 6), (("ego_route_radius",), 2)]
    assert selected.funnel == [
        ("candidates", 6),
        ("ego_displacement_minimum_m", 3),
        ("ego_start_speed_threshold", 2),
        ("ego_route_radius", 1),
    ]


def test_counts_stand_beside_the_funnel():
    """Every stage tells how many of each type are left."""
    selected = select(RowSource(rows_of(["turn"] * 5 + ["stop"] * 2)), ScenarioFilter(num_scenarios_per_type=3), 0)
    assert [counts.types for _, counts in selected.stages] == [{"turn": 5, "stop": 2}, {"turn": 3, "stop": 2}]


def test_tokens_that_are_not_found_are_named():
    """Tokens asked for that no candidate has are reported in their order, once."""
    wanted = ScenarioFilter(scenario_tokens=("f" * 16, "0" * 16, "f" * 16, "nonsense"))
    assert select(RowSource(rows_of(["turn"] * 3)), wanted, 0).missing_tokens == ("f" * 16, "nonsense")


@pytest.mark.parametrize("limit", [1.0, 1.5])
def test_a_share_of_one_or_more_is_refused(limit):
    """A float limit outside (0, 1) is a mistake that is explained."""
    with pytest.raises(PlutoError, match=r"filter\.limit_total_scenarios: a share must lie between 0 and 1"):
        select(RowSource(rows_of(["turn"])), ScenarioFilter(limit_total_scenarios=limit), 0)


def test_fields_that_the_source_cannot_answer_are_named():
    """A field that neither the core nor the source knows is refused by name, before anything is listed."""
    with pytest.raises(PlutoError, match=r"filter\.ego_stop_speed_threshold, filter\.map_names: this source cannot"):
        check_filter(ScenarioFilter(ego_stop_speed_threshold=1.0, map_names=("town",)), RowSource.answers)


def test_fields_without_effect_are_refused():
    """Half of a pair of fields is a mistake, not silence."""
    with pytest.raises(PlutoError, match=r"filter\.token_set_path: has no effect without filter\.fraction"):
        check_filter(ScenarioFilter(token_set_path="x.json"), {"token_set_path"})  # noqa: S106
    check_filter(ScenarioFilter(ego_start_speed_threshold=1.0, speed_noise_tolerance=0.2), RowSource.answers)


def test_an_empty_listing_goes_through_every_stage():
    """No candidates: no columns are asked, nothing fails."""
    wanted = ScenarioFilter(
        num_scenarios_per_type=2, limit_total_scenarios=0.5, timestamp_threshold_s=1.0, ego_route_radius=3.0, shuffle=True
    )
    source = RowSource([])
    assert len(select(source, wanted, 0).listing) == 0
    assert source.asked == []


def test_the_digest_names_what_is_selected(tmp_path):
    """Filter, identity and token set change it; the seed only where the filter shuffles, the path never."""
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    for path in (one, two):
        path.write_text(json.dumps(["00"]))
    plain = ScenarioFilter()
    digests = [
        filter_digest(plain, IDENTITY),
        filter_digest(ScenarioFilter(shuffle=True), IDENTITY, 1),
        filter_digest(ScenarioFilter(shuffle=True), IDENTITY, 2),
        filter_digest(plain, Identity(reader="rows/2", settings={}, dataset={"a.db": 1})),
        filter_digest(plain, attrs.evolve(IDENTITY, listing={"stride": 2})),
        filter_digest(ScenarioFilter(token_set_path=str(one)), IDENTITY),
    ]
    assert len(set(digests)) == len(digests)
    assert filter_digest(plain, IDENTITY, 1) == filter_digest(plain, IDENTITY, 2)
    assert filter_digest(ScenarioFilter(token_set_path=str(two)), IDENTITY) == digests[-1]
