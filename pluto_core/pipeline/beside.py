"""A thread beside the one that loads: what is large is copied, unpacked and turned without the interpreter, by two at once."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait

_threads: list[ThreadPoolExecutor] = []
_idents: set[int] = set()
os.register_at_fork(after_in_child=_threads.clear)  # a fork has the object, and not the thread
os.register_at_fork(after_in_child=_idents.clear)


class Errand:
    """Pieces of work that the thread beside does one after the other, and that are finished here as well.

    What they read is given back once, when all are done. The thread holds the errand while it works, so that nothing is given
    back under its hands, wherever somebody who began an errand is interrupted and lets go of it.
    """

    def __init__(self, pieces: Iterable[Callable[[], object]], lent: contextlib.ExitStack) -> None:
        """Take what is to be done.

        Args:
            pieces: Each may be done at the same time as any other.
            lent: Gives back what they read.
        """
        self._all = list(pieces)
        self._pieces = iter(self._all)  # of a list two threads may take at a time
        self._lent = lent
        self._thread: ThreadPoolExecutor | None = None
        self._beside: Future[object] | None = None

    def start(self) -> None:
        """Begin, if there is anything to do."""
        if self._all:
            self._thread = _thread()
            self._beside = self._thread.submit(self._work)

    def finish(self) -> bool:
        """Do what is left, wait for the rest, and give back what was lent.

        Returns:
            Whether all is done: not in a fork of the process that began it, which lacks the thread and what was lent, nor in
            that thread, which a garbage collector made close what somebody else left, and which cannot wait for itself.

        Raises:
            Exception: Whatever a piece raised.
        """
        if self._thread is not None and self._thread not in _threads:
            self._lent.close()
            return False
        if threading.get_ident() in _idents:
            self._thread = self._thread or _thread()
            self._thread.submit(self._lent.close)  # after what it does now
            return False
        try:
            self._finish()
        finally:
            self._lent.close()
        return True

    def _finish(self) -> None:
        if self._thread is None:
            self._work()
            return
        beside = self._beside or self._thread.submit(bool)  # Ctrl-C came as it was begun: what is done after it ends after it
        try:
            self._work()
        finally:
            _await(beside)
        beside.result()

    def _work(self) -> None:
        for piece in self._pieces:
            piece()


def together(action: Callable[[], object], first: Callable[[], object] = bool) -> None:
    """Do `action` in the thread beside, and here as well after `first`; return when all is done.

    Args:
        action: Takes one piece of work after the other from something that both share, until none is left.
        first: What needs the interpreter.
    """
    beside = _thread().submit(action)
    try:
        first()
        action()
    finally:
        _await(beside)
    beside.result()


def _thread() -> ThreadPoolExecutor:
    if not _threads:
        _threads.append(ThreadPoolExecutor(1, thread_name_prefix="pluto-copies", initializer=_introduce))
    return _threads[0]


def _introduce() -> None:
    _idents.add(threading.get_ident())


def _await(beside: Future[object]) -> None:
    """Wait, also after a mistake or Ctrl-C: what is read there may be lent for this moment only."""
    try:
        wait([beside])
    except BaseException:
        wait([beside])
        raise
