"""Batches of one part: rows from the sampler, samples from the cache, variants from augmentations, arrays from the layout.

Everything that is drawn depends on the seed, the epoch and the sample's key, never on ranks, on the batch in which a sample
stands, or on where an epoch was entered. A loader holds no position: `batches(epoch, skip=n)` goes on exactly there.
"""

import contextlib
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import attrs
import numpy as np

from pluto_core.arrays import SampleSpec
from pluto_core.errors import PlutoError, SampleError
from pluto_core.jobs import SampleBatch
from pluto_core.listing import Listing
from pluto_core.machine import processors
from pluto_core.pipeline.allocator import keep_freed_memory
from pluto_core.pipeline.augmenting import chain
from pluto_core.pipeline.crew import Answer, Crews, Request
from pluto_core.pipeline.filling import Begun, Filler, SampleReader
from pluto_core.pipeline.layout import Arrangement, Filled, Layout
from pluto_core.pipeline.randomness import generator
from pluto_core.pipeline.replacements import Replacement, Replacements
from pluto_core.pipeline.ring import Bytes, Ring
from pluto_core.pipeline.sampler import Rows, Sampler, weights_by_type
from pluto_core.protocols import Augmentation
from pluto_core.samples import Sample
from pluto_core.scene import ScenarioId
from pluto_core.settings import LoaderSettings

TRAIN = "train"
"""The part that is shuffled, weighted and cut."""
ATTEMPTS = 100
"""How many other samples are tried in place of a damaged one before the data is given up."""


@attrs.frozen(eq=False)
class _Order:
    """A batch that is to be filled."""

    ids: tuple[ScenarioId, ...]
    keys: tuple[str, ...]
    epoch: int
    take: Callable[[int], Bytes]
    """Returns its buffer, of so many bytes."""


