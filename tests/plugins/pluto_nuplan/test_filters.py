"""Filters on nuPlan logs: parity with the reference, and an independent query as oracle."""

import itertools
import json
import math
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pluto_core.errors import PlutoError, Reason
from pluto_core.filters import ScenarioFilter
from pluto_core.listing import Listing
from pluto_core.pipeline.selection import select
from pluto_core.scene import Window
from pluto_nuplan.config import NuPlanConfig
from pluto_nuplan.logs import motion
from pluto_nuplan.logs.extraction import Cut, ScenarioMapping, iterations
from pluto_nuplan.logs.route import has_route_lane_near
from pluto_nuplan.source import NuPlanSource
from pluto_nuplan.synth.dataset import DatasetSummary

CUT = ScenarioFilter(expand_scenarios=False)


def _counts(source: NuPlanSource, listing: Listing, mapping: ScenarioMapping | None) -> list[int]:
    """Return the number of iterations of each scenario."""
    counts = []
    for row in range(len(listing)):
        frames = source._index(listing.logs.text(row)).frames
        counts.append(int(iterations(frames.time_us, listing.take(np.array([row])), mapping).count[0]))
    return counts


def test_all_recorded_filters_select_the_same(shared_data: Path, tmp_path: Path) -> None:
    """Tokens, their order, types and numbers of iterations equal the reference's for all its filter settings."""
    folder = shared_data / "golden" / "town"
    source = NuPlanSource(NuPlanConfig(data_root=str(folder)), cache_home=tmp_path)
    recorded = json.loads((folder / "reader" / "filters.json").read_text())
    assert len(recorded) == 20
    for case in recorded:
        fields = {name: tuple(value) if isinstance(value, list) else value for name, value in case["filter"].items()}
        wanted = ScenarioFilter(**{"remove_invalid_goals": True, **fields})
        if "error" in case:
            with pytest.raises(PlutoError, match="limit_total_scenarios"):
                select(source, wanted, 0)
            continue
        taken = select(source, wanted, 0).listing
        assert [token.decode() for token in taken.tokens] == case["tokens"], case["name"]
        assert [taken.types.text(row) for row in range(len(taken))] == case["types"], case["name"]
        mapping = None if wanted.expand_scenarios else source._mapping
        assert _counts(source, taken.take(np.arange(min(20, len(taken)))), mapping) == case["iterations"], case["name"]


# ---------------------------------------------------------------------------------------------------------------------
# An independent query as oracle: what nuplan-data.md says, as one SQL statement over plain rows.
# ---------------------------------------------------------------------------------------------------------------------

ORACLE = """
    WITH ranked AS (
        SELECT token, goal_ego_pose_token, row_number() OVER (ORDER BY name) AS rank, count(*) OVER () AS total FROM scene
    )
    SELECT hex(p.token), coalesce(max(t.type), 'unknown'), p.timestamp
    FROM lidar_pc p JOIN ranked s ON s.token = p.scene_token AND s.rank >= 3 AND s.rank < s.total - 1
    LEFT JOIN scenario_tag t ON t.lidar_pc_token = p.token
    LEFT JOIN ego_pose g ON g.token = s.goal_ego_pose_token
    WHERE (:types IS NULL OR t.type IN (SELECT value FROM json_each(:types)))
      AND (:tokens IS NULL OR lower(hex(p.token)) IN (SELECT value FROM json_each(:tokens)))
      AND (NOT :goals OR g.token IS NOT NULL)
    GROUP BY p.token ORDER BY p.timestamp
"""


def _expected(dataset: DatasetSummary, wanted: ScenarioFilter) -> list[tuple[str, str, str, int]]:
    found = []
    given_lists = {"types": wanted.scenario_types, "tokens": wanted.scenario_tokens}
    values = {name: None if value is None else json.dumps(value) for name, value in given_lists.items()}
    for file in sorted(dataset.data_root.glob("*.db")):
        if wanted.log_names is not None and file.stem not in wanted.log_names:
            continue
        connection = sqlite3.connect(file)
        rows = connection.execute(ORACLE, values | {"goals": wanted.remove_invalid_goals}).fetchall()
        connection.close()
        found += [(file.stem, token.lower(), kind, time) for token, kind, time in rows]
    return found


