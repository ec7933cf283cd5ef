"""`SplitterSuite`: no scenario in two parts, whatever the order of the listing."""

from typing import ClassVar

import numpy as np
import pytest

from pluto_core.listing import Listing
from pluto_core.protocols import Splitter
from pluto_core.scene import ScenarioId
from pluto_core.testing.components import ComponentSuite, Recipe

PARTS = ("train", "val", "test")


class SplitterSuite(ComponentSuite, suite=True):
    """Tests of a splitter."""

    kinds: ClassVar[tuple[str, ...]] = ("splitters",)
    subject: ClassVar[str] = "splitter"
    covers_all: ClassVar[bool] = True
    """Whether every scenario of the listing belongs to a part."""
    keeps_logs_together: ClassVar[bool] = True
    """Whether the scenarios of one log are in one part."""
    independent: ClassVar[bool] = True
    """Whether a scenario's part does not depend on which others are listed."""

    @pytest.fixture
    def splitter(self, request: pytest.FixtureRequest) -> Splitter:
        """Return the splitter."""
        made: Splitter = self.make(request)
        return made

    @pytest.fixture
    def listing(self) -> Listing:
        """Return the scenarios to divide; some go to each part."""
        rows = [
            (ScenarioId(f"log-{log:02d}", f"{log:08x}{place:08x}", 1_000_000 * place), f"type-{place % 3}", "town")
            for log in range(40)
            for place in range(5)
        ]
        return Listing.of(rows)

    def test_keeps_the_protocol(self, splitter: Splitter) -> None:
        """It can split."""
        assert isinstance(splitter, Splitter)

    def test_rows_are_ascending_and_exist(self, splitter: Splitter, listing: Listing) -> None:
        """Parts are called train, val and test; each holds ascending row numbers of the listing, and one holds some."""
        parts = splitter.split(listing)
        assert set(parts) == set(PARTS)
        for rows in parts.values():
            assert rows.dtype.kind == "i"
            assert (np.diff(rows) > 0).all()
            assert len(rows) == 0 or (rows[0] >= 0 and rows[-1] < len(listing))
        assert any(len(rows) for rows in parts.values())

    def test_parts_are_disjoint(self, splitter: Splitter, listing: Listing) -> None:
        """No scenario is in two parts."""
        together = np.concatenate(list(splitter.split(listing).values()))
        assert len(np.unique(together)) == len(together)

    def test_parts_cover_the_listing(self, splitter: Splitter, listing: Listing) -> None:
        """Every scenario is in a part, unless `covers_all` says otherwise."""
        if not self.covers_all:
            pytest.skip("the splitter leaves scenarios out (covers_all = False)")
        assert sum(len(rows) for rows in splitter.split(listing).values()) == len(listing)

    def test_no_log_in_two_parts(self, splitter: Splitter, listing: Listing) -> None:
        """Scenarios of one log, which look alike, are in one part, unless `keeps_logs_together` says otherwise."""
        if not self.keeps_logs_together:
            pytest.skip("the splitter divides logs (keeps_logs_together = False)")
        logs = [set(listing.logs.codes[rows].tolist()) for rows in splitter.split(listing).values()]
        assert len(set().union(*logs)) == sum(map(len, logs))

    def test_splits_the_same_way_again(self, splitter: Splitter, listing: Listing, recipe: Recipe) -> None:
        """Asked again, or made anew, it gives the same parts."""
        assert _ids(splitter, listing) == _ids(splitter, listing) == _ids(recipe(), listing)

    def test_order_does_not_matter(self, splitter: Splitter, listing: Listing) -> None:
        """Scenarios are in the same parts in whatever order they are listed."""
        shuffled = listing.take(np.random.default_rng(0).permutation(len(listing)))
        assert _ids(splitter, shuffled) == _ids(splitter, listing)

    def test_other_scenarios_do_not_matter(self, splitter: Splitter, listing: Listing) -> None:
        """Adding scenarios moves none from part to part, unless `independent` says otherwise."""
        if not self.independent:
            pytest.skip("parts depend on the whole listing (independent = False)")
        some = listing.take(np.arange(0, len(listing), 3))
        kept = set(some.ids())
        assert _ids(splitter, some) == {part: ids & kept for part, ids in _ids(splitter, listing).items()}

    def test_empty_listing(self, splitter: Splitter) -> None:
        """Nothing divided is nothing."""
        assert all(len(rows) == 0 for rows in splitter.split(Listing.of([])).values())


def _ids(splitter: Splitter, listing: Listing) -> dict[str, set[ScenarioId]]:
    return {part: set(listing.take(rows).ids()) for part, rows in splitter.split(listing).items()}
