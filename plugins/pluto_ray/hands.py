"""Who does what: actors as the driver sees them, and what is left of their batches."""

import enum
from collections.abc import Sequence
from typing import Any

import attrs

from pluto_core.jobs import Batch

Result = tuple[int, int, Any]
"""Number of a batch, number of a unit in it, and what came of it."""


@attrs.define
class Task:
    """What is left of a batch."""

    number: int
    batch: Batch
    places: Sequence[int]
    """Number of each unit in the batch as it was given."""
    next: int = 0
    """First unit without a result."""
    tries: int = 0
    """Actors that were lost at that unit."""
    moves: int = 0
    """Nodes that were lost with that unit."""
    single: bool = False
    """Whether to do one unit a call, since an actor was lost somewhere in a spell."""

    @property
    def done(self) -> bool:
        """Return whether every unit has a result."""
        return self.next == len(self.batch.units)

    def rest(self) -> Batch:
        """Return the units without a result."""
        return attrs.evolve(self.batch, units=self.batch.units[self.next :])

    def result(self, content: Any) -> Result:
        """Return a result of the next unit, and go on to the one behind it."""
        place = self.places[self.next]
        self.next, self.tries, self.moves = self.next + 1, 0, 0
        return self.number, place, content


class Stage(enum.Enum):
    """What is known of an actor."""

    HIRED = "hired"
    """The cluster looks for a place."""
    OPENING = "opening"
    BEGUN = "begun"
    SILENT = "silent"
    """It does not answer, and the cluster has not found out why: its process, its node, or the network."""


@attrs.define(eq=False)
class Hand:
    """One actor, seen from here."""

    actor: Any
    call: Any
    """What it is doing; None while it waits for a batch."""
    slot: int
    since: float
    stage: Stage = Stage.HIRED
    node: str = ""
    task: Task | None = None
    group: str | None = None
    """Of the last task."""

    @property
    def idle(self) -> bool:
        """Return whether it waits for a batch."""
        return self.stage is Stage.BEGUN and self.call is None
