"""Ctrl-C: the first one asks for an orderly end, the second one stops at once."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any


class Interrupts:
    """While entered, the first Ctrl-C sets `asked`, and the second raises KeyboardInterrupt.

    Outside of the main thread, where signals cannot be caught, it does nothing.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self.asked = False
        self._note = note
        self._before: Any = None

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        self._note("stopping after what is in work; Ctrl-C again stops at once")

    def __enter__(self) -> "Interrupts":
        """Catch Ctrl-C from now on."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, *_error: object) -> None:
        """Give Ctrl-C back to whoever had it."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
