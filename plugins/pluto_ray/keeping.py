"""What the sessions of a cache step leave on their nodes, how it comes into the cache, and what was lost on the way."""

import contextlib
import hashlib
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import ray
from ray import cloudpickle
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pluto_core import PlutoError
from pluto_core.jobs import Batch, Lost
from pluto_core.pipeline.failures import Failure, FailureLog
from pluto_core.pipeline.folder import CacheFolder
from pluto_core.pipeline.locks import Owner
from pluto_core.pipeline.session import CacheJob, Done, Unit
from pluto_core.protocols import Job
from pluto_ray import cluster
from pluto_ray.config import RayConfig
from pluto_ray.gathering import gather
from pluto_ray.serving import Order, Place, Surroundings, holds
from pluto_ray.steward import Steward


class Keeper:
    """Looks after what the sessions of one run write. For jobs that write no cache it does nothing."""

    def __init__(self, job: Job, config: RayConfig, note: Callable[[str], None]) -> None:
        self._job, self._note = job, note
        self._folder: CacheFolder | None = job.folder if isinstance(job, CacheJob) else None
        self._place: Place | None = None
        if self._folder is not None and not config.shared:
            whole = f"{socket.gethostname()}:{self._folder.path}".encode()
            name = f"pluto-cache-{hashlib.blake2b(whole, digest_size=8).hexdigest()}"
            self._place = Place(scratch=config.scratch, name=name)
        self._held_bytes = config.memory_bytes
        self._gained = False
        self._settled = True
        self.harmed = False
        """Whether a session was lost since the cache was last complete."""

    @property
    def order(self) -> bytes:
        """Return what actors need to know, packed."""
        owner = Owner.this()
        proven = self._folder is not None and self._place is None and holds(owner, self._folder.path)
        order = Order(job=self._job, driver=owner if proven else None, place=self._place, held_bytes=self._held_bytes)
        packed: bytes = cloudpickle.dumps(order)
        return packed

    def begin(self) -> None:
        """Bring in what an earlier run, whose driver was killed, left on other nodes."""
        foreign = any(node.host != socket.gethostname() for node in cluster.nodes())
        if self._folder is not None and (foreign or self._place is not None):
            self._gained = self._collect() > 0
        self._settled = False

    def known(self, batch: Batch) -> Mapping[int, Any]:
        """Return results of units whose samples were brought in at the beginning, by their number in the batch."""
        if self._folder is None or not self._gained:
            return {}
        lacking = _lacking(self._folder, batch.units)
        return {place: Done(0) for place in np.flatnonzero(~lacking).tolist()}

    def left(self, batches: Sequence[Batch]) -> list[Batch]:
        """Bring everything in, and return what has to be done again, for it was lost with its node."""
        if self._folder is None or not (self.harmed or self._place is not None):
            self._settled = True
            return []
        self._collect()
        self._settled, self.harmed, self._gained = True, False, False
        failed = self._folder.failures()
        again = []
        for batch in batches:
            lacking = _lacking(self._folder, batch.units)
            units = tuple(
                unit
                for unit, lacks in zip(batch.units, lacking.tolist(), strict=True)
                if lacks and not any((tag, unit.scenario.key) in failed for tag in unit.tags)
            )
            again += [attrs.evolve(batch, units=units)] if units else []
        return again

    def give_up(self, unit: Unit, lost: Lost) -> None:
        """Record a unit that was lost when it was done again."""
        if self._folder is not None:
            with contextlib.closing(FailureLog(self._folder.path)) as log:
                for tag in unit.tags:
                    log.add(Failure(scenario=unit.scenario, builder=tag, reason=lost.reason, detail=lost.detail))

    def end(self) -> None:
        """Bring in what is still elsewhere, where a run ends before its time."""
        if self._folder is not None and not self._settled and (self._place is not None or self.harmed):
            self._settled = True
            with contextlib.suppress(RayError, PlutoError):  # what ended the run is told; the next one brings it in
                self._collect()

    def _collect(self) -> int:
        """Seal what killed sessions left on any node, fetch what nodes hold, and return how many shards came of it."""
        folder = self._folder
        if folder is None:
            return 0
        came = 0
        for steward in self._stewards(folder):
            if steward is None:
                came += folder.shards.adopt(self._note)
                continue
            try:
                notes = ray.get(steward.adopt.remote())
                came += len(notes) + (gather(steward, folder) if self._place is not None else 0)
            except RayError:
                self.harmed = True  # its node is gone, with all that it held
                continue
            for note in notes:
                self._note(note)
            ray.kill(steward)
        return came

    def _stewards(self, folder: CacheFolder) -> Iterator[Any]:
        """Yield a steward for each node; None stands for this machine, where this process sees all there is to see."""
        nodes = cluster.nodes()
        if self._place is None:
            if any(node.host == socket.gethostname() for node in nodes):
                yield None
            nodes = [node for node in nodes if node.host != socket.gethostname()]
        packed = cloudpickle.dumps(folder)
        make = ray.remote(Steward)
        stewards = [
            make.options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False)).remote(
                Surroundings.here(), packed, self._place
            )
            for node in nodes
        ]
        yield from stewards


def _lacking(folder: CacheFolder, units: Sequence[Unit]) -> npt.NDArray[np.bool_]:
    """Return for each unit whether the cache lacks a sample of one of its builders."""
    index = folder.index()
    keys = np.asarray([unit.scenario.key.encode() for unit in units])
    lacking = np.zeros(len(units), np.bool_)
    for tag in {tag for unit in units for tag in unit.tags}:
        asked = np.asarray([tag in unit.tags for unit in units])
        lacking |= asked & (index.places_of(tag, keys) < 0)
    return lacking
