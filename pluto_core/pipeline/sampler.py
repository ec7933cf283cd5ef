"""Which samples stand in which batch: pure functions of seed and epoch, the same on every rank.

An epoch is one order of rows, cut into steps of all ranks together; each rank takes its contiguous share of every
step, so that the rows of a step depend on the global batch size alone. Where the last step is not full and is kept, every
rank still has the same number of batches and none is empty, without a row left out or seen twice:

- at least one row a rank is left: the ranks share the last step evenly, their sizes differ by one at most;
- fewer are left: the last two steps share their rows evenly (with `batch_size = 1`, some ranks get two rows in the last one).
"""

from collections.abc import Iterator, Mapping

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.errors import PlutoError
from pluto_core.listing import Names
from pluto_core.pipeline.randomness import generator
from pluto_core.settings import device_share

Rows = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float64]


def weights_by_type(types: Names, weights: Mapping[str, float], *, otherwise: float = 1.0) -> Weights:
    """Return the (n,) weight of every row by its scenario type.

    Args:
        types: Column of the listing.
        weights: Weight by type; not negative, in any scale.
        otherwise: Weight of the types that are not named.
    """
    values = np.asarray([weights.get(value, otherwise) for value in types.values], np.float64)
    return values[types.codes] if len(values) else np.zeros(0)


def _sound_weights(sampler: "Sampler", _attribute: object, weights: Weights | None) -> None:
    if weights is None:
        return
    if weights.shape != (sampler.size,) or not np.isfinite(weights).all() or (weights < 0).any():
        message = f"sampling weights must be {sampler.size} finite numbers, none below 0"
        raise PlutoError(message)
    if sampler.size and not weights.any():
        message = "every sampling weight is 0, so that nothing would be drawn; name a type that the listing holds"
        raise PlutoError(message)


@attrs.frozen(eq=False)
class Sampler:
    """The batches of an epoch as row numbers below `size`."""

    size: int = attrs.field(validator=attrs.validators.ge(0))
    batch_size: int = attrs.field(kw_only=True, validator=attrs.validators.ge(1))
    """Rows in a batch of one rank, or of all where `shared` says so."""
    shared: bool = attrs.field(kw_only=True, default=False)
    """Whether the ranks share `batch_size` rows evenly."""
    seed: int = attrs.field(kw_only=True)
    shuffle: bool = attrs.field(kw_only=True)
    """Whether every epoch has an order of its own; else it is 0, 1, 2, and so on."""
    drop_last: bool = attrs.field(kw_only=True)
    """Whether the rows of a last step that is not full are left out of this epoch."""
    weights: Weights | None = attrs.field(kw_only=True, default=None, validator=_sound_weights)
    """(size,) relative chance of a row. Without replacement, heavy rows come earlier; rows of weight 0 never come."""
    replacement: bool = attrs.field(kw_only=True, default=False)
    """Whether an epoch draws `size` rows with replacement."""
    limit_batches: int | float | None = attrs.field(kw_only=True, default=None)
    """At most so many batches a rank (integer), or this share of them (float, at least one batch)."""

    def rank_rows(self, world: int = 1) -> int:
        """Return the rows in a full batch of each of `world` ranks.

        Raises:
            PlutoError: They cannot share the batch evenly.
        """
        return device_share(self.batch_size, world) if self.shared else self.batch_size

    def order(self, epoch: int) -> Rows:
        """Return the rows of an epoch in order, before they are cut into batches."""
        chance = generator(self.seed, "sampler", epoch)
        if self.replacement:
            return self._drawn(chance)
        if self.weights is not None:
            return self._weighted_order(chance)
        return chance.permutation(self.size) if self.shuffle else np.arange(self.size)

    def _drawn(self, chance: np.random.Generator) -> Rows:
        if self.weights is None or not self.size:
            return chance.integers(self.size, size=self.size) if self.size else np.zeros(0, np.int64)
        edges = np.cumsum(self.weights)
        drawn = np.searchsorted(edges, chance.random(self.size) * edges[-1], side="right")
        rows: Rows = np.minimum(drawn, np.flatnonzero(self.weights)[-1])
        return rows

    def _weighted_order(self, chance: np.random.Generator) -> Rows:
        """Draw without replacement, one row after the other, by exponential clocks (Efraimidis and Spirakis, 2006)."""
        weights = np.zeros(0) if self.weights is None else self.weights
        possible = np.flatnonzero(weights)
        clocks = chance.standard_exponential(self.size)[possible] / weights[possible]
        return possible[np.argsort(clocks, kind="stable")] if self.shuffle else possible

    def count(self, world: int = 1) -> int:
        """Return the number of batches of an epoch on each of `world` ranks.

        Raises:
            PlutoError: There are too few rows for one batch on every rank, or the ranks cannot share one evenly.
        """
        return len(self._steps(world))

    def batch_rows(self, epoch: int, rank: int = 0, world: int = 1, *, skip: int = 0) -> Iterator[Rows]:
        """Yield the rows of each batch of one rank, from the batch numbered `skip` on."""
        order, steps = self.order(epoch), self._steps(world)
        ends = np.cumsum(steps).tolist()
        for total, end in zip(steps[skip:], ends[skip:], strict=True):
            size, more = divmod(total, world)
            first = end - total + rank * size + min(rank, more)
            yield order[first : first + size + (rank < more)]

    def _steps(self, world: int) -> list[int]:
        rows = self.size if self.weights is None or self.replacement else int(np.count_nonzero(self.weights))
        steps = self._whole_steps(rows, world)
        if rows and not steps:
            message = f"{rows} samples are fewer than one batch of {self.rank_rows(world)} on each of {world} ranks"
            raise PlutoError(f"{message}; lower the batch size, keep the last batch, or use fewer ranks")
        if self.limit_batches is None or not steps:
            return steps
        share = isinstance(self.limit_batches, float)
        limit = max(1, int(self.limit_batches * len(steps))) if share else int(self.limit_batches)
        return steps[:limit]

    def _whole_steps(self, rows: int, world: int) -> list[int]:
        own = self.rank_rows(world)
        step = own * world
        full, rest = divmod(rows, step)
        if self.drop_last or not rest:
            return [step] * full
        if rest >= world:
            return [step] * full + [rest]
        if not full:
            return []
        if own == 1:
            return [step] * (full - 1) + [step + rest]
        both = step + rest
        return [step] * (full - 1) + [both - both // 2, both // 2]
