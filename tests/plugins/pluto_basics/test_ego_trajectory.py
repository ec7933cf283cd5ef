import math

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluto_basics import schema
from pluto_basics.config import EgoTrajectoryConfig
from pluto_basics.ego_trajectory import make
from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_core.samples import check
from pluto_core.scene import Ego, Lights, ScenarioId, Scene, StaticObjects, Window, empty_tracks
from pluto_core.sketch import Role

CONFIG = EgoTrajectoryConfig(horizon_s=2.0, interval_s=0.5)


def scene(ego, window):
    steps = window.steps
    return Scene(
        id=ScenarioId("log", "00", 0),
        window=window,
        times_us=np.arange(steps) * 500_000,
        ego=ego,
        tracks=empty_tracks(steps),
        static_objects=StaticObjects(
            token=np.zeros(0, "S1"),
            category=np.zeros(0, np.int8),
            position=np.zeros((0, 2)),
            heading=np.zeros(0),
            size=np.zeros((0, 2)),
        ),
        lights=Lights(step=np.zeros(0, np.int64), connector_id=np.zeros(0, np.int64), status=np.zeros(0, np.int8)),
        route=np.zeros(0, np.int64),
        goal=None,
        map=None,
    )


def circle(steps, *, start=(0.0, 0.0), heading=0.0, radius=10.0, turn=0.1):
    """Return a car on a circle to the left: exact poses in closed form."""
    angle = turn * np.arange(steps)
    center = np.asarray(start) + radius * np.array([-math.sin(heading), math.cos(heading)])
    headings = heading + angle
    position = center + radius * np.column_stack([np.sin(headings), -np.cos(headings)])
    return Ego(
        position=position,
        heading=(headings + math.pi) % (2 * math.pi) - math.pi,
        velocity=np.tile([3.0, 0.5], (steps, 1)),
        acceleration=np.tile([-1.0, 0.2], (steps, 1)),
        steering_angle=np.zeros(steps),
        yaw_rate=np.zeros(steps),
        valid=np.ones(steps, bool),
        acceleration_valid=np.ones(steps, bool),
        steering_valid=np.zeros(steps, bool),
    )


@given(x=st.floats(-1e6, 1e6), y=st.floats(-1e6, 1e6), heading=st.floats(-3.1, 3.1), turn=st.floats(-0.7, 0.7))
def test_the_way_does_not_depend_on_where_it_was_driven(x, y, heading, turn):
    """Poses are those of the closed form at the origin, wherever and in whichever direction the car began."""
    builder = make(CONFIG, Context())
    sample = builder.build(scene(circle(5, start=(x, y), heading=heading, turn=turn), builder.window))
    angle = turn * np.arange(1, 5)
    expected = np.column_stack([10 * np.sin(angle), 10 * (1 - np.cos(angle)), angle])
    np.testing.assert_allclose(sample["truth/trajectory"], expected, atol=2e-6 + 1e-15 * 1e6 * 10)
    check(sample, builder.spec)


def test_speed_and_acceleration_are_longitudinal_at_time_zero():
    """The baselines' inputs are the forward components of the present step."""
    builder = make(CONFIG, Context())
    sample = builder.build(scene(circle(5), builder.window))
    assert sample["truth/speed"] == np.float32(3.0)
    assert sample["truth/acceleration"] == np.float32(-1.0)


def test_what_is_unknown_is_masked_and_zero():
    """Steps that were not recorded are zeros with valid False; an unknown acceleration is 0."""
    builder = make(CONFIG, Context())
    ego = circle(5)
    valid = np.array([True, True, False, True, False])
    ego = attrs.evolve(ego, valid=valid, acceleration_valid=np.zeros(5, bool))
    sample = builder.build(scene(ego, builder.window))
    assert sample["truth/valid"].tolist() == [True, False, True, False]
    assert not sample["truth/trajectory"][[1, 3]].any()
    assert sample["truth/trajectory"][[0, 2]].any(axis=1).all()
    assert sample["truth/acceleration"] == 0
    check(sample, builder.spec)


def test_a_wider_scene_gives_the_same_target():
    """What other builders ask for changes nothing once the scene is narrowed to the target's window."""
    builder = make(CONFIG, Context())
    wide = Window(history_s=1.0, future_s=3.0, interval_s=0.5)
    whole = scene(circle(wide.steps), wide)
    sample = builder.build(whole.narrow(builder.window))
    direct = builder.build(scene(circle(5), builder.window))
    np.testing.assert_allclose(sample["truth/trajectory"], direct["truth/trajectory"], atol=1e-6)


def test_the_spec_counts_the_poses():
    """Eight seconds at a tenth make 80 poses by default, also where decimal fractions round."""
    assert schema.ego_trajectory(EgoTrajectoryConfig())["truth/trajectory"].dims == (80, 3)
    assert EgoTrajectoryConfig(horizon_s=0.7, interval_s=0.1).steps == 7


@pytest.mark.parametrize("horizon_s", [0.25, 0.04])
def test_a_horizon_between_two_poses_is_refused(horizon_s):
    """The horizon must be a whole number of intervals, at least one."""
    with pytest.raises(PlutoError, match="no multiple of interval_s"):
        EgoTrajectoryConfig(horizon_s=horizon_s, interval_s=0.1)


def test_the_sketch_draws_the_known_poses():
    """A drawing begins at the origin and leaves unknown poses out."""
    builder = make(CONFIG, Context())
    ego = attrs.evolve(circle(5), valid=np.array([True, True, False, True, True]))
    (line,) = builder.sketch(builder.build(scene(ego, builder.window))).lines
    assert line.role is Role.FUTURE
    assert len(line.points) == 4
    assert not line.points[0].any()
