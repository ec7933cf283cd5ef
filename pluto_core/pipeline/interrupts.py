"""Ctrl-C, or the SIGTERM of a scheduler: the first one asks for an orderly end, the second one stops at once."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_CAUGHT = (signal.SIGINT, signal.SIGTERM)
_TEXT = "stopping after what is in work; Ctrl-C again stops at once"


class Interrupts:
    """While entered, the first signal sets `asked`, and the second raises KeyboardInterrupt.

    Outside of the main thread, where signals cannot be caught, it does nothing.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self.asked = False
        self._note = note
        self._before: dict[signal.Signals, Any] = {}

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        try:
            self._note(_TEXT)
        except RuntimeError:  # it came within a write, and Python lets no thread begin another one there: say it after that
            threading.Thread(target=self._note, args=(_TEXT,)).start()

    def __enter__(self) -> "Interrupts":
        """Catch signals from now on."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._on_signal) for number in _CAUGHT}
        return self

    def __exit__(self, *_error: object) -> None:
        """Give signals back to whoever had them."""
        for number, before in self._before.items():
            signal.signal(number, before)
