"""Parts of an array job: which logs of a listing one of several runs computes, without asking the others."""

import heapq
from collections.abc import Mapping

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.errors import PlutoError
from pluto_core.listing import Listing

Rows = npt.NDArray[np.int64]


@attrs.frozen
class Part:
    """One of `count` parts, numbered from 0."""

    number: int
    count: int

    @classmethod
    def read(cls, text: str, where: str = "--shard") -> "Part":
        """Return the part that a text like `0/4` means.

        Raises:
            PlutoError: It means none.
        """
        number, _, count = text.partition("/")
        if number.strip().isdecimal() and count.strip().isdecimal() and int(number) < int(count):
            return cls(int(number), int(count))
        message = f"{where} {text}: write i/n with i from 0 to n - 1, such as 0/4 for the first of four parts"
        raise PlutoError(message)

    @classmethod
    def of_environment(cls, variables: Mapping[str, str]) -> "Part | None":
        """Return the part that the reference's variables NUM_NODES and NODE_RANK mean, or None for the whole.

        Raises:
            PlutoError: They mean nothing, or one of them is missing.
        """
        nodes, rank = variables.get("NUM_NODES", "").strip(), variables.get("NODE_RANK", "").strip()
        if nodes in {"", "1"}:
            return None
        if not rank:
            message = f"NUM_NODES = {nodes} is set and NODE_RANK is not: say which part this is, or unset NUM_NODES"
            raise PlutoError(message)
        return cls.read(f"{rank}/{nodes}", "NODE_RANK/NUM_NODES =")

    @property
    def name(self) -> str:
        """Return the name under which the cache knows the part."""
        return f"{self.number}-of-{self.count}"

    def __str__(self) -> str:
        """Return the part as a person writes it."""
        return f"{self.number}/{self.count}"

    def rows(self, listing: Listing) -> Rows:
        """Return the rows of this part, ascending. They depend on what is listed, not on its order.

        Whole logs are dealt, long ones first, each to the part that has least by then: parts are about equally large, share no
        scenario, and make up the whole.
        """
        codes, sizes = np.unique(listing.logs.codes, return_counts=True)
        logs = sorted(
            zip((-sizes).tolist(), (listing.logs.values[code] for code in codes.tolist()), codes.tolist(), strict=True)
        )
        parts = [(0, number) for number in range(self.count)]
        own = []
        for size, _, code in logs:
            load, number = parts[0]
            heapq.heapreplace(parts, (load - size, number))
            if number == self.number:
                own.append(code)
        return np.flatnonzero(np.isin(listing.logs.codes, own))
