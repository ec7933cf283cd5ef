"""What every process that makes batches does alike: samples are varied and laid out."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import attrs
import numpy as np

from pluto_core.pipeline.augmenting import Chain
from pluto_core.pipeline.layout import ANCHOR, Arrangement, Layout
from pluto_core.pipeline.randomness import generator
from pluto_core.samples import Array, Sample


class SampleReader(Protocol):
    """Gives stored samples by key."""

    def get_many(self, keys: Sequence[str]) -> list[Sample]:
        """Return samples in the order of `keys`; their arrays may be read-only views.

        Raises:
            SampleError: A value is damaged.
        """
        ...


@attrs.frozen(eq=False, kw_only=True)
class Filler:
    """Makes batches of samples; what it makes depends on seed, epoch and keys, not on the process."""

    reader: SampleReader
    layout: Layout
    chain: Chain | None
    seed: int

    def arrange(self, keys: Sequence[str], samples: Sequence[Sample], epoch: int) -> Arrangement:
        """Return the batch of some samples, before it is filled.

        Raises:
            SampleError: A sample, or what an augmentation made of it, does not have the arrays of its spec.
        """
        return self.layout.arrange(self._vary(keys, samples, epoch))

    def _vary(
        self, keys: Sequence[str], samples: Sequence[Sample], epoch: int
    ) -> Mapping[str, Sequence[Mapping[str, Array] | None]]:
        if self.chain is None:
            return {ANCHOR: samples}
        varied: list[Mapping[str, Any]] = []
        for key, sample in zip(keys, samples, strict=True):

            def chance(name: str, key: str = key) -> np.random.Generator:
                return generator(self.seed, "augmentation", name, epoch, key)

            varied.append(self.chain.apply(sample, chance, epoch))
        return {role: [sample[role] for sample in varied] for role in self.layout.roles}
