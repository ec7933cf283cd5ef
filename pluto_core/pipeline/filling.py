"""What every process that makes batches does alike: samples are varied and laid out."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, runtime_checkable

import attrs
import numpy as np

from pluto_core.pipeline.augmenting import Chain, Finish
from pluto_core.pipeline.beside import Errand, together
from pluto_core.pipeline.columns import Column, columns_of
from pluto_core.pipeline.layout import Arrangement, Filled, Layout, SamplesByRole
from pluto_core.pipeline.randomness import generator
from pluto_core.pipeline.ring import Bytes
from pluto_core.samples import Sample


class SampleReader(Protocol):
    """Gives stored samples by key."""

    def get_many(self, keys: Sequence[str]) -> list[Sample]:
        """Return samples in the order of `keys`; their arrays may be read-only views.

        Raises:
            SampleError: A value is damaged.
        """
        ...


@runtime_checkable
class SampleLender(Protocol):
    """What a reader may offer: samples where they lie, without a copy."""

    def lend_columns(
        self, keys: Sequence[str], names: Collection[str] | None = None
    ) -> contextlib.AbstractContextManager[Mapping[str, Column]]:
        """Give samples by array, rows in the order of `keys`, for the time of the `with` block; None: all their arrays."""
        ...


@attrs.frozen(eq=False)
class Begun:
    """A batch that is being filled."""

    _filled: Filled
    _buffer: Bytes
    _errand: Errand

    def finish(self) -> tuple[Filled, Bytes] | None:
        """Return where its arrays stand, and the buffer, once all is copied; None in a fork of the process that began it.

        Raises:
            SampleError: A sample is damaged.
        """
        return (self._filled, self._buffer) if self._errand.finish() else None


@attrs.frozen(eq=False, kw_only=True)
class Filler:
    """Makes batches of samples; what it makes depends on seed, epoch and keys, not on the process."""

    reader: SampleReader
    layout: Layout
    chain: Chain | None
    seed: int
    threads: bool = False
    """Whether two threads of this process vary samples and copy what is large."""

    def fill(self, keys: Sequence[str], epoch: int, take: Callable[[int], Bytes]) -> tuple[Filled, Bytes]:
        """Read a batch into a buffer, and return where its arrays stand, and the buffer.

        Args:
            keys: Its samples.
            epoch: Number of the epoch, for augmentations.
            take: Returns a buffer of so many bytes.

        Raises:
            SampleError: A sample is damaged, or it or a variant of it does not have the arrays of its spec.
        """
        with self._arranged(keys, epoch) as arrangement:
            buffer = take(arrangement.nbytes)
            arrangement.write(buffer, threads=self.threads)
            return arrangement.filled, buffer

    def begin(self, keys: Sequence[str], epoch: int, take: Callable[[int], Bytes]) -> Begun:
        """Read a batch into a buffer, of which the thread beside copies what is large; see `fill`."""
        with contextlib.ExitStack() as lent:
            arrangement = lent.enter_context(self._arranged(keys, epoch))
            buffer = take(arrangement.nbytes)
            errand = Errand(arrangement.pieces(buffer), lent.pop_all())
        try:
            errand.start()
            arrangement.write_small(buffer)
        except BaseException:
            errand.finish()
            raise
        return Begun(arrangement.filled, buffer, errand)

    @contextlib.contextmanager
    def _arranged(self, keys: Sequence[str], epoch: int) -> Iterator[Arrangement]:
        """Give the batch, before it is filled, of what is lent for a moment where the reader can."""
        if not isinstance(self.reader, SampleLender):
            yield self.arrange(keys, self.reader.get_many(keys), epoch)
            return
        with self.reader.lend_columns(keys, None if self.chain else self.layout.spec.keys()) as columns:
            yield self._of_columns(keys, columns, epoch)

    def arrange(self, keys: Sequence[str], samples: Sequence[Sample], epoch: int) -> Arrangement:
        """Return the batch of some samples, before it is filled.

        Raises:
            SampleError: A sample, or what an augmentation made of it, does not have the arrays of its spec.
        """
        return self._of_columns(keys, columns_of(samples), epoch)

    def _of_columns(self, keys: Sequence[str], columns: Mapping[str, Column], epoch: int) -> Arrangement:
        if self.chain is None:
            return self.layout.arrange_columns(columns, len(keys))
        samples, finish = self._varied(self.chain, keys, columns, epoch)
        return attrs.evolve(self.layout.arrange(samples), late=self.chain.late, finish=finish)

    def _varied(
        self, chain: Chain, keys: Sequence[str], columns: Mapping[str, Column], epoch: int
    ) -> tuple[SamplesByRole, Sequence[Finish]]:
        """Return the roles of every row, and for each row what computes arrays that hold nothing yet."""
        samples: dict[int, Sample] = {}
        varied: dict[int, tuple[Mapping[str, Any], Finish]] = {}
        packed, unpacked = iter(range(len(keys))), iter(range(len(keys)))

        def unpack() -> None:
            for row in packed:
                samples[row] = {key: array for key, column in columns.items() if (array := column.array(row)) is not None}

        def vary() -> None:
            for row in unpacked:
                varied[row] = chain.begin(samples.pop(row), partial(self._chance, epoch, keys[row]), epoch)

        if self.threads:
            together(unpack)
        unpack()
        if self.threads and not chain.late:  # else what is left needs the interpreter: two threads would wait for one another
            together(vary)
        vary()
        made = [varied[row] for row in range(len(keys))]
        return {role: [roles[role] for roles, _ in made] for role in self.layout.roles}, [finish for _, finish in made]

    def _chance(self, epoch: int, key: str, name: str) -> np.random.Generator:
        return generator(self.seed, "augmentation", name, epoch, key)
