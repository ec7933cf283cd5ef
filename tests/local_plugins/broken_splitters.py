"""Splitters, each with one defect."""

import sys

import numpy as np
from broken_parts import caught_by, components

from pluto_core import hookimpl
from pluto_core.testing.fakes import NameSplitter


class _Splitter(NameSplitter):
    def __init__(self, *_):
        pass


@caught_by("test_keeps_the_protocol")
class Idle:
    """Cannot split."""

    def __init__(self, *_):
        pass


@caught_by("test_rows_are_ascending_and_exist")
class Untidy(_Splitter):
    """Gives rows backwards."""

    def split(self, listing):
        """Return descending rows."""
        return {part: rows[::-1] for part, rows in super().split(listing).items()}


@caught_by("test_parts_are_disjoint", "test_no_log_in_two_parts")
class Greedy(_Splitter):
    """Validates on what it trains on."""

    def split(self, listing):
        """Return the first log twice."""
        parts = super().split(listing)
        return {**parts, "val": np.union1d(parts["val"], parts["train"][:5])}


@caught_by("test_parts_cover_the_listing")
class Forgetful(_Splitter):
    """Loses the last scenario of every part."""

    def split(self, listing):
        """Return too little."""
        return {part: rows[:-1] for part, rows in super().split(listing).items()}


@caught_by("test_no_log_in_two_parts")
class Leaking(_Splitter):
    """Divides by row, so that a log is in every part."""

    def split(self, listing):
        """Return every third row."""
        return {part: np.arange(first, len(listing), 3) for first, part in enumerate(("train", "val", "test"))}


@caught_by("test_splits_the_same_way_again")
class Moody(_Splitter):
    """Exchanges parts every time."""

    turn = 0

    def split(self, listing):
        """Return the parts under changing names."""
        self.turn += 1
        names = np.roll(["train", "val", "test"], self.turn)
        return dict(zip(names.tolist(), super().split(listing).values(), strict=True))


@caught_by("test_order_does_not_matter", "test_other_scenarios_do_not_matter")
class Impatient(_Splitter):
    """Trains on the first half."""

    def split(self, listing):
        """Return halves by row."""
        rows, half = np.arange(len(listing)), len(listing) // 2
        return {"train": rows[:half], "val": rows[half:], "test": rows[:0]}


@caught_by("test_empty_listing")
class Hungry(_Splitter):
    """Needs a scenario."""

    def split(self, listing):
        """Look at the first scenario."""
        assert listing.id(0)
        return super().split(listing)


@hookimpl
def pluto_register_splitters():
    """Return all of them."""
    return components(sys.modules[__name__])
