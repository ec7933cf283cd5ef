import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluto_core.arrays import ArraySpec
from pluto_core.errors import PlutoError, SampleError
from pluto_core.pipeline.layout import Layout
from pluto_core.pipeline.ring import ALIGNMENT, Ring, aligned

SPEC = {
    "agent/position": ArraySpec(dims=("agent", 3, 2), dtype="float32", pad=0.0),
    "agent/category": ArraySpec(dims=("agent",), dtype="int8", pad=-1),
    "line/valid": ArraySpec(dims=("line", "point"), dtype="bool"),
    "origin": ArraySpec(dims=(3,), dtype="float64"),
    "speed": ArraySpec(dims=(), dtype="float32"),
    "causal": ArraySpec(dims=("event", 2), dtype="int32", batch=False),
    "map": ArraySpec(dims=(6, 6), dtype="float32", at_rest="float16"),
}


def sample(agents, lines=2, points=3, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "agent/position": rng.normal(size=(agents, 3, 2)).astype(np.float32),
        "agent/category": rng.integers(0, 5, agents).astype(np.int8),
        "line/valid": rng.random((lines, points)) < 0.5,
        "origin": rng.normal(size=3) * 1e6,
        "speed": np.asarray(rng.normal(), np.float32),
        "causal": np.zeros((4, 2), np.int32),
        "map": rng.normal(size=(6, 6)).astype(np.float16),
    }


def dirty(nbytes):
    buffer = aligned(nbytes)
    buffer.fill(0xA5)
    return buffer


def filled(layout, samples):
    return layout.fill(samples, dirty(layout.arrange(samples).nbytes))


def padded(arrays, pad, dtype):
    """Stack arrays the plain way: a full array of pad values, each sample in its corner."""
    shape = tuple(max(sizes) for sizes in zip(*(array.shape for array in arrays), strict=True))
    batch = np.full((len(arrays), *shape), pad, dtype)
    for number, array in enumerate(arrays):
        batch[(number, *(slice(0, size) for size in array.shape))] = array
    return batch


@given(sizes=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=6))
def test_batches_equal_plain_padding(sizes):
    """Every cell of a batch in a dirty buffer is what stacking into full arrays gives, also for sizes of 0."""
    samples = [sample(*free, seed=seed) for seed, free in enumerate(sizes)]
    batch = filled(Layout(SPEC), {"anchor": samples})
    assert batch.keys() == SPEC.keys() - {"causal"}
    for key in batch:
        expected = padded([row[key] for row in samples], SPEC[key].pad, SPEC[key].dtype)
        assert batch[key].dtype == SPEC[key].dtype
        np.testing.assert_array_equal(batch[key], expected, err_msg=key)


def test_arrays_are_aligned_and_do_not_overlap():
    """Every array begins at a multiple of 64 bytes, and none shares memory with another."""
    batch = filled(Layout(SPEC), {"anchor": [sample(3), sample(1)]})
    arrays = list(batch.values())
    assert all(array.ctypes.data % ALIGNMENT == 0 for array in arrays)
    for number, array in enumerate(arrays):
        assert not any(np.shares_memory(array, other) for other in arrays[number + 1 :])


def test_float64_stays_exact():
    """The origin comes through bit for bit."""
    samples = [sample(1, seed=seed) for seed in range(3)]
    batch = filled(Layout(SPEC), {"anchor": samples})
    np.testing.assert_array_equal(batch["origin"], np.stack([row["origin"] for row in samples]))


def test_roles_are_marked_and_the_anchor_stands_in():
    """Rows stand role by role; a variant that does not exist holds the anchor's arrays and is marked."""
    layout = Layout(SPEC, {"anchor": SPEC, "positive": SPEC, "negative": SPEC})
    anchors = [sample(2, seed=1), sample(3, seed=2)]
    batch = filled(layout, {"anchor": anchors, "positive": [sample(5, seed=3), None], "negative": [None, sample(1, seed=4)]})
    assert batch["role"].tolist() == [0, 0, 1, 1, 2, 2]
    assert batch["role"].dtype == np.int8
    assert batch["role_valid"].tolist() == [True, True, True, False, False, True]
    assert batch["agent/position"].shape == (6, 5, 3, 2)
    for variant, anchor in ((3, 1), (4, 0)):
        for key in SPEC.keys() - {"causal"}:
            np.testing.assert_array_equal(batch[key][variant], batch[key][anchor])


