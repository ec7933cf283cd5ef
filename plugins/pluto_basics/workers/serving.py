"""What a process of the worker `processes` does: one session, batch after batch, until told to stop or past its limits."""

import contextlib
import enum
import signal
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

import attrs

from pluto_core.errors import PlutoError
from pluto_core.jobs import Batch, Lost, portable
from pluto_core.machine import held_bytes
from pluto_core.protocols import Job, Session

HELD_BACK = (signal.SIGINT, signal.SIGTERM)
"""Signals that a process is started with blocked, until it knows what to do about them."""


class Message(enum.Enum):
    """What a process says."""

    READY = "ready"
    """Its session is open, and the last batch, if there was one, is done."""
    RESULT = "result"
    RETIRING = "retiring"
    """It leaves the rest of its batch to others, closes its session and ends."""
    FAILED = "failed"
    """An error ended the session."""


class _AloneError(Exception):
    """Nobody listens any more, or there is nothing to listen for."""


@attrs.define
class _Ending:
    """What SIGTERM means, which schedulers send to every process of a job: finish the unit, and end; where idle, at once."""

    asked: bool = False
    waiting: bool = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        if self.waiting:
            raise _AloneError


@attrs.frozen(kw_only=True)
class Limits:
    """When a process makes room for a new one."""

    units: int | None = None
    """Units that it does in its life."""
    held_bytes: int | None = None
    """Memory that it may hold between two units."""

    def check_start(self) -> None:
        """Refuse a limit under which no process could do more than one unit.

        Raises:
            PlutoError: This process holds more than the limit before its first unit.
        """
        held = held_bytes()
        if self.held_bytes is not None and held is not None and held > self.held_bytes:
            message = (
                f"worker.memory_mb = {self.held_bytes / 1e6:g}: a process holds {held / 1e6:.0f} MB before its first scenario; "
                "allow at least twice as much"
            )
            raise PlutoError(message)

    def reached(self, units: int) -> bool:
        """Return whether a process that did so many units is to end."""
        if self.units is not None and units >= self.units:
            return True
        held = held_bytes() if self.held_bytes is not None else None
        return held is not None and self.held_bytes is not None and held > self.held_bytes


def serve(pipe: Connection, job: Job, slot: int, limits: Limits) -> None:
    """Work until the pipe says stop or ends, or a limit is reached; tell errors, and close the session in every case."""
    ending = _Ending()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, ending)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
    try:
        with job.open(slot) as session:
            limits.check_start()
            _work(pipe, session, limits, ending)
    except _AloneError:
        return
    except BaseException as error:  # noqa: BLE001 -- it is raised where the results are awaited
        with contextlib.suppress(_AloneError):
            _say(pipe, Message.FAILED, portable(error))
    finally:
        pipe.close()


def _work(pipe: Connection, session: Session, limits: Limits, ending: _Ending) -> None:
    units = 0
    while not ending.asked:
        _say(pipe, Message.READY)
        batch = _heard(pipe, ending)
        if batch is None:
            return
        for result in session.run(batch):
            _say(pipe, Message.RESULT, result)
            units += 1
            if pipe.poll():  # during a batch, only "stop" or the end of the pipe can come
                return
            if isinstance(result, Lost) or limits.reached(units) or ending.asked:
                _say(pipe, Message.RETIRING)
                return


def _heard(pipe: Connection, ending: _Ending) -> Batch | None:
    """Return the next batch, or None where there is none to come."""
    ending.waiting = True
    try:
        batch: Batch | None = pipe.recv()
    except (EOFError, OSError):
        return None
    ending.waiting = False
    return batch


def _say(pipe: Connection, message: Message, content: Any = None) -> None:
    try:
        pipe.send((message, content))
    except OSError:
        raise _AloneError from None
