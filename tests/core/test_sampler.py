from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluto_core.errors import PlutoError
from pluto_core.listing import Names
from pluto_core.pipeline.sampler import Sampler, weights_by_type

PARTITIONS = {
    "size": st.integers(0, 200),
    "batch_size": st.integers(1, 17),
    "world": st.integers(1, 6),
    "shuffle": st.booleans(),
    "epoch": st.integers(0, 3),
}


def sampler(size, **settings):
    return Sampler(size, **{"batch_size": 4, "seed": 1, "shuffle": True, "drop_last": False} | settings)


def ranks(made, epoch, world):
    return [list(made.batch_rows(epoch, rank, world)) for rank in range(world)]


@given(**PARTITIONS)
def test_every_row_stands_on_one_rank_once(size, batch_size, world, shuffle, epoch):
    """Kept last batches: no row is lost or doubled, batch numbers agree, no batch is empty or too large."""
    made = sampler(size, batch_size=batch_size, shuffle=shuffle)
    if 0 < size < world:
        with pytest.raises(PlutoError, match="fewer than one batch"):
            made.count(world)
        return
    parts = ranks(made, epoch, world)
    assert {len(batches) for batches in parts} == {made.count(world)}
    assert sorted(row for batches in parts for batch in batches for row in batch.tolist()) == list(range(size))
    sizes = [len(batch) for batches in parts for batch in batches]
    assert min(sizes, default=1) >= 1
    assert max(sizes, default=1) <= (batch_size if batch_size > 1 or world == 1 else 2)


@given(**PARTITIONS)
def test_dropped_tails_leave_full_batches(size, batch_size, world, shuffle, epoch):
    """Dropped last batches: all batches are full, rows differ, fewer than a step are left out."""
    made = sampler(size, batch_size=batch_size, shuffle=shuffle, drop_last=True)
    if 0 < size < batch_size * world:
        with pytest.raises(PlutoError, match="lower the batch size"):
            made.count(world)
        return
    parts = ranks(made, epoch, world)
    rows = [row for batches in parts for batch in batches for row in batch.tolist()]
    assert len(set(rows)) == len(rows) == size - size % (batch_size * world)
    assert {len(batch) for batches in parts for batch in batches} <= {batch_size}


@given(
    size=st.integers(8, 200),
    batch_size=st.integers(1, 9),
    world=st.integers(1, 4),
    skip=st.integers(0, 5),
    epoch=st.integers(0, 3),
)
def test_skipping_goes_on_where_the_epoch_was_left(size, batch_size, world, skip, epoch):
    """The batches from `skip` on are those that the uninterrupted epoch has there."""
    made = sampler(size, batch_size=batch_size)
    for rank in range(world):
        whole = [batch.tolist() for batch in made.batch_rows(epoch, rank, world)]
        assert [batch.tolist() for batch in made.batch_rows(epoch, rank, world, skip=skip)] == whole[skip:]


def test_a_step_depends_on_the_global_batch_size_alone():
    """Two ranks with batches of 4 see in every step the rows that one rank with batches of 8 sees."""
    one = list(sampler(64, batch_size=8).batch_rows(0))
    left, right = ranks(sampler(64, batch_size=4), 0, 2)
    for whole, *halves in zip(one, left, right, strict=True):
        assert whole.tolist() == np.concatenate(halves).tolist()


@given(size=st.integers(8, 200), share=st.integers(1, 9), world=st.integers(1, 4), drop_last=st.booleans())
def test_ranks_share_a_batch_of_all(size, share, world, drop_last):
    """A batch of all ranks is what batches of each are, whose sizes add up to it."""
    if drop_last and size < share * world:
        return
    whole = sampler(size, batch_size=share * world, shared=True, drop_last=drop_last)
    each = sampler(size, batch_size=share, drop_last=drop_last)
    assert whole.rank_rows(world) == each.rank_rows(world) == share
    for rank in range(world):
        found, wanted = (list(made.batch_rows(3, rank, world)) for made in (whole, each))
        assert [rows.tolist() for rows in found] == [rows.tolist() for rows in wanted]


def test_a_batch_of_all_that_does_not_divide_is_refused():
    """The message names the setting and the numbers near by."""
    made = sampler(100, batch_size=30, shared=True)
    assert made.count(3) == 4
    with pytest.raises(PlutoError, match=r"loader\.batch_size = 30 .* 4 devices cannot share it evenly; make it 28 or 32$"):
        made.count(4)
    with pytest.raises(PlutoError, match=r"make it 4$"):
        sampler(100, batch_size=3, shared=True).rank_rows(4)


def test_orders_differ_by_epoch_and_seed_and_repeat_otherwise():
    """The order is a function of seed and epoch."""
    first = sampler(100).order(0).tolist()
    assert first == sampler(100, batch_size=9).order(0).tolist()
    assert first != sampler(100).order(1).tolist()
    assert first != sampler(100, seed=2).order(0).tolist()
    assert sampler(100, shuffle=False).order(5).tolist() == list(range(100))


def test_weights_with_replacement_set_the_shares():
    """Rows are drawn in proportion to their weights; weight 0 never."""
    weights = np.repeat([0.0, 1.0, 3.0], 2000)
    drawn = Counter((sampler(6000, weights=weights, replacement=True).order(0) // 2000).tolist())
    assert drawn[0] == 0
    assert drawn[2] / drawn[1] == pytest.approx(3.0, rel=0.1)
    assert sum(drawn.values()) == 6000


def test_weights_without_replacement_bring_heavy_rows_first():
    """Every row of positive weight comes once; among the first, heavy ones prevail."""
    weights = np.repeat([0.0, 1.0, 9.0], 1000)
    order = sampler(3000, weights=weights).order(0)
    assert sorted(order.tolist()) == list(range(1000, 3000))
    assert np.count_nonzero(order[:500] >= 2000) > 400
    assert sum(len(batch) for batch in sampler(3000, weights=weights).batch_rows(0)) == 2000


@pytest.mark.parametrize(("limit", "expected"), [(3, 3), (0.5, 12), (0.001, 1), (100, 25), (None, 25)])
def test_batches_are_limited_by_number_or_share(limit, expected):
    """A limit takes the first batches of the epoch's order."""
    made, whole = sampler(100, limit_batches=limit), sampler(100)
    assert made.count() == expected
    for ours, theirs in zip(made.batch_rows(2), whole.batch_rows(2), strict=False):
        assert ours.tolist() == theirs.tolist()


def test_weights_follow_types():
    """Types that are not named get the other weight."""
    types = Names.of(["turn", "stop", "turn", "lane"])
    assert weights_by_type(types, {"turn": 2.0, "stop": 0.0}, otherwise=0.5).tolist() == [2.0, 0.0, 2.0, 0.5]


@pytest.mark.parametrize("weights", [[1.0, -1.0], [1.0, np.nan], [0.0, 0.0], [1.0]])
def test_unusable_weights_are_refused(weights):
    """Negative, missing or all-zero weights are a mistake with a message."""
    with pytest.raises(PlutoError, match="sampling weight"):
        sampler(2, weights=np.asarray(weights))