def test_a_smaller_role_crops_around_the_centre():
    """A fixed dim that the roles state smaller is cut equally on both sides; whole rows are cut as well."""
    smaller = SPEC | {"map": ArraySpec(dims=(4, 4), dtype="float32", at_rest="float16")}
    layout = Layout(SPEC, {"anchor": smaller, "positive": smaller})
    anchor, positive = sample(1, seed=1), sample(1, seed=2)
    positive["map"] = positive["map"][1:5, 1:5]
    batch = filled(layout, {"anchor": [anchor], "positive": [positive]})
    np.testing.assert_array_equal(batch["map"][0], anchor["map"][1:5, 1:5].astype(np.float32))
    np.testing.assert_array_equal(batch["map"][1], positive["map"].astype(np.float32))


def test_optional_arrays_may_lack():
    """A row without an optional array holds its pad value; an array that no row has is left out."""
    spec = SPEC | {"map": ArraySpec(dims=(6, 6), dtype="float32", optional=True, pad=7.0)}
    with_map, without = sample(1, seed=1), sample(1, seed=2)
    del without["map"]
    batch = filled(Layout(spec), {"anchor": [without, with_map]})
    assert (batch["map"][0] == 7.0).all()
    np.testing.assert_array_equal(batch["map"][1], with_map["map"].astype(np.float32))
    assert "map" not in filled(Layout(spec), {"anchor": [without]})


def test_an_array_of_one_role_only_is_padded_in_the_others():
    """Roles may differ in arrays; what a role does not have is padding there."""
    fewer = {key: array for key, array in SPEC.items() if key != "map"}
    variant = {key: array for key, array in sample(1, seed=2).items() if key != "map"}
    batch = filled(Layout(SPEC, {"anchor": SPEC, "negative": fewer}), {"anchor": [sample(1)], "negative": [variant]})
    assert batch["map"][0].any()
    assert not batch["map"][1].any()


@pytest.mark.parametrize(
    ("key", "array"),
    [("origin", np.zeros(4)), ("agent/position", np.zeros((2, 4, 2))), ("origin", np.zeros((3, 1))), ("map", None)],
)
def test_arrays_that_are_not_what_their_spec_says_are_named(key, array):
    """A wrong size, rank or a missing array is an error that names the key, never a broken batch."""
    wrong = sample(2)
    if array is None:
        del wrong[key]
    else:
        wrong[key] = array
    with pytest.raises(SampleError, match=key):
        Layout(SPEC).arrange({"anchor": [sample(1), wrong]})


def test_roles_that_contradict_each_other_are_refused():
    """One array cannot have two dtypes in one batch."""
    other = SPEC | {"speed": ArraySpec(dims=(), dtype="float64")}
    with pytest.raises(PlutoError, match="'speed' differently"):
        Layout(SPEC, {"anchor": SPEC, "positive": other})


def test_a_small_buffer_is_refused():
    """A buffer that cannot hold the batch is never written."""
    arrangement = Layout(SPEC).arrange({"anchor": [sample(2)]})
    buffer = dirty(arrangement.nbytes - 1)
    with pytest.raises(ValueError, match="buffer has"):
        arrangement.fill(buffer)
    assert (buffer == 0xA5).all()


def test_slots_take_turns_and_keep_their_memory():
    """After as many batches as there are slots the same memory comes again; larger batches grow it once."""
    ring = Ring(3)
    places = [ring.take(1000).ctypes.data for _ in range(9)]
    assert places[:3] * 3 == places
    held = ring.nbytes
    for _ in range(6):
        ring.take(1050)
    assert ring.nbytes == held
    ring.take(100_000)
    assert ring.nbytes > held
    assert all(ring.take(size).ctypes.data % ALIGNMENT == 0 for size in (1, 63, 5000))


@pytest.mark.parametrize("grown", [False, True])
def test_poison_finds_a_consumer_that_keeps_a_slot_too_long(grown):
    """In poison mode a slot that was handed out again reads as NaN, also where it was replaced by a larger one."""
    ring = Ring(2, poison=True)
    kept = ring.take(4096).view(np.float64)
    kept[:] = 1.0
    ring.take(4096)
    assert (kept == 1.0).all()
    ring.take(1_000_000 if grown else 4096)
    assert np.isnan(kept).all()
