import json

import numpy as np
import pytest

from pluto_core import arrays, samples
from pluto_core.arrays import ArrayClass, ArraySpec
from pluto_core.errors import PlutoError, Reason, SampleError

SPEC = {
    "agent/position": ArraySpec(dims=("agent", 3, 2), dtype="float32", unit="m", frame="ego"),
    "agent/valid": ArraySpec(dims=("agent", 3), dtype="bool"),
    "map": ArraySpec(dims=(4, 4), dtype="float16", array_class=ArrayClass.RASTER, batch=False),
    "extra": ArraySpec(dims=(), dtype="float64", at_rest="float32", optional=True),
}


def sample(agents: int = 2) -> dict[str, np.ndarray]:
    return {
        "agent/position": np.zeros((agents, 3, 2), np.float32),
        "agent/valid": np.ones((agents, 3), np.bool_),
        "map": np.zeros((4, 4), np.float16),
    }


@pytest.mark.parametrize("agents", [0, 1, 5])
def test_samples_that_fit_pass(agents: int) -> None:
    """Free sizes are free, zero included, and optional arrays may be missing."""
    samples.check(sample(agents), SPEC)
    samples.check(sample(agents) | {"extra": np.float64(1.0).reshape(())}, SPEC)


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({"agent/valid": np.ones((3, 3), np.bool_)}, Reason.SPEC_MISMATCH, "'agent/position' says 2"),
        ({"map": np.zeros((4, 5), np.float16)}, Reason.SPEC_MISMATCH, "5 on axis 1"),
        ({"map": np.zeros(4, np.float16)}, Reason.SPEC_MISMATCH, "4 x 4"),
        ({"map": np.zeros((4, 4), np.float32)}, Reason.SPEC_MISMATCH, "float32"),
        ({"map": np.full((4, 4), np.inf, np.float16)}, Reason.NOT_FINITE, "16 numbers"),
        ({"other": np.zeros(1)}, Reason.SPEC_MISMATCH, "other"),
    ],
)
def test_samples_that_do_not_fit_are_named(change: dict[str, np.ndarray], reason: Reason, words: str) -> None:
    """The error says which array is wrong and what was found."""
    with pytest.raises(SampleError, match=words) as caught:
        samples.check(sample() | change, SPEC)
    assert caught.value.reason is reason


def test_missing_array_is_named() -> None:
    """A sample without an array of its spec is refused."""
    incomplete = sample()
    del incomplete["map"]
    with pytest.raises(SampleError, match="'map' is missing"):
        samples.check(incomplete, SPEC)


def test_specs_survive_json() -> None:
    """What a manifest stores gives the same specs again."""
    assert arrays.from_plain(json.loads(json.dumps(arrays.to_plain(SPEC)))) == SPEC


def test_two_builders_with_one_key_are_named() -> None:
    """A key that two builders give is an error that names both."""
    with pytest.raises(PlutoError, match="'first' and 'second' both give the array 'map'"):
        arrays.join([("first", SPEC), ("second", {"map": SPEC["map"]})])


def test_unknown_dtype_is_refused() -> None:
    """A spec takes numeric dtypes by their names only."""
    with pytest.raises(PlutoError, match="object"):
        ArraySpec(dims=(), dtype="object")


def test_nested_keys_become_a_tree() -> None:
    """Keys with slashes become nested tables."""
    assert samples.nested({"a/b": 1, "a/c/d": 2, "e": 3}) == {"a": {"b": 1, "c": {"d": 2}}, "e": 3}
