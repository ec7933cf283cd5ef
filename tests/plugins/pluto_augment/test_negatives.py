import numpy as np
import pytest
import shapely

from pluto_augment.config import GENERATORS, ContrastiveConfig
from pluto_augment.insertion import with_leader
from pluto_augment.negatives import CHANGES, available, negative
from pluto_core.samples import check
from pluto_planner.features.boxes import polygons

CONFIG = ContrastiveConfig()
PARITY = ContrastiveConfig(parity=True)


def rng(seed=0):
    """Return a generator."""
    return np.random.default_rng(seed)


def test_which_generators_apply(made):
    """Each where it has something to change, and none where nothing has."""
    assert available(made.led, CONFIG) == ["interacting_agent_dropout"]
    assert available(made.waits, CONFIG) == ["traffic_light_inversion"]
    assert available(made.free, CONFIG) == ["leading_agent_insertion"]
    assert available(made.alone, CONFIG) == []
    assert negative(made.alone, rng(), CONFIG) is None


def test_a_wait_without_a_known_light_is_no_wait(made):
    """Where the light's lane is not among the polygons nothing can be inverted; the reference calls that a negative."""
    sample = made.waits | {"causal/ego_care_red_light_mask": np.zeros_like(made.waits["causal/ego_care_red_light_mask"])}
    assert available(sample, CONFIG) == []
    assert available(sample, PARITY) == ["traffic_light_inversion"]


@pytest.mark.parametrize("one", GENERATORS)
def test_generators_can_be_left_out(made, one):
    """Only those that the settings name are used."""
    only = ContrastiveConfig(negatives=(one,))
    applies = {name for sample in made.all for name in available(sample, only)}
    assert applies == {one}


def test_all_that_apply_are_drawn(made):
    """Where two apply, both are drawn."""
    sample = made.waits | {"causal/free_path_points": made.free["causal/free_path_points"]}
    counts = {len(negative(sample, rng(seed), CONFIG)["agent/category"]) for seed in range(20)}
    assert counts == {len(sample["agent/category"]), len(sample["agent/category"]) + 1}


def test_lights_flip(made):
    """Obeyed red lights become green or unknown, other polygons keep theirs."""
    cared = made.waits["causal/ego_care_red_light_mask"]
    statuses = set()
    for seed in range(20):
        found = negative(made.waits, rng(seed), CONFIG)
        status = found["map/polygon_tl_status"]
        assert (status[~cared] == made.waits["map/polygon_tl_status"][~cared]).all()
        statuses |= set(status[cared].tolist())
        assert status.dtype == np.int8
    assert statuses == {0, 3}


def test_who_interacts_is_gone(made):
    """Leaders and agents met within the horizon are left out, all others stay, with their arrays."""
    sample = made.led
    found = negative(sample, rng(), CONFIG)
    label = sample["causal/interaction_label"]
    gone = sample["causal/leading_agent_mask"] | ((label > 0) & (label < 40))
    assert gone.any()
    np.testing.assert_array_equal(found["agent/position"], sample["agent/position"][~gone])
    np.testing.assert_array_equal(found["causal/interaction_label"], label[~gone])
    near = ContrastiveConfig(max_interaction_horizon=0)
    np.testing.assert_array_equal(
        CHANGES["interacting_agent_dropout"](sample, rng(), near)["agent/category"],
        sample["agent/category"][~sample["causal/leading_agent_mask"]],
    )


@pytest.mark.parametrize("config", [CONFIG, PARITY], ids=["fixed", "parity"])
def test_an_inserted_leader_stands_on_the_expert_path(made, spec, world, config):
    """It is the last agent, a vehicle, at a free point with that heading, slower than the ego, and in the expert's way."""
    for seed in range(20):
        found = with_leader(made.free, rng(seed), config)
        check(found, spec)
        place, heading = found["agent/position"][-1, world.now], found["agent/heading"][-1, world.now]
        poses = made.free["causal/free_path_points"]
        at = int(np.argmin(np.hypot(*(poses[:, :2] - place).T)))
        np.testing.assert_allclose([*place, heading], poses[at], atol=1e-5)
        box = polygons(*(np.asarray(one, float)[None] for one in (place, heading, found["agent/shape"][-1, world.now])))[0]
        way = shapely.linestrings(made.free["agent/position"][0, world.now :].astype(float))
        assert box.intersects(way)
        speed = np.hypot(*found["agent/velocity"][:, world.now].T)
        assert speed[-1] <= 0.8 * speed[0] + 1e-5
        assert found["causal/leading_agent_mask"][-1]
        for key in ("agent/position", "agent/category"):
            np.testing.assert_array_equal(found[key][:-1], made.free[key])


def test_an_inserted_leader_moves_as_it_says(made, world):
    """Its target is its own motion, its invalid steps are zero, its size is the same in every step; not so in parity."""
    found = with_leader(made.free, rng(1), CONFIG)
    valid = found["agent/valid_mask"][-1]
    moved = found["agent/position"][-1, world.now + 1 :] - found["agent/position"][-1, world.now]
    ahead = valid[world.now + 1 :]
    np.testing.assert_allclose(found["agent/target"][-1, ahead, :2], moved[ahead], atol=1e-4)
    assert len(np.unique(found["agent/shape"][-1][valid], axis=0)) == 1
    jittering = with_leader(made.free, rng(1), PARITY)["agent/shape"][-1]
    assert len(np.unique(jittering, axis=0)) > 10


def test_an_inserted_leader_touches_nobody(made, world):
    """A long copy is put where it fits, before the ego vehicle's front; where it fits nowhere there is no such negative."""
    shape = made.free["agent/shape"].copy()
    shape[:] = (2.5, 20.0)
    long = made.free | {"agent/shape": shape}
    found = [with_leader(long, rng(seed), CONFIG) for seed in range(10)]
    placed = [one for one in found if one is not None]
    for one in placed:
        boxes = polygons(*(one[f"agent/{name}"][:, world.now].astype(float) for name in ("position", "heading", "shape")))
        assert not shapely.intersects(boxes[-1], boxes[1:-1]).any()
        assert one["agent/position"][-1, world.now, 0] - 10.0 > 1.461 + 10.0 - 0.2
    shape[:] = (2.5, 60.0)
    longest = made.free | {"agent/shape": shape}
    assert with_leader(longest, rng(), CONFIG) is None
    assert negative(longest, rng(), CONFIG) is None
    assert with_leader(longest, rng(), PARITY) is not None


def test_an_ego_of_its_own_speed_is_copied(made, world):
    """Where no agent is as fast, the ego vehicle is copied, as a vehicle; at no speed it stands."""
    velocity = np.zeros_like(made.free["agent/velocity"])
    velocity[0] = made.free["agent/velocity"][0]
    sample = made.free | {"agent/velocity": velocity}
    found = with_leader(sample, rng(), ContrastiveConfig(speed_share=(0.5, 0.5), size_factor=(1.0, 1.0)))
    assert found["agent/category"][-1] == 1
    np.testing.assert_allclose(found["agent/shape"][-1], sample["agent/shape"][0])
    there = sample["agent/valid_mask"][0]
    ego, copy = (np.hypot(*np.diff(one[there], axis=0).T) for one in (sample["agent/position"][0], found["agent/position"][-1]))
    np.testing.assert_allclose(copy, 0.5 * ego, atol=1e-3)
    still = with_leader(sample, rng(), ContrastiveConfig(speed_share=(0.0, 0.0)))
    assert np.ptp(still["agent/position"][-1][there], axis=0).max() < 1e-5
    assert not still["agent/target"][-1].any()
