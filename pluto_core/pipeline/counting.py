"""How many scenarios of each type, log and map a listing holds."""

from typing import Any

import attrs
import numpy as np

from pluto_core.listing import Listing, Names


@attrs.frozen(kw_only=True)
class Counts:
    """Numbers of scenarios by name, most frequent first, then by name; names without any are left out."""

    total: int
    types: dict[str, int]
    logs: dict[str, int]
    maps: dict[str, int]

    def to_plain(self) -> dict[str, Any]:
        """Return the counts as plain values, for JSON."""
        return attrs.asdict(self)


def count(listing: Listing) -> Counts:
    """Return the counts of a listing."""
    return Counts(total=len(listing), types=_by_name(listing.types), logs=_by_name(listing.logs), maps=_by_name(listing.maps))


def _by_name(column: Names) -> dict[str, int]:
    numbers = np.bincount(column.codes, minlength=len(column.values)).tolist()
    found = [(name, number) for name, number in zip(column.values, numbers, strict=True) if number]
    return dict(sorted(found, key=lambda pair: (-pair[1], pair[0])))
