"""Made scenes are valid in every size, and are what their documentation says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluto_core.scene import Window
from pluto_core.testing import make_scene
from pluto_core.testing.equality import difference
from pluto_core.testing.roads import make_map
from pluto_core.testing.scenes import bare_scene

SPANS = st.sampled_from([0.0, 0.5, 1.0, 2.0])


@settings(max_examples=40, deadline=None)
@given(
    agents=st.integers(0, 12),
    lanes=st.integers(0, 4),
    seed=st.integers(0, 50),
    objects=st.integers(0, 6),
    past=SPANS,
    future=SPANS,
    recorded=st.tuples(st.floats(-3, 0), st.floats(0, 3)),
)
def test_every_scene_is_valid(agents, lanes, seed, objects, past, future, recorded):
    """A scene of any size, span and recording passes `check`, and cells that are not valid hold zeros."""
    window = Window(history_s=past, future_s=future, interval_s=0.1)
    scene = make_scene(agents=agents, lanes=lanes, seed=seed, window=window, static_objects=objects, recorded_s=recorded)
    scene.check()
    assert scene.ego.valid[scene.present]
    assert not scene.ego.position[~scene.ego.valid].any()
    assert not scene.tracks.position[~scene.tracks.valid].any()
    assert scene.tracks.valid.any(axis=1).all()
    assert len(scene.static_objects.token) == objects
    assert len(scene.map.lanes) == (3 * lanes + 2 if lanes else 0)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 50), agents=st.integers(0, 9))
def test_longer_windows_show_the_same_for_longer(seed, agents):
    """What a short window shows is a part of what a long one shows, but for the order of tracks unseen at present."""
    short = Window(history_s=1.0, future_s=0.5, interval_s=0.1)
    long = make_scene(seed=seed, agents=agents, window=Window(history_s=2.0, future_s=4.0, interval_s=0.1))
    assert difference(long.narrow(short), make_scene(seed=seed, agents=agents, window=short)) is None


def test_who_is_seen_when():
    """The second track is seen from -0.5 s on, every fourth appears one second after time zero and stands last."""
    scene = make_scene(agents=4)
    seconds = (scene.times_us - scene.id.start_us) / 1e6
    first_s = [float(seconds[valid].min()) for valid in scene.tracks.valid]
    assert sorted(first_s) == [-2.0, -2.0, -0.5, 1.0]
    assert first_s[-1] == 1.0


def test_bare_scene_is_bare():
    """The emptiest scene holds the ego vehicle at time zero and nothing else."""
    scene = bare_scene()
    assert int(scene.ego.valid.sum()) == 1
    assert scene.goal is None
    assert not any(map(len, (scene.tracks.token, scene.static_objects.token, scene.lights.step, scene.route, scene.map.lanes)))


@pytest.mark.parametrize("lanes", [1, 3])
def test_lanes_lead_over_the_junction(lanes):
    """Each lane leads over its connector to the lane ahead, the rightmost also to the side; lines meet where lanes do."""
    table = make_map(lanes).lanes
    row_of = {int(identity): row for row, identity in enumerate(table.ids)}
    for index in range(lanes):
        ahead = [int(table.ids[row]) for row in table.successors.row(row_of[100 + index])]
        assert ahead == [400 + index, 410] if index == lanes - 1 else ahead == [400 + index]
    for row in range(len(table)):
        for end in table.successors.row(row):
            np.testing.assert_allclose(table.baselines.line(row)[-1], table.baselines.line(int(end))[0], atol=1e-9)
