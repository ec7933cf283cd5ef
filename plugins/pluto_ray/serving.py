"""What an actor does: one session, a spell of units at a time, until it is told to close."""

import contextlib
import os
import pickle
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import ray

from pluto_core import PlutoError
from pluto_core.jobs import Batch, Lost, portable
from pluto_core.machine import held_bytes
from pluto_core.pipeline.folder import LOCKS, CacheFolder
from pluto_core.pipeline.locks import Owner
from pluto_core.pipeline.session import CacheJob
from pluto_core.protocols import Job, Session


@attrs.frozen(kw_only=True)
class Surroundings:
    """The driver's process, as far as an actor takes after it."""

    folder: str
    paths: tuple[str, ...]
    """`sys.path`."""

    @classmethod
    def here(cls) -> "Surroundings":
        """Return those of this process."""
        return cls(folder=str(Path.cwd()), paths=tuple(sys.path))

    def take(self) -> None:
        """Go to the same folder and import from the same places, where they exist."""
        with contextlib.suppress(OSError):
            os.chdir(self.folder)
        sys.path += [path for path in self.paths if path not in sys.path and (not path or Path(path).exists())]


@attrs.frozen(kw_only=True)
class Order:
    """What an actor needs to know before it can begin."""

    job: Job
    driver: Owner | None = None
    """Who holds the cache, where nodes are to share its folder; to prove that they do."""
    place: "Place | None" = None
    """Where to write instead, where they do not."""
    held_bytes: int | None = None
    """Memory that the process may hold between two units."""


@attrs.frozen(kw_only=True)
class Place:
    """The folder on a node that stands in for a cache."""

    scratch: str | None
    """Parent folder; None: the node's folder for temporary files."""
    name: str

    def stand_in(self, cache: CacheFolder) -> CacheFolder:
        """Return the folder of this node, which exists then."""
        path = Path(self.scratch or tempfile.gettempdir()).expanduser() / self.name
        path.mkdir(parents=True, exist_ok=True)
        return CacheFolder(path, cache.store, name=cache.name)


@attrs.frozen(kw_only=True)
class Answer:
    """What came of one call."""

    results: tuple[Any, ...] = ()
    """Of the units that were done, in order."""
    over: bool = False
    """Whether the batch is done."""
    retired: bool = False
    """Whether the session is closed, because its process holds too much memory, or has too little."""
    failed: tuple[BaseException, str] | None = None
    """The error that ended the session, and its traceback."""


class Serving:
    """One actor."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._work: Iterator[Any] = iter(())
        self._held_bytes: int | None = None

    def hello(self, surroundings: Surroundings) -> str:
        """Take after the driver, and return the id of the node."""
        surroundings.take()
        node: str = ray.get_runtime_context().get_node_id()
        return node

    def open(self, packed: bytes, slot: int) -> Answer:
        """Open the session of an `Order`."""
        try:
            order: Order = pickle.loads(packed)  # noqa: S301 -- from the driver, who runs code here anyway
            self._held_bytes = order.held_bytes
            self._session = job_of(order).open(slot).__enter__()
            self._check_start()
        except BaseException as error:  # noqa: BLE001 -- it is raised where the results are awaited
            failed = portable(error)
            with contextlib.suppress(Exception):  # what ended the session is told, not what followed
                self._exit(error)
            return Answer(failed=failed)
        return Answer(over=True)

    def work(self, batch: Batch | None, spell_s: float) -> Answer:
        """Go on with a batch, or begin one, for a while: at least one unit, and no new one after `spell_s`."""
        until = time.monotonic() + spell_s
        results = []
        try:
            if batch is not None and self._session is not None:
                self._work = self._session.run(batch)
            for result in self._work:
                results.append(result)
                if isinstance(result, Lost) or self._too_large():
                    self._exit(None)
                    return Answer(results=tuple(results), retired=True)
                if time.monotonic() >= until:
                    return Answer(results=tuple(results))
        except BaseException as error:  # noqa: BLE001 -- it is raised where the results are awaited
            failed = portable(error)
            with contextlib.suppress(Exception):  # what ended the session is told, not what followed
                self._exit(error)
            return Answer(results=tuple(results), failed=failed)
        return Answer(results=tuple(results), over=True)

    def close(self) -> Answer:
        """Close the session; a second call does nothing."""
        try:
            self._exit(None)
        except BaseException as error:  # noqa: BLE001 -- it is raised where the results are awaited
            return Answer(failed=portable(error))
        return Answer(over=True)

    def _check_start(self) -> None:
        """Refuse a limit under which no process could do more than one unit.

        Raises:
            PlutoError: This process holds more than the limit before its first unit.
        """
        if self._too_large() and self._held_bytes is not None:
            message = (
                f"worker.memory_mb = {self._held_bytes / 1e6:g}: an actor holds {(held_bytes() or 0) / 1e6:.0f} MB before "
                "its first scenario; allow at least twice as much"
            )
            raise PlutoError(message)

    def _too_large(self) -> bool:
        return self._held_bytes is not None and (held_bytes() or 0) > self._held_bytes

    def _exit(self, error: BaseException | None) -> None:
        session, self._session = self._session, None
        self._work = iter(())
        if session is not None:
            session.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)


def job_of(order: Order) -> Job:
    """Return the job as it can be done on this node.

    Raises:
        PlutoError: The cache's folder is not shared with this node.
    """
    job = order.job
    if not isinstance(job, CacheJob):
        return job
    if order.place is not None:
        return attrs.evolve(job, folder=order.place.stand_in(job.folder))
    if order.driver is not None and not holds(order.driver, job.folder.path):
        message = (
            f"node {Owner.this().host} does not see the cache {job.folder.path} that {order.driver.host} makes; "
            "choose a cache.path that all nodes share, or write worker.shared = false"
        )
        raise PlutoError(message)
    return job


def holds(driver: Owner, cache: Path) -> bool:
    """Return whether a process is seen to hold the cache in a folder."""
    found = [Owner.read(path) for path in (cache / LOCKS).glob("run-*")]
    return any(one is not None and (one.host, one.process) == (driver.host, driver.process) for one in found)
