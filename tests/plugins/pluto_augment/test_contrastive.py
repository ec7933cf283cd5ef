import attrs
import numpy as np
import pytest

from pluto_augment.agent_dropout import AgentDropout
from pluto_augment.config import AgentDropoutConfig, ContrastiveConfig, EgoNoiseConfig
from pluto_augment.contrastive import Contrastive
from pluto_augment.ego_noise import EgoNoise
from pluto_core.arrays import ArraySpec
from pluto_core.errors import PlutoError
from pluto_core.pipeline.augmenting import chain
from pluto_core.pipeline.layout import Layout
from pluto_core.pipeline.randomness import generator
from pluto_core.samples import check
from pluto_core.testing.equality import assert_same, freeze

NO_NOISE = dict.fromkeys(("low", "high"), (0.0,) * 7)


def augment(sample, seed=0, epoch=0, **settings):
    """Return the roles of a sample."""
    return Contrastive(ContrastiveConfig(**settings)).augment(sample, generator(seed, "test"), epoch)


def test_the_anchor_is_the_sample_with_a_cropped_cost_map(made):
    """Every array of the anchor is the input's own, the cost map a view of its middle; nothing is copied."""
    anchor = augment(made.led)["anchor"]
    assert all(anchor[key] is made.led[key] for key in made.led.keys() - {"cost_maps"})
    assert anchor["cost_maps"].shape == (500, 500, 1)
    assert np.shares_memory(anchor["cost_maps"], made.led["cost_maps"])
    assert_same(anchor["cost_maps"], made.led["cost_maps"][50:550, 50:550])


def test_copies_share_what_does_not_change(made):
    """Arrays that no generator touches are the sample's own in every role."""
    roles = augment(made.led, agent_dropout=0.0)
    for key in ("map/polygon_type", "map/polygon_tl_status", "agent/valid_mask", "causal/interaction_label"):
        assert roles["positive"][key] is made.led[key]
    assert roles["negative"]["map/point_position"] is made.led["map/point_position"]


def test_probability_and_its_ramp(made):
    """Copies are made as often as the epoch says; the anchor is always there, cropped."""
    settings = {"probability": 0.0, "final_probability": 1.0, "ramp_epochs": 10}
    shares = []
    for epoch in (0, 5, 10, 30):
        roles = [augment(made.led, seed, epoch, **settings) for seed in range(60)]
        assert all(one["anchor"]["cost_maps"].shape[0] == 500 for one in roles)
        assert all((one["positive"] is None) == (one["negative"] is None) for one in roles)
        shares.append(np.mean([one["positive"] is not None for one in roles]))
    assert shares[0] == 0.0
    assert 0.3 < shares[1] < 0.7
    assert shares[2:] == [1.0, 1.0]


def test_nothing_to_vary_is_said(made):
    """No agents, no lights: no negative. No noise and nobody to leave out: no positive."""
    assert augment(made.alone)["negative"] is None
    assert augment(made.alone)["positive"] is not None
    crowded = made.led | {"agent/position": made.led["agent/position"].copy()}
    crowded["agent/position"][1, 20] = (1.5, 0.2)  # a car on top of the ego vehicle: whatever is tried collides
    roles = augment(crowded, agent_dropout=0.0)
    assert roles["positive"] is None
    assert augment(crowded, agent_dropout=0.0, parity=True)["positive"] is not None


def test_a_batch_marks_what_was_not_varied(made, spec):
    """Rows whose copy is missing hold the anchor and say so."""
    augmentation = Contrastive(ContrastiveConfig())
    varied = [augmentation.augment(sample, generator(1, number), 0) for number, sample in enumerate((made.led, made.alone))]
    layout = Layout(spec, augmentation.output_spec(spec))
    arranged = layout.arrange({role: [one[role] for one in varied] for role in augmentation.roles})
    batch = arranged.fill(np.zeros(arranged.nbytes, np.uint8))
    assert batch["role"].tolist() == [0, 0, 1, 1, 2, 2]
    assert batch["role_valid"].tolist() == [True, True, True, True, True, False]
    assert_same(batch["agent/position"][5], batch["agent/position"][1])


def test_epochs_and_samples_differ_and_repeat(made):
    """The generator of (seed, epoch, sample) decides alone."""
    first, again, other = (augment(made.led, seed) for seed in (3, 3, 4))
    assert_same(first, again)
    assert not np.array_equal(first["positive"]["current_state"], other["positive"]["current_state"])


def test_input_is_left_alone_in_parity_too(made):
    """Read-only arrays, as a cache gives them, are enough, and stay as they are."""
    for sample in made.all:
        given = freeze(sample)
        augment(given, parity=True)
        assert_same(given, dict(sample))


@pytest.mark.parametrize("parity", [False, True])
def test_no_noise_gives_the_anchor(made, parity):
    """Without noise and dropout the positive is the anchor, but for rounding."""
    roles = augment(made.led, agent_dropout=0.0, parity=parity, **NO_NOISE)
    assert roles["positive"].keys() == roles["anchor"].keys()
    for key, array in roles["anchor"].items():
        tolerance = 2e-3 if key == "cost_maps" else 1e-6
        np.testing.assert_allclose(roles["positive"][key], array, rtol=tolerance, atol=tolerance, err_msg=key)


def test_several_in_order(made, spec):
    """Dropout and noise vary what the contrastive copies are then made of; all of it stands in one batch."""
    before = [AgentDropout(AgentDropoutConfig(probability=1.0)), EgoNoise(EgoNoiseConfig(probability=1.0))]
    whole = chain([*before, Contrastive(ContrastiveConfig())], spec)
    assert tuple(whole.specs) == ("anchor", "positive", "negative")
    roles = whole.apply(made.led, lambda name: generator(0, name), 0)
    assert len(roles["anchor"]["agent/category"]) < len(made.led["agent/category"])
    assert not np.array_equal(roles["anchor"]["origin"], made.led["origin"])
    for role, sample in roles.items():
        if sample is not None:
            check(sample, whole.specs[role])


def test_specs_that_do_not_fit(spec):
    """Another number of past steps, or an unknown array in the ego frame, is refused by name."""
    with pytest.raises(PlutoError, match="history_steps = 21"):
        Contrastive(ContrastiveConfig(history_steps=11)).output_spec(spec)
    unknown = {"radar/echo": ArraySpec(dims=("echo", 2), dtype="float32", frame="ego")}
    with pytest.raises(PlutoError, match="radar/echo"):
        Contrastive(ContrastiveConfig()).output_spec({**spec, **unknown})


def test_small_and_absent_cost_maps(spec):
    """A map smaller than the crop stays whole; one that nobody gives is not asked for."""
    small = {**spec, "cost_maps": attrs.evolve(spec["cost_maps"], dims=(300, 300, 1))}
    assert Contrastive(ContrastiveConfig()).output_spec(small)["positive"]["cost_maps"].dims == (300, 300, 1)
    without = {key: array for key, array in spec.items() if key != "cost_maps"}
    assert Contrastive(ContrastiveConfig()).output_spec(without)["negative"].keys() == without.keys()


def test_bounds_in_the_wrong_order():
    """Bounds that cross are refused."""
    with pytest.raises(ValueError, match="low exceeds high"):
        ContrastiveConfig(low=(2.0, 0, 0, 0, 0, 0, 0))
    with pytest.raises(ValueError, match="speed_share"):
        ContrastiveConfig(speed_share=(1.0, 0.5))
