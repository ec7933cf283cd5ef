import attrs
import numpy as np
import pytest

from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.maps import AREA_LAYERS, Blocks, Lanes, MapView, Polygons, Polylines, Ragged, empty_areas
from pluto_core.scene import (
    Ego,
    Lights,
    ScenarioId,
    Scene,
    StaticObjects,
    Window,
    as_tokens,
    empty_tracks,
)


def empty_map() -> MapView:
    nothing = Ragged(np.zeros(1, np.int64), np.zeros(0, np.int64))
    lines, polygons, numbers = Polylines.from_lines([]), Polygons.from_rings([]), np.zeros(0, np.int64)
    lanes = Lanes(
        ids=numbers, lane_count=0, polygons=polygons, baselines=lines, left=lines, right=lines, reach=lines,
        speed_limit_mps=np.zeros(0), has_speed_limit=np.zeros(0, np.bool_), has_lights=np.zeros(0, np.bool_),
        lane_index=numbers, block=numbers, successors=nothing, predecessors=nothing, stop_polygons=nothing,
    )  # fmt: skip
    blocks = Blocks(
        ids=numbers,
        block_count=0,
        polygons=polygons,
        successors=nothing,
        predecessors=nothing,
        interior=nothing,
        intersection=numbers,
    )
    return MapView(name="empty", lanes=lanes, blocks=blocks, areas={layer: empty_areas() for layer in AREA_LAYERS})


def scene_of(window: Window) -> Scene:
    """Return a scene whose every number says at which step it stands."""
    steps = np.arange(window.steps, dtype=np.float64)
    pairs = np.stack([steps, steps], axis=-1)
    known = np.ones(window.steps, np.bool_)
    valid = np.zeros((2, window.steps), np.bool_)
    valid[0], valid[1, 0] = True, True
    tracks = attrs.evolve(
        empty_tracks(window.steps),
        token=as_tokens(["always", "once"]),
        category=np.zeros(2, np.int8),
        position=np.stack([pairs, pairs]),
        heading=np.stack([steps, steps]),
        velocity=np.stack([pairs, pairs]),
        size=np.ones((2, window.steps, 2)),
        valid=valid,
    )
    return Scene(
        id=ScenarioId("log", "token", 1_000_000),
        window=window,
        times_us=np.arange(window.steps, dtype=np.int64),
        ego=Ego(
            position=pairs,
            heading=steps,
            velocity=pairs,
            acceleration=pairs,
            steering_angle=steps,
            yaw_rate=steps,
            valid=known,
            acceleration_valid=known,
            steering_valid=known,
        ),
        tracks=tracks,
        static_objects=StaticObjects(
            token=as_tokens([]),
            category=np.zeros(0, np.int8),
            position=np.zeros((0, 2)),
            heading=np.zeros(0),
            size=np.zeros((0, 2)),
        ),
        lights=Lights(
            step=np.arange(window.steps), connector_id=np.arange(window.steps), status=np.zeros(window.steps, np.int8)
        ),
        route=np.zeros(0, np.int64),
        goal=None,
        map=empty_map(),
    )


WIDE = Window(history_s=2.0, future_s=8.0, interval_s=0.1)


def test_narrowing_keeps_what_the_window_asks_for() -> None:
    """A narrower, coarser window takes every second step around the same present, of every array."""
    scene = scene_of(WIDE)
    narrow = scene.narrow(Window(history_s=1.0, future_s=2.0, interval_s=0.2))
    narrow.check()
    wanted = np.arange(10, 41, 2)
    assert narrow.present == 5
    np.testing.assert_array_equal(narrow.ego.heading, wanted)
    np.testing.assert_array_equal(narrow.tracks.heading[0], wanted)
    np.testing.assert_array_equal(narrow.times_us, wanted)
    for step, before in enumerate(wanted):
        np.testing.assert_array_equal(narrow.lights.at(step)[0], scene.lights.at(before)[0])


