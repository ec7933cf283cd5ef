import attrs
import numpy as np
import pytest
import recorded
from recorded import Scenario

from pluto_core.errors import SampleError
from pluto_core.maps import Layer
from pluto_core.scene import ScenarioId, Window
from pluto_core.testing.sources import _in_token_order
from pluto_devkit import scenes
from pluto_devkit.extracts import LAYERS, extract
from pluto_nuplan.config import NuPlanConfig
from pluto_nuplan.source import NuPlanSource

IDENTITY = ScenarioId(*recorded.RECORD["id"])
WINDOW = Window(history_s=0.5, future_s=0.5, interval_s=0.1)


@pytest.fixture(scope="module")
def view():
    """The recorded map objects as an extract."""
    objects = recorded.map_objects()
    x, y = recorded.RECORD["ego"]["present"][1:3]
    extent = (x - 25.0, y - 25.0, x + 25.0, y + 25.0)
    return extract({ours: objects[theirs] for ours, theirs in LAYERS.items()}, recorded.RECORD["map"]["name"], extent)


@pytest.fixture(scope="module")
def native(dataset, home):
    """The same scenario, read by our own reader."""
    source = NuPlanSource(NuPlanConfig(data_root=str(dataset.data_root), map_root=str(dataset.map_root)), cache_home=home)
    return source.load(IDENTITY, WINDOW)


def test_scene_is_what_our_reader_gives(view, native):
    """What the devkit's scenario answered makes the scene that our own reader makes of the same log."""
    scene = scenes.scene_of(Scenario(), IDENTITY, WINDOW, view)
    scene.check()
    now = native.tracks.valid[:, native.present]
    assert scene.tracks.token[: now.sum()].tolist() == native.tracks.token[now].tolist()
    found, expected = _in_token_order(scene), _in_token_order(native)
    assert found.times_us.tolist() == expected.times_us.tolist()
    assert found.route.tolist() == expected.route.tolist()
    for part in ("ego", "tracks", "static_objects", "lights"):
        for name, value in attrs.asdict(getattr(expected, part), recurse=False).items():
            if isinstance(value, np.ndarray) and value.dtype.kind != "S":
                np.testing.assert_allclose(getattr(getattr(found, part), name), value, atol=1e-6, err_msg=f"{part}.{name}")
    np.testing.assert_allclose(found.goal, expected.goal, atol=1e-6)
    assert attrs.asdict(found.ego.vehicle) == attrs.asdict(expected.ego.vehicle)


def test_short_recordings_are_masked(view):
    """Steps that the scenario does not answer are not valid, and the scene keeps its length."""
    long = Window(history_s=0.5, future_s=0.8, interval_s=0.1)
    scene = scenes.scene_of(Scenario(), IDENTITY, long, view)
    scene.check()
    assert scene.ego.valid.tolist() == [True] * 11 + [False] * 3
    assert (np.diff(scene.times_us) > 0).all()


def test_scene_carries_its_scenario(view):
    """Builders of the devkit find the very scenario; the shared extract stays without it."""
    scenario = Scenario()
    scene = scenes.scene_of(scenario, IDENTITY, WINDOW, view)
    assert scene.map.derived[scenes.ORIGINAL] is scenario
    assert scene.narrow(Window(interval_s=0.1)).map.derived[scenes.ORIGINAL] is scenario
    assert scenes.ORIGINAL not in view.derived


def test_broken_scenarios_are_sample_errors(view):
    """Whatever a scenario raises is a failure of that scenario, and says what it was."""

    class Broken(Scenario):
        def get_mission_goal(self):
            """Stand for a log that lacks a table."""
            message = "no such table"
            raise RuntimeError(message)

    with pytest.raises(SampleError, match="no such table"):
        scenes.scene_of(Broken(), IDENTITY, WINDOW, view)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.value)
def test_extract_is_the_part_of_the_map(layer, view, native):
    """Near the ego vehicle every layer has the objects of the whole map, with the same outlines."""
    here = native.ego.position[native.present]
    found, expected = view.near(layer, here, 20.0), native.map.near(layer, here, 20.0)
    tables = {
        Layer.LANE: "lanes",
        Layer.LANE_CONNECTOR: "lanes",
        Layer.ROADBLOCK: "blocks",
        Layer.ROADBLOCK_CONNECTOR: "blocks",
    }
    ours, theirs = (getattr(one, tables[layer]) if layer in tables else one.areas[layer] for one in (view, native.map))
    assert ours.ids[found].tolist() == theirs.ids[expected].tolist()
    for row, other in zip(found.tolist(), expected.tolist(), strict=True):
        np.testing.assert_allclose(ours.polygons.exterior(row), theirs.polygons.exterior(other), atol=1e-5)


def test_extract_has_the_graph(view, native):
    """Successors, neighbours, blocks, lights, limits and lines of lanes are those of the whole map, as far as it reaches."""
    whole = native.map
    rows = list(range(len(view.lanes)))
    for row in rows:
        layer = Layer.LANE if row < view.lanes.lane_count else Layer.LANE_CONNECTOR
        other = whole.row(layer, int(view.lanes.ids[row]))
        found = view.lanes.ids[view.lanes.successors.row(row)].tolist()
        assert set(found) <= set(whole.lanes.ids[whole.lanes.successors.row(other)].tolist())
        for name in ("speed_limit_mps", "has_lights", "lane_index"):
            assert getattr(view.lanes, name)[row] == pytest.approx(getattr(whole.lanes, name)[other]), name
        for name in ("baselines", "left", "right"):
            line, expected = getattr(view.lanes, name).line(row), getattr(whole.lanes, name).line(other)
            np.testing.assert_allclose(line, expected, atol=1e-5, err_msg=name)
        assert view.blocks.ids[view.lanes.block[row]] == whole.blocks.ids[whole.lanes.block[other]]
    assert any(len(view.lanes.successors.row(row)) for row in rows)
    assert any(len(view.blocks.interior.row(row)) for row in range(len(view.blocks)))
