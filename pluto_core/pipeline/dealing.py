"""Which batch a worker does next: logs stay with the worker that opened them, as long as there are others to do."""

import itertools
from collections.abc import Iterator, Sequence

from pluto_core.jobs import Batch


class Deal:
    """Hands out the batches of a job, each once. Batches stay unmade until they are asked for; empty ones are passed over."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        """Take batches, those of one group side by side."""
        self._batches = batches
        groups = itertools.groupby(range(len(batches)), key=lambda number: batches[number].group)
        self._groups: Iterator[tuple[str, Iterator[int]]] = groups
        self._begun: dict[str, list[int]] = {}
        """Batches that are left of groups that somebody works on, the last one first."""

    def take(self, group: str | None = None) -> tuple[int, Batch] | None:
        """Return the number of a batch and the batch, or None where all are taken.

        Args:
            group: The one that the worker was at: the next batch of it comes first, then an untouched group, and in the end
                one of the group of which most is left.
        """
        if group not in self._begun:
            group = self._begin() or max(self._begun, key=lambda name: len(self._begun[name]), default=None)
        if group is None:
            return None
        number = self._begun[group].pop()
        if not self._begun[group]:
            del self._begun[group]
        return number, self._batches[number]

    def _begin(self) -> str | None:
        for group, numbers in self._groups:
            waiting = [number for number in numbers if self._batches[number].units]
            if waiting:
                self._begun[group] = [*waiting[::-1], *self._begun.get(group, ())]
                return group
        return None