class BatchLoader:
    """The batches of one part; see `pluto_core.protocols.BatchSource`."""

    def __init__(
        self,
        reader: SampleReader,
        listing: Listing,
        *,
        spec: SampleSpec,
        settings: LoaderSettings,
        part: str,
        seed: int,
        augmentations: Sequence[Augmentation] = (),
        slots: int = 4,
    ) -> None:
        """Prepare batches; nothing is read yet.

        Args:
            reader: Where samples are.
            listing: Scenarios of the part, in the same order on every rank.
            spec: Spec of the stored samples.
            settings: `[loader]`. Order, weights and dropped batches concern the part `train` only.
            part: `train`, `val` or `test`.
            seed: Seed of the experiment; every part draws its own numbers from it.
            augmentations: In order; given by the caller to the parts that are to be varied.
            slots: How many batches are valid at a time; at least those that the consumer prefetches plus two.

        Raises:
            PlutoError: Settings do not fit the part, or an augmentation lacks an array that it needs.
        """
        if settings.workers and not getattr(reader, "shared", True):
            message = (
                "the cache lives in this process, so that no other can read it; set loader.workers = 0, or change cache.use"
            )
            raise PlutoError(message)
        self._seed, self._part, self._settings = seed, part, settings
        self._listing = _share(listing, getattr(settings, f"{part}_fraction"), seed, part)
        self._sampler = _sampler(self._listing, settings, seed, part)
        links = chain(augmentations, spec) if augmentations else None
        layout = Layout(spec, links.specs if links else None)
        self._filler = Filler(reader=reader, layout=layout, chain=links, seed=seed, threads=(settings.threads or 1) > 1)
        self._crews = Crews(self._filler, workers=settings.workers, slots=slots)
        self._slots = slots
        self._ring: Ring | None = None
        self.sample_spec: SampleSpec = layout.spec
        """Spec of every array of a batch, without the rows' axis."""
        self.roles = layout.roles
        self._replaced = Replacements()

    def __len__(self) -> int:
        """Return the number of samples of the part."""
        return len(self._listing)

    @property
    def replaced(self) -> dict[str, Replacement]:
        """Return damaged samples that others stood in for, by key; also those of processes that were forked from this one."""
        return self._replaced.all()

    def batch_size(self, *, world: int = 1) -> int:
        """Return the samples in a full batch of each of `world` ranks.

        Raises:
            PlutoError: They cannot share a batch of all devices evenly.
        """
        return self._sampler.rank_rows(world)

    def count(self, *, world: int = 1) -> int:
        """Return the number of batches of an epoch on each of `world` ranks."""
        return self._sampler.count(world)

    def batches(self, epoch: int, *, rank: int = 0, world: int = 1, skip: int = 0) -> Iterator[SampleBatch]:
        """Yield the batches of an epoch from the one numbered `skip` on.

        A batch is valid until `slots - 1` more have been yielded.

        Raises:
            PlutoError: A sample is damaged (or, with `replace`, too many are), the part is too small for one batch, or a
                process that loads was killed.
        """
        every = self._sampler.batch_rows(epoch, rank, world, skip=skip)
        if self._settings.workers:
            with self._own_ring(self._slots) as ring:
                yield from self._of_crew(every, epoch, ring)
            return
        keep_freed_memory()
        self._filler = attrs.evolve(self._filler, threads=_threads(self._settings, world) > 1)
        ahead = self._filler.threads and not self._filler.chain
        with self._own_ring(self._slots + ahead) as ring:
            orders = (self._order(rows, epoch, ring.turn()) for rows in every)
            yield from self._read_ahead(orders) if ahead else map(self._filled, orders)

    @contextlib.contextmanager
    def _own_ring(self, slots: int) -> Iterator[Ring]:
        """Give the ring of the last epoch, whose memory was touched before; another one while that is in use.

        That of an epoch that was left early is not given again: the thread beside may still write into it.
        """
        ring, self._ring = self._ring, None
        if ring is None or len(ring) != slots:
            ring = Ring(slots, poison=self._settings.poison)
        yield ring
        self._ring = ring

    def _order(self, rows: Rows, epoch: int, take: Callable[[int], Bytes]) -> "_Order":
        ids = tuple(map(self._listing.id, rows.tolist()))
        return _Order(ids, tuple(scenario.key for scenario in ids), epoch, take)

    def _read_ahead(self, orders: Iterator["_Order"]) -> Iterator[SampleBatch]:
        """Yield batches; while one is in use, the thread beside copies what is large of the next one."""
        coming: deque[tuple[_Order, Begun | None]] = deque()
        try:
            for order in orders:
                if coming and not coming[0][1]:  # which is read alone: what the next one holds may be what it lacked
                    yield self._finished(*coming.popleft())
                coming.append((order, self._begun(order)))
                if len(coming) > 1:
                    yield self._finished(*coming.popleft())
            while coming:
                yield self._finished(*coming.popleft())
        finally:
            for _, begun in coming:
                if begun:
                    with contextlib.suppress(Exception):  # of a batch that nobody takes
                        begun.finish()

    def _begun(self, order: "_Order") -> Begun | None:
        """Return a batch that is being filled; None where it cannot be."""
        with contextlib.suppress(Exception):  # which is met again, and raised, when its turn comes
            if self._replaced.mine.keys().isdisjoint(order.keys):
                return self._filler.begin(order.keys, order.epoch, order.take)
        return None

    def _finished(self, order: "_Order", begun: Begun | None) -> SampleBatch:
        if begun:
            with contextlib.suppress(SampleError):  # told below
                if found := begun.finish():
                    return self._batch(order.ids, *found)
        return self._filled(order)

    def _filled(self, order: "_Order") -> SampleBatch:
        keys, filled, buffer = self._fill(order.keys, order.epoch, order.take)
        return self._batch(order.ids if keys is order.keys else _ids(keys), filled, buffer)

    def _of_crew(self, every: Iterator[Rows], epoch: int, ring: Ring) -> Iterator[SampleBatch]:
        """Yield the batches that other processes fill."""
        requests = (Request(tuple(self._listing.id(row).key for row in rows.tolist()), epoch) for rows in every)
        with self._crews.take() as crew, contextlib.closing(crew.answers(requests)) as answers:
            for answer in answers:
                yield self._taken(answer, ring)

    def _taken(self, answer: Answer, ring: Ring) -> SampleBatch:
        """Return a batch of a crew; in poison mode as a copy in memory of our own, which can be spoilt."""
        keys, filled = answer.request.keys, answer.filled
        if filled is None:
            keys, filled, _ = self._fill(keys, answer.request.epoch, answer.buffer.take)
        buffer = answer.buffer.take(filled.nbytes)
        if self._settings.poison:
            own = ring.take(filled.nbytes)
            own[:] = buffer
            buffer = own
        return self._batch(_ids(keys), filled, buffer)

    def _batch(self, ids: tuple[ScenarioId, ...], filled: Filled, buffer: Bytes) -> SampleBatch:
        return SampleBatch(arrays=filled.views(buffer), ids=ids, roles=self.roles)

    def _fill(self, keys: tuple[str, ...], epoch: int, take: Callable[[int], Bytes]) -> tuple[tuple[str, ...], Filled, Bytes]:
        if self._replaced.mine.keys().isdisjoint(keys):
            with contextlib.suppress(SampleError):  # told below, or another sample stands in
                return keys, *self._filler.fill(keys, epoch, take)
        keys, arrangement = self._arrange(keys, epoch)
        buffer = take(arrangement.nbytes)
        arrangement.write(buffer)
        return keys, arrangement.filled, buffer

    def _arrange(self, wanted: Sequence[str], epoch: int) -> tuple[tuple[str, ...], Arrangement]:
        """Return the batch of some samples, others standing in for those that are damaged."""
        keys, samples = self._read(wanted, epoch)
        try:
            return keys, self._filler.arrange(keys, samples, epoch)
        except SampleError as error:
            cause = "the cache was made with other settings, or an augmentation is wrong"
            message = f"{error} in the batch of {', '.join(keys)}: {cause}"
            raise PlutoError(message) from error

    def _read(self, keys: Sequence[str], epoch: int) -> tuple[tuple[str, ...], list[Sample]]:
        sound = [key for key in keys if key not in self._replaced.mine]
        try:
            found = dict(zip(sound, self._filler.reader.get_many(sound), strict=True))
        except SampleError:
            found = {}
        pairs = [(key, found[key]) if key in found else self._read_one(key, epoch) for key in keys]
        return tuple(key for key, _ in pairs), [sample for _, sample in pairs]

    def close(self) -> None:
        """End the processes that fill batches; the next epoch starts them again."""
        self._crews.close()

    def _read_one(self, key: str, epoch: int) -> tuple[str, Sample]:
        found = self._attempt(key)
        if not isinstance(found, SampleError):
            return key, found
        if self._settings.on_damaged != "replace":
            message = (
                f"sample {key}: {found}; `pluto cache verify` finds all damage, and the step cache computes it again; "
                'or set loader.on_damaged = "replace"'
            )
            raise PlutoError(message)
        chance = generator(self._seed, "replacement", self._part, epoch, key)
        for row in chance.integers(len(self._listing), size=ATTEMPTS).tolist():
            taken = self._listing.id(row).key
            other = self._attempt(taken)
            if not isinstance(other, SampleError):
                self._replaced.add(Replacement(damaged=key, taken=taken, epoch=epoch, reason=found.reason, detail=found.detail))
                return taken, other
        message = f"sample {key}: {found}; {ATTEMPTS} others that were to stand in for it are damaged too"
        raise PlutoError(message)

    def _attempt(self, key: str) -> Sample | SampleError:
        try:
            return self._filler.reader.get_many([key])[0]
        except SampleError as error:
            return error


