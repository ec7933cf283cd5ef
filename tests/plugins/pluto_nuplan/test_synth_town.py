import numpy as np
import pytest
import shapely

from pluto_nuplan.synth.drive import World, drive
from pluto_nuplan.synth.roads import pack_roads
from pluto_nuplan.synth.signals import RED
from pluto_nuplan.synth.surroundings import surround
from pluto_nuplan.synth.tokens import make_tokens
from pluto_nuplan.synth.town import build_town
from pluto_nuplan.synth.traffic import STEP_S

GRID = (2, 2)


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(3)
    town = build_town(GRID, rng, (664_500.0, 3_998_000.0))
    return World(town, pack_roads(town), surround(town, rng))


@pytest.fixture(scope="module")
def driven(world):
    return drive(world, "turning", 30.0, 1.5, np.random.default_rng(4))


def _length(line):
    return np.hypot(*np.diff(line, axis=0).T).sum()


def test_lanes_lie_between_their_boundaries(world):
    """Every lane and connector has boundaries of positive length, the left one on its left, at half a lane's width."""
    town = world.town
    for edge in (*town.lanes, *town.connectors):
        line = edge.line_m
        assert _length(line) > 5.0
        along = np.gradient(line, axis=0)
        normal = np.stack((-along[:, 1], along[:, 0]), axis=1) / np.hypot(*along.T)[:, None]
        for boundary, side in ((edge.left, 1.0), (edge.right, -1.0)):
            border = shapely.linestrings(town.boundaries_m[boundary])
            assert shapely.length(border) > 5.0
            beside = shapely.points(line + side * 1.75 * normal)
            assert shapely.distance(beside, border).max() < 0.15
            start, end = town.boundaries_m[boundary][[0, -1]]
            assert np.hypot(*(start - line[0])) < np.hypot(*(end - line[0]))


def test_baselines_have_vertices_every_quarter_metre(world):
    """The spacing of middle lines is nuPlan's."""
    for edge in (*world.town.lanes, *world.town.connectors):
        steps = np.hypot(*np.diff(edge.line_m, axis=0).T)
        assert abs(steps.mean() - 0.25) < 0.01
        assert np.ptp(steps) < 0.01


def test_connectors_join_lane_ends(world):
    """Connectors begin where their first lane ends and end where their second begins, without a kink."""
    lanes = world.town.lanes
    for connector in world.town.connectors:
        start, end, line = lanes[connector.start].line_m, lanes[connector.end].line_m, connector.line_m
        assert np.hypot(*(start[-1] - line[0])) < 1e-6
        assert np.hypot(*(end[0] - line[-1])) < 1e-6
        for before, after in ((start[-2:], line[:2]), (line[-2:], end[:2])):
            into, out = np.diff(before, axis=0)[0], np.diff(after, axis=0)[0]
            turned = np.arctan2(into[0] * out[1] - into[1] * out[0], into @ out)
            assert abs(turned) < 0.05


def test_cars_can_go_round_for_ever(world):
    """Every edge has one that follows it, and every lane one that leads to it."""
    roads = world.roads
    assert all(roads.outgoing)
    reached = {edge for edges in roads.outgoing for edge in edges}
    assert reached == set(range(len(roads.outgoing)))


def test_nobody_passes_a_red_light(driven):
    """No front crosses a stop line while the light of its connector is red, though many cross it."""
    roads, steps = driven.world.roads, driven.steps
    edge = steps["edge"].astype(int)
    line = roads.length_m[edge] - steps["along_m"] - driven.fleet.front_m
    crossed = (edge[1:] == edge[:-1]) & (edge[1:] < roads.lane_count) & (line[:-1] >= 0) & (line[1:] < 0)
    found = np.argwhere(crossed)
    assert len(found) > 30
    for step, vehicle in found:
        states = driven.signals.states(driven.start_s + step * STEP_S)
        assert states[int(steps["onward"][step, vehicle]) - roads.lane_count] != RED


def test_crossing_ways_are_never_driven_at_once(driven):
    """Two vehicles are never both inside a junction on connectors that conflict."""
    roads = driven.world.roads
    for row in driven.steps["edge"][::5].astype(int):
        inside = {int(edge) for edge in row if edge >= roads.lane_count}
        assert all(inside.isdisjoint(roads.conflicts[edge]) for edge in inside)


def test_traffic_lives(driven):
    """Vehicles accelerate, brake and stand, and never brake harder than they can."""
    speed, acceleration = driven.steps["speed_mps"], driven.steps["acceleration_mps2"]
    assert speed.max() > 9.0
    assert (speed == 0).mean() > 0.05
    assert -7.6 < acceleration.min() < -1.0 < 1.0 < acceleration.max() < 2.5


def test_people_cross_streets(driven):
    """Somebody walks over a crosswalk, and people never jump."""
    steps = np.hypot(*np.moveaxis(np.diff(driven.people_m, axis=0), -1, 0))
    assert steps.max() < 1.8
    crossings = shapely.polygons(driven.world.surroundings.crosswalks_m)
    assert shapely.contains(shapely.union_all(crossings), shapely.points(driven.people_m)).any()


def test_tokens_are_unique_and_repeat():
    """Tokens of a table are distinct, depend on its name, and are the same every time."""
    tokens = make_tokens(5000, "log", "lidar_box")
    assert len(set(tokens)) == 5000
    assert tokens == make_tokens(5000, "log", "lidar_box")
    assert set(tokens).isdisjoint(make_tokens(5000, "log", "track"))
    assert {len(token) for token in tokens} == {8}
