import math

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluto_basics import schema
from pluto_basics.config import EgoHistoryConfig
from pluto_basics.ego_history import make
from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_core.samples import check
from pluto_core.scene import Window
from pluto_core.testing import make_scene

CONFIG = EgoHistoryConfig(history_s=2.0, interval_s=0.5)
WINDOW = Window(history_s=2.0, future_s=0.0, interval_s=0.5)


def moved(scene, x, y, turn):
    """Return a scene whose ego drove the same way somewhere else, in another direction."""
    ego = scene.ego
    cosine, sine = math.cos(turn), math.sin(turn)
    position = ego.position @ np.array([[cosine, sine], [-sine, cosine]]) + [x, y]
    heading = (ego.heading + turn + math.pi) % (2 * math.pi) - math.pi
    return attrs.evolve(scene, ego=attrs.evolve(ego, position=position, heading=heading))


def test_the_history_of_a_circle_has_a_closed_form():
    """On a circle of radius 10 m the past lies on that circle, seen from the present pose."""
    scene = make_scene(window=WINDOW)
    angle = 0.1 * np.arange(-4, 1)
    ego = attrs.evolve(
        scene.ego,
        position=np.column_stack([10 * np.sin(angle), 10 - 10 * np.cos(angle)]),
        heading=angle,
        velocity=np.tile([2.0, 0.1], (5, 1)),
        acceleration=np.tile([-0.5, 0.4], (5, 1)),
        valid=np.ones(5, bool),
        acceleration_valid=np.ones(5, bool),
    )
    builder = make(CONFIG, Context())
    sample = builder.build(moved(attrs.evolve(scene, ego=ego), 3e5, -4e6, 2.0))
    check(sample, builder.spec)
    expected = np.column_stack([10 * np.sin(angle), 10 - 10 * np.cos(angle)])
    np.testing.assert_allclose(sample["ego_history/position"], expected, atol=1e-5)
    np.testing.assert_allclose(sample["ego_history/heading"], angle, atol=1e-6)
    np.testing.assert_allclose(sample["ego_history/velocity"], np.tile([2.0, 0.1], (5, 1)), rtol=1e-6)
    np.testing.assert_allclose(sample["ego_history/acceleration"], np.tile([-0.5, 0.4], (5, 1)), rtol=1e-6)


@given(x=st.floats(-1e6, 1e6), y=st.floats(-1e6, 1e6), turn=st.floats(-3.1, 3.1), seed=st.integers(0, 5))
def test_the_history_does_not_depend_on_where_it_was_driven(x, y, turn, seed):
    """The same way elsewhere, in any direction, gives the same arrays; the present pose is the origin."""
    builder = make(CONFIG, Context())
    scene = make_scene(window=WINDOW, seed=seed)
    here, there = builder.build(scene), builder.build(moved(scene, x, y, turn))
    assert not here["ego_history/position"][-1].any()
    assert here["ego_history/heading"][-1] == 0
    for key in here:
        np.testing.assert_allclose(there[key], here[key], atol=2e-5, err_msg=key)


def test_what_was_not_recorded_is_masked_and_zero():
    """A log that begins late, and a step in between, are zeros with valid False; an unknown acceleration is 0."""
    scene = make_scene(window=WINDOW)
    valid = np.array([False, True, False, True, True])
    known = np.array([True, False, True, True, False])
    ego = attrs.evolve(scene.ego, valid=valid, acceleration_valid=known, acceleration=np.ones((5, 2)))
    builder = make(CONFIG, Context())
    sample = builder.build(attrs.evolve(scene, ego=ego))
    check(sample, builder.spec)
    assert sample["ego_history/valid"].tolist() == valid.tolist()
    for name in ("position", "heading", "velocity"):
        assert not sample[f"ego_history/{name}"][~valid].any()
    assert sample["ego_history/acceleration"][:, 0].tolist() == [0, 0, 0, 1, 0]


def test_the_builder_changes_no_scene():
    """The scene's arrays are as they were."""
    scene = make_scene(window=WINDOW)
    before = attrs.asdict(scene.ego, recurse=False)
    before = {name: np.copy(value) for name, value in before.items() if isinstance(value, np.ndarray)}
    sample = make(CONFIG, Context()).build(scene)
    sample["ego_history/valid"][:] = False
    sample["ego_history/velocity"][:] = 7.0
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(scene.ego, name), value)


def test_the_spec_counts_the_states():
    """Two seconds at a tenth make 21 states with the present one; no history makes one."""
    assert schema.ego_history(EgoHistoryConfig())["ego_history/position"].dims == (21, 2)
    assert EgoHistoryConfig(history_s=0.7).steps == 8
    assert EgoHistoryConfig(history_s=0.0).steps == 1
    with pytest.raises(PlutoError, match="no multiple of interval_s"):
        EgoHistoryConfig(history_s=0.25)