def _ids(keys: Sequence[str]) -> tuple[ScenarioId, ...]:
    return tuple(map(ScenarioId.from_key, keys))


def _share(listing: Listing, share: float, seed: int, part: str) -> Listing:
    """Return a drawn share of a part, in its order; a smaller share is part of a larger one."""
    if share >= 1:
        return listing
    wanted = math.ceil(share * len(listing))
    return listing.take(np.sort(generator(seed, "share", part).permutation(len(listing))[:wanted]))


def _threads(settings: LoaderSettings, world: int) -> int:
    """Return in how many threads a training process fills batches: in two where its share of the processors is two."""
    return settings.threads or (2 if processors() >= 2 * world else 1)


def _sampler(listing: Listing, settings: LoaderSettings, seed: int, part: str) -> Sampler:
    own_seed = int(generator(seed, "part", part).integers(2**63))
    limit, shared = getattr(settings, f"limit_{part}_batches"), settings.batch_size_of == "all"
    if part != TRAIN:
        return Sampler(
            len(listing),
            batch_size=settings.eval_batch_size or settings.batch_size,
            shared=shared and settings.eval_batch_size is None,
            seed=own_seed,
            shuffle=False,
            drop_last=False,
            limit_batches=limit,
        )
    return Sampler(
        len(listing),
        batch_size=settings.batch_size,
        shared=shared,
        seed=own_seed,
        shuffle=settings.shuffle,
        drop_last=settings.drop_last,
        weights=weights_by_type(listing.types, settings.type_weights) if settings.type_weights else None,
        replacement=settings.replacement,
        limit_batches=limit,
    )
