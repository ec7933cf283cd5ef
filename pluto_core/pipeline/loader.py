"""Batches of one part: rows from the sampler, samples from the cache, variants from augmentations, arrays from the layout.

Everything that is drawn depends on the seed, the epoch and the sample's key, never on ranks, on the batch in which a sample
stands, or on where an epoch was entered. A loader holds no position: `batches(epoch, skip=n)` goes on exactly there.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import attrs
import numpy as np

from pluto_core.arrays import SampleSpec
from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.jobs import SampleBatch
from pluto_core.pipeline.augmenting import chain
from pluto_core.pipeline.layout import ANCHOR, Layout
from pluto_core.pipeline.randomness import generator
from pluto_core.pipeline.ring import Ring
from pluto_core.pipeline.sampler import Rows, Sampler, Weights
from pluto_core.protocols import Augmentation
from pluto_core.samples import Array, Sample
from pluto_core.scene import ScenarioId

ATTEMPTS = 100
"""How many other samples are tried in place of a damaged one before the data is given up."""


class SampleReader(Protocol):
    """Gives stored samples by key."""

    def get_many(self, keys: Sequence[str]) -> list[Sample]:
        """Return samples in the order of `keys`; their arrays may be read-only views.

        Raises:
            SampleError: A value is damaged.
        """
        ...


@attrs.frozen(kw_only=True)
class Replacement:
    """A damaged sample and what stood in for it when it was asked for last."""

    damaged: str
    taken: str
    epoch: int
    reason: Reason
    detail: str


class BatchLoader:
    """The batches of one part; see `pluto_core.protocols.BatchSource`."""

    def __init__(  # noqa: PLR0913 -- each is a setting of [loader]
        self,
        reader: SampleReader,
        keys: Sequence[str],
        *,
        spec: SampleSpec,
        part: str,
        seed: int,
        batch_size: int,
        augmentations: Sequence[tuple[str, Augmentation]] = (),
        shuffle: bool = False,
        drop_last: bool = False,
        limit_batches: float | None = None,
        weights: Weights | None = None,
        replacement: bool = False,
        on_damaged: str = "error",
        slots: int = 4,
        poison: bool = False,
    ) -> None:
        """Prepare batches; nothing is read yet.

        Args:
            reader: Where samples are.
            keys: Keys of the part's samples (`ScenarioId.key`), in the same order on every rank.
            spec: Spec of the stored samples.
            part: `train`, `val` or `test`; seeds of parts differ.
            seed: Seed of the experiment.
            batch_size: Samples in a batch of one rank, not counting variants.
            augmentations: Name and augmentation, in order. The caller gives them to the part that is to be varied.
            shuffle: Whether each epoch has an order of its own.
            drop_last: Whether to leave out a last step that is not full.
            limit_batches: At most so many batches (integer) or this share of them (float).
            weights: (len(keys),) sampling weights; see `Sampler`.
            replacement: Whether an epoch draws with replacement.
            on_damaged: What a damaged sample does: `error` stops, `replace` takes another one.
            slots: How many batches are valid at a time; at least those that the consumer prefetches plus two.
            poison: Whether to overwrite a batch when its turn is over, to find consumers that keep it too long.

        Raises:
            PlutoError: A setting makes no sense, or an augmentation lacks an array that it needs.
        """
        if on_damaged not in ("error", "replace"):
            message = f"loader.on_damaged must be 'error' or 'replace', not {on_damaged!r}"
            raise PlutoError(message)
        self._reader, self._keys, self._seed, self._part = reader, keys, seed, part
        self._sampler = Sampler(
            len(keys),
            batch_size=batch_size,
            seed=_seed_of(seed, part),
            shuffle=shuffle,
            drop_last=drop_last,
            weights=weights,
            replacement=replacement,
            limit_batches=limit_batches,
        )
        self._chain = chain(augmentations, spec) if augmentations else None
        self._layout = Layout(spec, self._chain.specs if self._chain else None)
        self._replace = on_damaged == "replace"
        self._slots, self._poison = slots, poison
        self.batch_size = batch_size
        self.sample_spec: SampleSpec = self._layout.spec
        """Spec of every array of a batch, without the rows' axis."""
        self.roles = self._layout.roles
        self.replaced: dict[str, Replacement] = {}
        """Damaged samples that others stood in for, by key."""

    def __len__(self) -> int:
        """Return the number of samples of the part."""
        return len(self._keys)

    def count(self, *, world: int = 1) -> int:
        """Return the number of batches of an epoch on each of `world` ranks."""
        return self._sampler.count(world)

    def batches(self, epoch: int, *, rank: int = 0, world: int = 1, skip: int = 0) -> Iterator[SampleBatch]:
        """Yield the batches of an epoch from the one numbered `skip` on.

        A batch is valid until `slots - 1` more have been yielded.

        Raises:
            PlutoError: A sample is damaged (or, with `replace`, too many are), or the part is too small for one batch.
        """
        ring = Ring(self._slots, poison=self._poison)
        for rows in self._sampler.batch_rows(epoch, rank, world, skip=skip):
            keys, samples = self._read(rows, epoch)
            roles = self._vary(keys, samples, epoch)
            try:
                arrangement = self._layout.arrange(roles)
            except SampleError as error:
                cause = "the cache was made with other settings, or an augmentation is wrong"
                message = f"{error} in the batch of {', '.join(keys)}: {cause}"
                raise PlutoError(message) from error
            arrays = arrangement.fill(ring.take(arrangement.nbytes))
            yield SampleBatch(arrays=arrays, ids=tuple(map(ScenarioId.from_key, keys)), roles=self.roles)

    def _read(self, rows: Rows, epoch: int) -> tuple[list[str], list[Sample]]:
        keys = [self._keys[row] for row in rows.tolist()]
        sound = [key for key in keys if key not in self.replaced]
        try:
            found = dict(zip(sound, self._reader.get_many(sound), strict=True))
        except SampleError:
            found = {}
        pairs = [(key, found[key]) if key in found else self._read_one(key, epoch) for key in keys]
        return [key for key, _ in pairs], [sample for _, sample in pairs]

    def _read_one(self, key: str, epoch: int) -> tuple[str, Sample]:
        found = self._attempt(key)
        if not isinstance(found, SampleError):
            return key, found
        if not self._replace:
            message = f'sample {key}: {found}; build it anew with `pluto cache retry`, or set loader.on_damaged = "replace"'
            raise PlutoError(message)
        chance = generator(self._seed, "replacement", self._part, epoch, key)
        for row in chance.integers(len(self._keys), size=ATTEMPTS).tolist():
            other = self._attempt(self._keys[row])
            if not isinstance(other, SampleError):
                taken = self._keys[row]
                self.replaced[key] = Replacement(
                    damaged=key, taken=taken, epoch=epoch, reason=found.reason, detail=found.detail
                )
                return taken, other
        message = f"sample {key}: {found}; {ATTEMPTS} others that were to stand in for it are damaged too"
        raise PlutoError(message)

    def _attempt(self, key: str) -> Sample | SampleError:
        try:
            return self._reader.get_many([key])[0]
        except SampleError as error:
            return error

    def _vary(
        self, keys: Sequence[str], samples: Sequence[Sample], epoch: int
    ) -> Mapping[str, Sequence[Mapping[str, Array] | None]]:
        if self._chain is None:
            return {ANCHOR: samples}
        varied: list[Mapping[str, Any]] = []
        for key, sample in zip(keys, samples, strict=True):

            def chance(name: str, key: str = key) -> np.random.Generator:
                return generator(self._seed, "augmentation", name, epoch, key)

            varied.append(self._chain.apply(sample, chance, epoch))
        return {role: [sample[role] for sample in varied] for role in self.roles}


def _seed_of(seed: int, part: str) -> int:
    return int(generator(seed, "part", part).integers(2**63))
