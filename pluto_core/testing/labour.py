"""Work for workers, to see how they do it: sessions leave a trace in a folder, and fail where they are told to."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import attrs

from pluto_core.errors import Reason
from pluto_core.jobs import Batch, Lost


class UnitError(Exception):
    """What a session raises at a unit that is called `fail`."""


@attrs.frozen(kw_only=True)
class Trace:
    """The result of one unit: where it was done."""

    unit: str
    slot: int
    process: int


@attrs.frozen
class Labour:
    """A job. Units are words: `fail...` raises, `die...` ends the process, `slow...` takes a moment, `lost...` is given up."""

    folder: Path
    """Sessions write `open-SLOT-PROCESS` here, and `closed-SLOT-PROCESS` at the end."""

    def open(self, slot: int) -> "LabourSession":
        """Return a session."""
        return LabourSession(self.folder, slot)


class LabourSession:
    """One worker's share."""

    def __init__(self, folder: Path, slot: int) -> None:
        self._folder, self._slot = folder, slot
        (folder / f"open-{slot}-{os.getpid()}").touch()

    def run(self, batch: Batch) -> Iterator[Trace | Lost]:
        """Yield a trace a unit, or that it is given up.

        Raises:
            UnitError: The unit is called `fail`.
        """
        for unit in batch.units:
            if unit.startswith("fail"):
                message = f"cannot do {batch.group}/{unit}"
                raise UnitError(message)
            if unit.startswith("die"):
                os._exit(3)
            if unit.startswith("slow"):
                time.sleep(0.02)
            if unit.startswith("lost"):
                yield Lost(Reason.EXCEPTION, f"MemoryError at {unit}")
                continue
            yield Trace(unit=unit, slot=self._slot, process=os.getpid())

    def __enter__(self) -> "LabourSession":
        """Return self."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the trace of an orderly end."""
        (self._folder / f"closed-{self._slot}-{os.getpid()}").touch()
