import numpy as np
import pytest
import shapely

from pluto_augment.config import ContrastiveConfig
from pluto_augment.positives import perturbed, positive, remaining
from pluto_core.geometry import rotation
from pluto_planner.features.boxes import polygons

CONFIG = ContrastiveConfig()
PARITY = ContrastiveConfig(parity=True)


def states(sample, count=40, config=CONFIG):
    """Return the states that some seeds draw."""
    return [perturbed(sample, np.random.default_rng(seed), config) for seed in range(count)]


def test_states_stay_within_their_bounds(made):
    """Every change lies between low and high, velocities are not negative, and draws differ."""
    found = np.array(states(made.alone))
    change = found - made.alone["current_state"]
    assert (change >= np.float32(CONFIG.low)).all()
    assert (change <= np.float32(CONFIG.high)).all()
    assert len(np.unique(found[:, 0])) == len(found)
    stopped = made.alone | {"current_state": np.zeros(7, np.float32)}
    velocity = np.array(states(stopped))[:, 3]
    assert (velocity >= 0).all()
    assert (velocity == 0).any()


def near(sample, x, y):
    """Return the sample with its first agent at a place in the present step."""
    position = sample["agent/position"].copy()
    position[1, 20] = (x, y)
    return sample | {"agent/position": position}


def test_accepted_states_touch_nothing(made, world):
    """Beside a car, cones and all, no accepted ego box meets another box; some changes had to be halved."""
    sample = near(made.led, 1.5, 2.6)
    there = sample["agent/valid_mask"][1:, world.now]
    others = polygons(
        *(sample[f"agent/{name}"][1:, world.now][there].astype(float) for name in ("position", "heading", "shape"))
    )
    static = polygons(*(sample[f"static_objects/{name}"].astype(float) for name in ("position", "heading", "shape")))
    size = sample["agent/shape"][0, world.now].astype(float)
    halved = 0
    for seed, state in enumerate(states(sample)):
        assert state is not None
        full = np.random.default_rng(seed).uniform(CONFIG.low, CONFIG.high)
        halved += abs(state[1]) < 0.9 * abs(full[1])
        center = state[:2] + CONFIG.center_from_rear_axle_m * np.array([np.cos(state[2]), np.sin(state[2])])
        ego = polygons(center[None], state[2:3], size[None])[0]
        assert not shapely.intersects(ego, np.concatenate([others, static])).any()
    assert 0 < halved < 40


def test_where_all_collide(made):
    """Nothing is taken where every attempt collides; the reference takes the smallest change all the same (T-9)."""
    sample = near(made.led, 1.5, 0.0)
    assert states(sample, 3) == [None] * 3
    for seed, state in enumerate(states(sample, 3, PARITY)):
        noise = np.random.default_rng(seed).uniform(CONFIG.low, CONFIG.high).astype(np.float32)
        np.testing.assert_allclose(state, sample["current_state"] + noise / 16, atol=1e-6)


def test_the_expert_stays_where_it_is(made, world):
    """Expert, agents, map and origin of a positive, brought back through its pose, are those of the anchor."""
    config = ContrastiveConfig(agent_dropout=0.0)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        state = perturbed(made.led, np.random.default_rng(seed), config)
        found = positive(made.led, rng, config)
        back = rotation(-float(state[2]))

        def returned(points, back=back, state=state):
            return points.astype(float) @ back + state[:2]

        assert not found["current_state"][:3].any()
        np.testing.assert_allclose(found["current_state"][3:], state[3:], atol=1e-6)
        ahead = found["agent/valid_mask"][0, world.now + 1 :]
        for whole in (found["agent/target"][0, :, :2], found["agent/position"][0, world.now + 1 :]):
            expert = made.led["agent/position"][0, world.now + 1 :]
            np.testing.assert_allclose(returned(whole[ahead]), expert[ahead], atol=1e-5)
        np.testing.assert_allclose(returned(found["map/point_position"]), made.led["map/point_position"], atol=2e-5)
        there = found["agent/valid_mask"][1:]
        np.testing.assert_allclose(
            returned(found["agent/position"][1:][there]), made.led["agent/position"][1:][there], atol=2e-5
        )
        assert not found["agent/position"][1:][~there].any()
        np.testing.assert_allclose(found["agent/target"][1:, :, 2], made.led["agent/target"][1:, :, 2], atol=1e-5)
        origin = made.led["origin"] + state[:2] @ rotation(-float(made.led["angle"]))
        np.testing.assert_allclose(found["origin"], origin, atol=1e-9)
        np.testing.assert_allclose(found["angle"], made.led["angle"] + state[2], atol=1e-9)


def test_origin_stands_in_parity(made):
    """The reference leaves `origin` and `angle` as they are (T-10)."""
    found = positive(made.led, np.random.default_rng(0), PARITY)
    assert found["origin"] is made.led["origin"]
    assert found["angle"] is made.led["angle"]


def test_who_may_be_left_out(made):
    """The ego vehicle, leaders, and agents that the ego vehicle meets after them stay; the others go as often as drawn."""
    sample = made.led
    matters = sample["causal/leading_agent_mask"] | (sample["causal/interaction_label"] > 0)
    matters[0] = True
    assert not matters.all()
    found = [remaining(sample, np.random.default_rng(seed), CONFIG) for seed in range(60)]
    rows = np.array([mask for mask in found if mask is not None])
    assert 5 < len(rows) < 40
    assert rows[:, matters].all()
    assert not rows[:, ~matters].all(axis=0).any()
    always = ContrastiveConfig(agent_dropout=1.0, dropout_share=(1.0, 1.0))
    assert (remaining(sample, np.random.default_rng(0), always) == matters).all()
    assert remaining(sample, np.random.default_rng(0), ContrastiveConfig(agent_dropout=0.0)) is None


def test_dropped_agents_are_gone_from_every_array(made, spec):
    """All arrays that count agents count the same."""
    found = positive(made.led, np.random.default_rng(0), ContrastiveConfig(agent_dropout=1.0, dropout_share=(1.0, 1.0)))
    counts = {len(found[key]) for key, array in spec.items() if array.dims[:1] == ("agent",)}
    assert len(counts) == 1
    assert counts.pop() < len(made.led["agent/category"])


@pytest.mark.parametrize("missing", ["origin", "static_objects/position", "reference_line/position"])
def test_arrays_that_may_be_absent(made, missing):
    """A sample of other settings, without some arrays, is varied as well."""
    group = missing.split("/")[0]
    sample = {key: array for key, array in made.led.items() if not key.startswith(group)}
    assert positive(sample, np.random.default_rng(0), CONFIG) is not None
