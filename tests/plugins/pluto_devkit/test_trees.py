import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pluto_core.errors import SampleError
from pluto_core.pipeline.layout import ANCHOR, Layout
from pluto_core.samples import check
from pluto_core.testing.equality import assert_same
from pluto_devkit import schema, trees

DTYPES = st.sampled_from([np.dtype(name) for name in schema.DTYPES])
ARRAYS = DTYPES.flatmap(lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)))
PLAIN = st.none() | st.booleans() | st.integers(-(1 << 60), 1 << 60) | st.floats(allow_nan=False) | st.text()
TREES = st.recursive(
    PLAIN | ARRAYS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4) | st.tuples(inner)
    ),
    max_leaves=12,
)


def parts(sample):
    """A sample without its prefix."""
    return {key.partition("/")[2]: array for key, array in sample.items()}


@given(TREES)
@example([np.zeros(0, bool), np.zeros((), bool)])  # the second has no length
def test_trees_come_back(tree):
    """Whatever is encoded is what its spec says, and is decoded as it was, NaN and infinities included."""
    sample = trees.encode("x", tree)
    check(sample, schema.tree("x"))
    assert_same(trees.decode(parts(sample)), tree)


@given(st.lists(TREES, min_size=1, max_size=3))
def test_trees_come_back_from_a_batch(some):
    """Trees of different shapes stand in one padded batch, and each row gives its own back."""
    layout = Layout(schema.tree("x"))
    arranged = layout.arrange({ANCHOR: [trees.encode("x", tree) for tree in some]})
    batch = arranged.fill(np.zeros(arranged.nbytes, np.uint8))
    for row, tree in enumerate(some):
        assert_same(trees.decode({key.partition("/")[2]: array[row] for key, array in batch.items()}), tree)


def test_ragged_lists_are_one_array():
    """A list of arrays of different lengths is stored as one array and its offsets."""
    lanes = [np.full((length, 2), length, np.float32) for length in (3, 0, 5)]
    sample = trees.encode("x", {"coords": lanes})
    assert sample["x/int64"].tolist() == [0, 3, 3, 8]
    assert sample["x/float32"].shape == (16,)
    assert_same(trees.decode(parts(sample)), {"coords": lanes})


def test_tensors_are_arrays():
    """Tensors are stored as the arrays that they hold."""
    torch = pytest.importorskip("torch")
    sample = trees.encode("x", {"data": torch.arange(6).reshape(2, 3)})
    assert_same(trees.decode(parts(sample)), {"data": np.arange(6).reshape(2, 3)})


@pytest.mark.parametrize("odd", [object(), {"a": {1, 2}}, {(1, 2): 3}, np.zeros(2, complex), [np.array([object()])]])
def test_what_cannot_be_stored_is_named(odd):
    """Anything but arrays and plain data is a failure of that scenario, which says what was found."""
    with pytest.raises(SampleError):
        trees.encode("x", odd)


def test_endless_nesting_is_refused():
    """Data that contains itself ends in a message."""
    loop = []
    loop.append(loop)
    with pytest.raises(SampleError, match="deep"):
        trees.encode("x", loop)
