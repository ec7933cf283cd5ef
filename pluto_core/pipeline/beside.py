"""A thread beside the one that loads: what is large is copied, unpacked and turned without the interpreter, by two at once."""

import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

_threads: list[ThreadPoolExecutor] = []
os.register_at_fork(after_in_child=_threads.clear)  # a fork has the object, and not the thread


def together(action: Callable[[], object], first: Callable[[], object] = bool) -> None:
    """Do `action` in the thread beside, and here as well after `first`; return when all is done.

    Args:
        action: Takes one piece of work after the other from something that both share, until none is left.
        first: What needs the interpreter; it gives way now and then (`give_way`), so that the other finds its next piece.
    """
    if not _threads:
        _threads.append(ThreadPoolExecutor(1, thread_name_prefix="pluto-copies"))
    beside = _threads[0].submit(action)
    try:
        first()
        action()
    finally:
        _await(beside)
    beside.result()


def give_way() -> None:
    """Let the thread beside have the interpreter, if it waits for it, until its next piece is under way."""
    time.sleep(0)


def _await(beside: Future[object]) -> None:
    """Wait, also after a mistake or Ctrl-C: what is read there may be lent for this moment only."""
    try:
        wait([beside])
    except BaseException:
        wait([beside])
        raise