def test_narrowing_twice_is_narrowing_once() -> None:
    """What a builder gets does not depend on what other builders asked for."""
    small = Window(history_s=0.4, future_s=1.2, interval_s=0.4)
    direct = scene_of(WIDE).narrow(small)
    indirect = scene_of(WIDE).narrow(Window(history_s=1.0, future_s=2.0, interval_s=0.2)).narrow(small)
    np.testing.assert_array_equal(direct.ego.position, indirect.ego.position)
    np.testing.assert_array_equal(direct.lights.connector_id, indirect.lights.connector_id)
    assert direct.tracks.token.tolist() == indirect.tracks.token.tolist()


def test_tracks_never_seen_in_a_window_are_left_out() -> None:
    """A track that only the wider window saw does not reach the builder."""
    assert scene_of(WIDE).tracks.token.tolist() == [b"always", b"once"]
    assert scene_of(WIDE).narrow(Window(history_s=1.0)).tracks.token.tolist() == [b"always"]


def test_union_of_windows_holds_each_of_them() -> None:
    """The union is the smallest window on whose grid all lie; where there is none it says so."""
    parts = [Window(history_s=2.0), Window(future_s=8.0, interval_s=0.5)]
    union = Window.union(parts)
    assert union == Window(history_s=2.0, future_s=8.0, interval_s=0.1)
    assert [part.stride_in(union) for part in parts] == [1, 5]
    with pytest.raises(PlutoError, match="grid"):
        Window.union([Window(history_s=1.0, interval_s=0.2), Window(history_s=1.0, interval_s=0.5)])


@pytest.mark.parametrize("log", ["log", "a/b", "2021.05.12.22.00.38_veh-35_01008_01518"])
def test_scenario_keys_come_back_as_ids(log: str) -> None:
    """A key names its id, whatever the log is called."""
    one = ScenarioId(log, "00aa11bb22cc33dd", 1_620_000_009_000_223)
    assert ScenarioId.from_key(one.key) == one


@pytest.mark.parametrize("text", ["", "log", "log/token", "log/token@x", "token@5"])
def test_text_that_is_no_key_is_refused(text: str) -> None:
    """A key that cannot be read is named."""
    with pytest.raises(PlutoError, match="no scenario key"):
        ScenarioId.from_key(text)


def test_check_finds_what_is_wrong() -> None:
    """Wrong shapes, numbers that are none, and a missing present frame each have their reason."""
    scene = scene_of(WIDE)
    missing = attrs.evolve(scene, ego=attrs.evolve(scene.ego, valid=np.zeros(WIDE.steps, np.bool_)))
    short = attrs.evolve(scene, times_us=scene.times_us[1:])
    broken = attrs.evolve(scene, ego=attrs.evolve(scene.ego, heading=np.full(WIDE.steps, np.nan)))
    narrow = attrs.evolve(scene, tracks=attrs.evolve(scene.tracks, position=scene.tracks.position.astype(np.float32)))
    codes = attrs.evolve(scene, lights=attrs.evolve(scene.lights, status=scene.lights.status.astype(np.int64)))
    lost = attrs.evolve(scene, static_objects=attrs.evolve(scene.static_objects, heading=np.zeros(1)))
    goal = attrs.evolve(scene, goal=np.zeros(2))
    cases = [(one, Reason.SPEC_MISMATCH) for one in (narrow, codes, lost, goal)]
    for wrong, reason in (
        *cases,
        (missing, Reason.PRESENT_MISSING),
        (short, Reason.SPEC_MISMATCH),
        (broken, Reason.BROKEN_ROWS),
    ):
        with pytest.raises(SampleError) as caught:
            wrong.check()
        assert caught.value.reason is reason


def test_center_lies_ahead_of_the_rear_axle() -> None:
    """The geometric centre of nuPlan's car is 1.461 m ahead of its rear axle."""
    ego = scene_of(WIDE).ego
    ahead = np.hypot(*(ego.center() - ego.position).T)
    np.testing.assert_allclose(ahead, 1.461, atol=1e-9)
