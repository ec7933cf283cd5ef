"""A thread beside the one that loads: what is large is copied, unpacked and turned without the interpreter, by two at once."""

import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait

_threads: list[ThreadPoolExecutor] = []
os.register_at_fork(after_in_child=_threads.clear)  # a fork has the object, and not the thread


class Errand:
    """Pieces of work that the thread beside does one after the other, and that are finished here as well."""

    def __init__(self, pieces: Iterable[Callable[[], object]]) -> None:
        """Take what is to be done.

        Args:
            pieces: Each may be done at the same time as any other.
        """
        self._pieces = iter(list(pieces))  # of a list two threads may take at a time
        self._thread: ThreadPoolExecutor | None = None
        self._beside: Future[object] | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = _thread()
        self._beside = self._thread.submit(self._work)

    def finish(self) -> None:
        """Do what is left and wait for the rest; what was begun in another process is left alone.

        Raises:
            Exception: Whatever a piece raised.
        """
        if self._thread is None or self._thread not in _threads:  # not begun, or a fork: nobody works on it there
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
        first: What needs the interpreter; it gives way now and then (`give_way`), so that the other finds its next piece.
    """
    beside = _thread().submit(action)
    try:
        first()
        action()
    finally:
        _await(beside)
    beside.result()


def give_way() -> None:
    """Let the thread beside have the interpreter, if it waits for it, until its next piece is under way."""
    time.sleep(0)


def _thread() -> ThreadPoolExecutor:
    if not _threads:
        _threads.append(ThreadPoolExecutor(1, thread_name_prefix="pluto-copies"))
    return _threads[0]


def _await(beside: Future[object]) -> None:
    """Wait, also after a mistake or Ctrl-C: what is read there may be lent for this moment only."""
    try:
        wait([beside])
    except BaseException:
        wait([beside])
        raise
