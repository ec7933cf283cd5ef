"""A thread beside the one that loads: what is large is copied, unpacked and turned without the interpreter, by two at once."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

_threads: list[ThreadPoolExecutor] = []
os.register_at_fork(after_in_child=_threads.clear)  # a fork has the object, and not the thread


def together(action: Callable[[], object], then: Callable[[], object] = bool) -> None:
    """Do `action` here and in the thread beside at the same time, then `then` here; return when all is done.

    Args:
        action: Takes one piece of work after the other from something that both share, until none is left.
        then: What needs the interpreter.
    """
    if not _threads:
        _threads.append(ThreadPoolExecutor(1, thread_name_prefix="pluto-copies"))
    beside = _threads[0].submit(action)
    try:
        action()
        then()
    finally:
        _await(beside)
    beside.result()


def _await(beside: Future[object]) -> None:
    """Wait, also after a mistake or Ctrl-C: what is read there may be lent for this moment only."""
    try:
        wait([beside])
    except BaseException:
        wait([beside])
        raise
