"""What a process of the worker `processes` does: one session, batch after batch, until told to stop."""

import contextlib
import enum
import pickle
import signal
import traceback
from multiprocessing.connection import Connection
from typing import Any

from pluto_core.protocols import Job, Session


class Message(enum.Enum):
    """What a process says."""

    READY = "ready"
    """Its session is open, and the last batch, if there was one, is done."""
    RESULT = "result"
    FAILED = "failed"
    """An error ended the session."""


class _AloneError(Exception):
    """Nobody listens any more."""


def serve(pipe: Connection, job: Job, slot: int) -> None:
    """Work until the pipe says stop or ends; tell errors, and close the session in every case."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with job.open(slot) as session:
            _work(pipe, session)
    except _AloneError:
        return
    except BaseException as error:  # noqa: BLE001 -- it is raised where the results are awaited
        with contextlib.suppress(_AloneError):
            _say(pipe, Message.FAILED, _portable(error))
    finally:
        pipe.close()


def _work(pipe: Connection, session: Session) -> None:
    while True:
        _say(pipe, Message.READY)
        try:
            batch = pipe.recv()
        except (EOFError, OSError):
            return
        if batch is None:
            return
        for result in session.run(batch):
            _say(pipe, Message.RESULT, result)
            if pipe.poll():  # during a batch, only "stop" or the end of the pipe can come
                return


def _say(pipe: Connection, message: Message, content: Any = None) -> None:
    try:
        pipe.send((message, content))
    except OSError:
        raise _AloneError from None


def _portable(error: BaseException) -> tuple[BaseException, str]:
    """Return the error, or one that says the same where it cannot be sent, and its traceback."""
    trace = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 -- a proof that it survives, on our own bytes
    except Exception:  # noqa: BLE001 -- whatever keeps it from being sent
        return RuntimeError(f"{type(error).__name__}: {error}"), trace
    return error, trace