def _rows(listing: Listing) -> list[tuple[str, str, str, int]]:
    return [
        (listing.logs.text(row), listing.tokens[row].decode(), listing.types.text(row), int(listing.start_us[row]))
        for row in range(len(listing))
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(data=st.data())
def test_candidates_equal_an_independent_query(dataset: DatasetSummary, source: NuPlanSource, data: st.DataObject) -> None:
    """Whatever types, tokens, logs and goals are asked for, candidates, types and order are those of plain SQL."""
    everything = source.list(ScenarioFilter())
    types = sorted(set(everything.types.values) | {"no such type"})
    tokens = [token.decode() for token in everything.tokens] + ["ffffffffffffff00", "no token"]
    wanted = ScenarioFilter(
        scenario_types=data.draw(st.none() | st.lists(st.sampled_from(types), max_size=4).map(tuple)),
        scenario_tokens=data.draw(st.none() | st.lists(st.sampled_from(tokens), max_size=9).map(tuple)),
        log_names=data.draw(st.none() | st.lists(st.sampled_from(everything.logs.values), max_size=2).map(tuple)),
        remove_invalid_goals=data.draw(st.booleans()),
    )
    assert _rows(source.list(wanted)) == _expected(dataset, wanted)


def test_maps_are_taken_by_name(source: NuPlanSource) -> None:
    """Scenarios on other maps are left out."""
    everything = source.list(ScenarioFilter())
    assert set(everything.maps.values) == {"us-nv-las-vegas-strip"}
    assert len(source.list(ScenarioFilter(map_names=("us-nv-las-vegas-strip",)))) == len(everything)
    assert len(source.list(ScenarioFilter(map_names=("us-ma-boston",)))) == 0


# ---------------------------------------------------------------------------------------------------------------------
# Cut-out scenarios.
# ---------------------------------------------------------------------------------------------------------------------


def test_cut_out_scenarios_start_before_their_token(source: NuPlanSource) -> None:
    """Iteration 0 is the first frame from the offset on; the anchor stays the token's frame; the type decides the cut."""
    listing = source.list(CUT)
    for row in range(0, len(listing), 17):
        times = source._index(listing.logs.text(row)).frames.time_us
        tagged = listing.types.text(row) != "unknown"
        start = int(listing.anchor_us[row]) - (3_000_000 if tagged else 0)
        assert listing.start_us[row] == times[times >= start][0]
        assert listing.anchor_us[row] in times
    (scene,) = source.load_many([listing.id(0)], Window())
    assert scene.id == listing.id(0)
    assert scene.times_us[0] == listing.start_us[0]


def test_a_mapping_of_ones_own_cuts_its_types(dataset: DatasetSummary) -> None:
    """`scenario_mapping` and `subsample_ratio` change duration, offset and number of iterations."""
    stock = NuPlanSource(NuPlanConfig(data_root=str(dataset.root))).list(CUT)
    name = stock.types.text(0)
    config = NuPlanConfig(data_root=str(dataset.root), subsample_ratio=1.0, scenario_mapping={name: (2.0, -1.0, 0.25)})
    source = NuPlanSource(config)
    listing = source.list(CUT)
    own = np.asarray([listing.types.text(row) == name for row in range(len(listing))])
    assert 0 < own.sum() < len(listing)
    assert set(_counts(source, listing.take(own), source._mapping)) <= {10, 11}
    assert min(_counts(source, listing.take(~own), source._mapping)) > 60
    assert (listing.anchor_us[own] - listing.start_us[own]).max() <= 1_000_000


@given(st.sampled_from([1.0, 0.5, 0.25, 0.2, 0.1]), st.floats(0.1, 30), st.floats(-5, 5), st.integers(0, 199))
def test_iterations_are_the_frames_of_the_span(ratio: float, duration_s: float, offset_s: float, anchor: int) -> None:
    """Iterations are every k-th frame between start and end, both included."""
    times = 1_600_000_000_000_000 + np.arange(200) * 50_000
    mapping = ScenarioMapping({}, Cut(duration_s, offset_s, ratio))
    zeros = np.zeros(1, np.int64)
    listing = Listing.of([])
    listing = Listing(
        logs=listing.logs,
        tokens=np.zeros(1, "S16"),
        start_us=zeros,
        types=_names("x"),
        maps=_names("m"),
        anchor_us=times[[anchor]],
    )
    start = int(times[anchor] + offset_s * 1e6)
    expected = np.flatnonzero((times >= start) & (times <= int(start + duration_s * 1e6)))[:: int(1 / ratio)]
    spans = iterations(times, listing, mapping)
    assert np.array_equal(spans.frames(0), expected)


def _names(text: str):
    return Listing.of([]).types.of([text])


# ---------------------------------------------------------------------------------------------------------------------
# Columns of answers.
# ---------------------------------------------------------------------------------------------------------------------


def _plain_scan(speeds: list[float], threshold: float, tolerance: float) -> tuple[bool, bool]:
    """Return whether a list of speeds rises and falls, value by value, as nuplan-data.md section 5 words it."""
    high = low = speeds[0]
    rising = falling = False
    for value in speeds:
        if value > high:
            high = value
            if high > threshold >= low and high - low > tolerance:
                rising, low = True, high
        if value < low:
            low = value
            if high > threshold >= low and high - low > tolerance:
                falling, high = True, low
    return rising, falling


@given(
    st.lists(st.floats(0, 3).map(lambda v: round(v, 1)), min_size=1, max_size=40),
    st.floats(0, 3),
    st.sampled_from([0.0, 0.1, 0.5]),
)
def test_speed_scan_equals_the_plain_one(speeds: list[float], threshold: float, tolerance: float) -> None:
    """The scan of many scenarios at once equals one value after the other, also where states are missing at the end."""
    rows = np.array([[*speeds, np.nan, np.nan], [*speeds, speeds[-1], speeds[-1]]])
    rose, fell = motion._scan(rows, threshold, tolerance)
    expected = _plain_scan(speeds, threshold, tolerance)
    assert [(bool(r), bool(f)) for r, f in zip(rose, fell, strict=True)] == [expected, expected]


def test_motion_needs_more_than_one_step(source: NuPlanSource) -> None:
    """A filter of motion on scenarios of one step is refused, naming both fields."""
    wanted = ScenarioFilter(ego_displacement_minimum_m=1.0)
    with pytest.raises(PlutoError, match=r"filter\.ego_displacement_minimum_m .* filter\.expand_scenarios = false"):
        source.columns(source.list(wanted), ["ego_displacement_minimum_m"], wanted)


def test_displacement_is_the_way_driven(source: NuPlanSource) -> None:
    """The distance is at least the straight line between first and last sampled state, and at most speed allows."""
    listing = source.list(CUT)
    driven = source.columns(listing, ["ego_displacement_minimum_m"], CUT)["ego_displacement_minimum_m"]
    assert driven.shape == (len(listing),)
    for row in range(0, len(listing), 29):
        log = source._log(listing.logs.text(row))
        first, last = np.searchsorted(log.index.frames.time_us, [listing.start_us[row], listing.anchor_us[row]])
        straight = np.linalg.norm(log.ego.pose[last, :2] - log.ego.pose[first + 2, :2]) if last > first + 2 else 0.0
        assert straight - 3.0 <= driven[row] <= 30.0 * 20.0


def _plain_states(dataset: DatasetSummary, listing: Listing, row: int, ratio: float) -> list[tuple[float, float, float]]:
    """Return centre and speed of the states that motion filters look at, as nuplan-data.md sections 4 and 5 word it."""
    log, start = dataset.data_root / f"{listing.logs.text(row)}.db", int(listing.start_us[row])
    duration_us, offset_us = (20e6, 0.0) if listing.types.text(row) == "unknown" else (15e6, -3e6)
    begin = int(int(listing.anchor_us[row]) + offset_us)
    with closing(sqlite3.connect(log)) as connection:
        rows = connection.execute(
            "SELECT p.timestamp, e.x, e.y, e.qw, e.qz, e.vx, e.vy "
            "FROM lidar_pc p JOIN ego_pose e ON e.token = p.ego_pose_token "
            "WHERE p.timestamp >= ? ORDER BY p.timestamp",
            (start,),
        ).fetchall()
    tokens = [time for time, *_ in rows if time <= int(begin + duration_us)][:: int(1 / ratio)]
    horizon_s = (tokens[-1] - tokens[0]) * 1e-6
    count = int(horizon_s / (0.05 / ratio))
    step = (int(horizon_s / 0.05) + 1) // count
    states = [rows[rank] for rank in range(step, step * count + 1, step) if rank < len(rows)]
    yaws = [2 * math.atan2(qz, qw) for _, _, _, qw, qz, _, _ in states]  # the town is flat
    return [
        (x + 1.461 * math.cos(yaw), y + 1.461 * math.sin(yaw), math.hypot(vx, vy))
        for (_, x, y, _, _, vx, vy), yaw in zip(states, yaws, strict=True)
    ]


@pytest.mark.parametrize("ratio", [0.5, 1.0])
def test_motion_equals_a_plain_walk(dataset: DatasetSummary, home: Path, ratio: float) -> None:
    """Displacement, rises and falls of scenarios are what plain rows give, one state after the other."""
    source = NuPlanSource(NuPlanConfig(data_root=str(dataset.root), subsample_ratio=ratio), cache_home=home)
    wanted = attrs.evolve(CUT, ego_start_speed_threshold=2.0, ego_stop_speed_threshold=9.0, speed_noise_tolerance=0.3)
    listing = source.list(wanted)
    names = ("ego_displacement_minimum_m", "ego_start_speed_threshold", "ego_stop_speed_threshold")
    some = listing.take(np.arange(0, len(listing), 7))
    driven, rises, falls = (source.columns(some, names, wanted)[name] for name in names)
    assert len(set(rises.tolist())) == len(set(falls.tolist())) == 2, "both answers occur"
    for row in range(len(some)):
        states = _plain_states(dataset, some, row, ratio)
        speeds = [speed for _, _, speed in states]
        way = sum(math.dist(one[:2], other[:2]) for one, other in itertools.pairwise(states))
        assert abs(driven[row] - way) < 1e-6
        assert rises[row] == _plain_scan(speeds, 2.0, 0.3)[0]
        assert falls[row] == _plain_scan(speeds, 9.0, 0.3)[1]


def test_token_sets(source: NuPlanSource, tmp_path: Path) -> None:
    """A share of frames in the set, above the threshold; a threshold of 1 asks for the very set."""
    listing = source.list(ScenarioFilter())
    chosen = [token.decode() for token in listing.tokens[:5]]
    path = tmp_path / "tokens.json"

    def count(tokens: list[str], threshold: float) -> int:
        path.write_text(json.dumps(tokens))
        wanted = ScenarioFilter(token_set_path=str(path), fraction_in_token_set_threshold=threshold)
        return len(select(source, wanted, 0).listing)

    assert [count(chosen, 0.5), count(chosen, 1.0), count(chosen[:1], 1.0), count([], 0.0)] == [5, 0, 1, 0]


@pytest.mark.parametrize("content", ["{", '{"a": 1}', "[1, 2]", '["xyz"]'])
def test_a_token_set_that_is_none_is_refused(source: NuPlanSource, tmp_path: Path, content: str) -> None:
    """Whatever else the file holds, the message names the setting and the file."""
    path = tmp_path / "tokens.json"
    path.write_text(content)
    wanted = ScenarioFilter(token_set_path=str(path), fraction_in_token_set_threshold=0.5)
    with pytest.raises(PlutoError, match=r"^filter\.token_set_path: .*tokens\.json"):
        source.columns(source.list(wanted), ["fraction_in_token_set_threshold"], wanted)


def test_route_lanes_are_near_within_their_radius(source: NuPlanSource) -> None:
    """An ego vehicle on its route is near it; without a route nothing is; a wider radius never loses one."""
    listing = source.list(ScenarioFilter())
    scene = source.load(listing.id(0), Window())
    position = scene.ego.position[0]
    near = [has_route_lane_near(scene.map, position, scene.route, radius) for radius in (0.001, 5.0, 20.0, 80.0)]
    assert near == sorted(near)
    assert (near[0], near[-1]) == (False, True)
    assert not has_route_lane_near(scene.map, position, np.zeros(0, np.int64), 80.0)
    wanted = ScenarioFilter(ego_route_radius=80.0)
    assert source.columns(listing, ["ego_route_radius"], wanted)["ego_route_radius"].all()


def test_a_log_that_cannot_answer_drops_out(dataset: DatasetSummary, tmp_path: Path) -> None:
    """Where poses cannot be read, the log's scenarios satisfy no filter of motion, and the log is reported."""
    copies: list[Path] = []
    copy: Callable[[Path], Path] = lambda file: tmp_path / file.name  # noqa: E731
    for file in sorted(dataset.data_root.glob("*.db")):
        copy(file).write_bytes(file.read_bytes())
        copies.append(copy(file))
    connection = sqlite3.connect(copies[0])
    connection.execute("ALTER TABLE ego_pose RENAME COLUMN vx TO speed")
    connection.commit()
    connection.close()
    source = NuPlanSource(NuPlanConfig(data_root=str(tmp_path), map_root=str(dataset.map_root)))
    wanted = ScenarioFilter(expand_scenarios=False, ego_displacement_minimum_m=0.0)
    taken = select(source, wanted, 0).listing
    assert {taken.logs.text(row) for row in range(len(taken))} == {copies[1].stem}
    ((log, reason, detail),) = source.problems()
    assert (log, reason) == (copies[0].stem, Reason.UNREADABLE_LOG)
    assert "no such column" in detail
