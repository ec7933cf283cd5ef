import numpy as np
import pytest

from pluto_augment.agent_dropout import AgentDropout
from pluto_augment.config import AgentDropoutConfig
from pluto_core.arrays import ArraySpec
from pluto_core.errors import PlutoError


def drop(sample, seed=0, epoch=0, **settings):
    """Return the sample after the dropout."""
    return AgentDropout(AgentDropoutConfig(**settings)).augment(sample, np.random.default_rng(seed), epoch)["anchor"]


def test_all_but_the_ego_vehicle_go(made, spec):
    """At a rate of one nobody but the first row stays, in every array that counts agents; the others are not touched."""
    found = drop(made.led, probability=1.0, rate=1.0)
    for key, array in spec.items():
        if "agent" in array.free_dims:
            np.testing.assert_array_equal(found[key], made.led[key][:1])
        else:
            assert found[key] is made.led[key]


def test_rates(made):
    """Agents go as often as `rate` says, in as many samples as `probability` says."""
    counts = np.array([len(drop(made.led, seed, rate=0.25)["agent/category"]) for seed in range(400)]) - 1
    agents = len(made.led["agent/category"]) - 1
    assert agents - counts.mean() == pytest.approx(0.5 * 0.25 * agents, rel=0.3)
    ramped = {"probability": 0.0, "final_probability": 1.0, "ramp_epochs": 1, "rate": 1.0}
    assert [len(drop(made.led, 0, epoch, **ramped)["agent/category"]) for epoch in (0, 1)] == [agents + 1, 1]


def test_any_group():
    """Agents of another builder, under another name, without an ego vehicle."""
    sample = {"others/valid_mask": np.ones((4, 3), np.bool_), "others/speed": np.arange(4.0), "weather": np.zeros(2)}
    found = drop(sample, group="others", keep_first=0, probability=1.0, rate=1.0)
    assert {key: len(array) for key, array in found.items()} == {"others/valid_mask": 0, "others/speed": 0, "weather": 2}


def test_arrays_elsewhere_are_refused(spec):
    """An array that counts the same agents under another name would be out of step, and is refused by name."""
    tags = ArraySpec(dims=("agent", 3), dtype="float32")
    with pytest.raises(PlutoError, match="tags/by_agent"):
        AgentDropout(AgentDropoutConfig()).output_spec({**spec, "tags/by_agent": tags})
