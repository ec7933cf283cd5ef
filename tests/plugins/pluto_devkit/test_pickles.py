import contextlib
import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pluto_core.errors import SampleError
from pluto_core.testing.equality import assert_same
from pluto_devkit import pickles
from pluto_devkit.pickles import RefusedPickleError, allowed_classes, read_pickle, write_pickle

NUMBERS = st.sampled_from([np.dtype(name) for name in ("bool", "i1", "i4", "i8", "u1", "u2", "f2", "f4", "f8")])
ARRAYS = arrays.arrays(NUMBERS, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
TREES = st.recursive(
    PLAIN | ARRAYS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3) | st.tuples(inner)
    ),
    max_leaves=8,
)


class Feature:
    """A third party's feature."""

    def __init__(self, data):
        self.data = data


class Calls:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@given(TREES, st.sampled_from([2, 3, 4, 5]))
def test_data_comes_back(tree, protocol):
    """Containers, numbers, text and arrays of every protocol are read as they were, arrays as ordinary ones."""
    assert_same(read_pickle(pickle.dumps(tree, protocol)), tree)


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_in_any_order(protocol):
    """Fortran order, foreign byte order, text, scalars and ordered dicts are read too."""
    tree = OrderedDict(
        fortran=np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        foreign=np.arange(3, dtype=">i4"),
        words=np.array(["lane", "stop"]),
        one=np.float32(2.5),
    )
    found = read_pickle(pickle.dumps(tree, protocol))
    assert type(found["fortran"]) is np.ndarray
    for key, array in tree.items():
        np.testing.assert_array_equal(found[key], array)


@pytest.mark.parametrize(
    "hostile",
    [
        Calls(os.system, "true"),
        Calls(eval, "1"),
        Calls(getattr, {}, "keys"),
        Calls(pickle.loads, pickle.dumps(1)),
        Calls(np.load, "file.npy"),
        Calls(np.ndarray, (1 << 40,)),
        Calls(np.dtype, "O"),
        np.array([Calls(os.getcwd)], dtype=object),
        np.zeros(2, [("a", "f4")]),
        np.ma.masked_array([1, 2]),
        Feature(1),
        os.system,
        {"deep": [Calls(os.system, "true")]},
    ],
    ids=lambda one: type(one).__name__,
)
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_hostile_pickles_are_refused(hostile, protocol, monkeypatch):
    """What would call a function, or hold anything but data, is refused, and nothing is called."""
    called = []
    monkeypatch.setattr(os, "system", called.append)
    data = pickle.dumps(hostile, protocol) if hostile is not os.system else b"cos\nsystem\n."
    with pytest.raises(SampleError):
        read_pickle(data)
    assert not called


def test_classes_that_the_user_allows():
    """An instance of an allowed class is read; the message says how to allow one; functions never are."""
    data = pickle.dumps({"agents": Feature(np.arange(3))})
    with pytest.raises(RefusedPickleError, match="--set allow="):
        read_pickle(data)
    found = read_pickle(data, {(Feature.__module__, "Feature"): Feature})["agents"]
    assert type(found) is Feature
    assert type(found.data) is np.ndarray
    with pytest.raises(RefusedPickleError, match="no class"):
        allowed_classes(["os:getcwd"])
    assert allowed_classes(["collections:Counter"])


def test_an_allowed_class_is_left_as_it_was():
    """A pickle that sets an attribute of an allowed class itself is refused, and the class is put back."""
    before = dict(vars(Feature))
    module = Feature.__module__.encode()
    hostile = b"\x80\x02c" + module + b"\nFeature\nN}X\x05\x00\x00\x00proofK\x01s\x86b."
    with pytest.raises(RefusedPickleError, match="changes a class"):
        read_pickle(hostile, {(Feature.__module__, "Feature"): Feature})
    assert dict(vars(Feature)) == before


def test_a_bomb_is_refused(monkeypatch):
    """A few bytes that refer to themselves a billion times are refused before memory is full."""
    monkeypatch.setattr(pickles, "_MOST_NODES", 10_000)
    value = [0]
    for _ in range(40):
        value = [value, value]
    with pytest.raises(RefusedPickleError, match="parts"):
        read_pickle(pickle.dumps(value))


@given(st.binary(max_size=60))
def test_noise_is_damage(data):
    """Whatever is no pickle is a damaged value, never another exception."""
    with contextlib.suppress(SampleError):
        read_pickle(data)


@given(TREES, st.data())
def test_damaged_pickles(tree, data):
    """A pickle with a changed byte is read or refused, never anything else."""
    whole = bytearray(pickle.dumps(tree, 4))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(SampleError):
        read_pickle(bytes(whole))


def test_what_is_written_can_be_read_by_python_39():
    """Pickles are written in the protocol of the devkit's own Python."""
    assert write_pickle({"a": np.arange(2)})[:2] == b"\x80\x04"
