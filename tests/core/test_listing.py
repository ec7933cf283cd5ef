import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluto_core.errors import PlutoError
from pluto_core.listing import Listing, Names
from pluto_core.scene import ScenarioId

ROWS = st.lists(
    st.tuples(
        st.builds(
            ScenarioId,
            st.sampled_from(["log-a", "log-b", "log-c"]),
            st.text("0123456789abcdef", min_size=1, max_size=16),
            st.integers(0, 2**60),
        ),
        st.sampled_from(["unknown", "turn", "stop"]),
        st.sampled_from(["boston", "vegas"]),
    ),
    max_size=20,
)


def rows_of(listing: Listing) -> list[tuple[ScenarioId, str, str]]:
    return [(one, listing.types.text(row), listing.maps.text(row)) for row, one in enumerate(listing.ids())]


@given(ROWS)
def test_listing_gives_back_what_it_was_made_of(rows: list[tuple[ScenarioId, str, str]]) -> None:
    """Columns lose nothing."""
    assert rows_of(Listing.of(rows)) == rows


@given(ROWS, ROWS)
def test_joined_listings_stand_one_after_the_other(first: list, second: list) -> None:
    """Joining listings is joining their rows, and both have the same digest."""
    joined = Listing.concatenated([Listing.of(first), Listing.of(second)])
    assert rows_of(joined) == first + second
    assert joined.digest() == Listing.of(first + second).digest()


@given(ROWS, st.randoms())
def test_digest_depends_on_rows_and_order_only(rows: list, chance: random.Random) -> None:
    """Equal rows have equal digests however they are coded; another order has another digest."""
    listing = Listing.of(rows)
    order = list(range(len(rows)))
    chance.shuffle(order)
    moved = listing.take(np.asarray(order, np.int64))
    assert (moved.digest() == listing.digest()) == (rows_of(moved) == rows)


def test_tokens_must_be_ascii() -> None:
    """A token that cannot be stored is named."""
    with pytest.raises(PlutoError, match="ASCII"):
        Listing.of([(ScenarioId("log", "tökén", 0), "unknown", "map")])


def test_names_share_their_values() -> None:
    """A column of a million names holds each of them once."""
    column = Names.of(["b", "a", "b", "b"])
    assert column.values == ("b", "a")
    assert column.codes.tolist() == [0, 1, 0, 0]
    assert column.take(np.array([1, 3])).text(1) == "b"
