"""The worker `ray`: sessions in actors of a cluster, which may lose actors and nodes without losing the run.

Actors write shards by themselves; what comes back is small. An actor works in spells of half a second and answers with the
results of the units that it did, so that one driver can hear hundreds of actors, and stopping is nothing but asking no more.
Where an actor is lost, the rest of its batch is done elsewhere, unit by unit: a unit that loses two actors is given up.
"""

from collections.abc import Callable, Iterator, Sequence

import attrs

from pluto_core.component import Context
from pluto_core.jobs import Batch, Lost
from pluto_core.protocols import Job
from pluto_ray.cluster import connected, room
from pluto_ray.config import RayConfig
from pluto_ray.crew import Crew
from pluto_ray.hands import Result
from pluto_ray.keeping import Keeper

_ROUNDS = 3
"""How often what was lost with its node is done again."""


def make(config: RayConfig, context: Context) -> "RayWorker":
    """Return the worker of an experiment.

    Raises:
        PlutoError: The number of sessions is the cluster's to say, and it cannot be reached or has room for none.
    """
    return RayWorker(config.count or room(config), config, context.note)


@attrs.frozen
class RayWorker:
    """Runs up to `count` sessions at a time, each in an actor."""

    count: int
    config: RayConfig
    note: Callable[[str], None]
    processes: bool = attrs.field(default=True, init=False)

    def run(self, job: Job, batches: Sequence[Batch]) -> Iterator[Result]:
        """Yield (batch, unit, result or `Lost`) as they come; closing the iterator ends every actor after its unit.

        Raises:
            PlutoError: The cluster cannot be reached, starts no session, or its nodes do not see the cache.
            RuntimeError: A session gave too few results.
        """
        if not len(batches):
            return
        with connected(self.config, self.count):
            keeper = Keeper(job, self.config, self.note)
            try:
                keeper.begin()
                yield from self._round(keeper, batches)
                self._complete(keeper, batches)
            finally:
                keeper.end()

    def _complete(self, keeper: Keeper, batches: Sequence[Batch]) -> None:
        """Do again what nodes took with them; their results were told when they were done first."""
        for _ in range(_ROUNDS):
            left = keeper.left(batches)
            if not left:
                return
            count = sum(len(batch.units) for batch in left)
            self.note(f"{count:,} scenarios were lost with the node that held them; they are done again")
            for number, place, result in self._round(keeper, left):
                if isinstance(result, Lost):
                    keeper.give_up(left[number].units[place], result)
        if keeper.left(batches):
            self.note("node after node was lost with what it held; run the same command again for what is missing")

    def _round(self, keeper: Keeper, batches: Sequence[Batch]) -> Iterator[Result]:
        crew = Crew(keeper.order, batches, self.config, self.note, keeper.known)
        try:
            crew.hire(min(self.count, len(batches)))
            yield from crew.results()
            crew.dismiss()
        finally:
            crew.end()
            keeper.harmed |= crew.harmed
