"""How far a long step is, as plain numbers; drawing is the command line's business."""

import time
from collections.abc import Callable

import attrs


@attrs.frozen(kw_only=True)
class Progress:
    """How far a step is."""

    done: int
    """Units finished, failed ones included."""
    total: int
    failed: int
    bytes: int
    """Bytes written so far."""
    seconds: float
    """Time since the step began."""

    @property
    def per_second(self) -> float:
        """Return the mean rate so far."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def remaining_s(self) -> float | None:
        """Return the time that is left at this rate, or None while nothing is known."""
        return (self.total - self.done) / self.per_second if self.done and self.seconds > 0 else None


class Meter:
    """Counts the units of a step, and shows them a few times a second."""

    def __init__(self, total: int, show: Callable[[Progress], None], *, interval_s: float = 0.1) -> None:
        self._total = total
        self._show = show
        self._interval_s = interval_s
        self._begin = time.monotonic()
        self._shown = self._begin
        self.done = 0
        self.failed = 0
        self.bytes = 0

    def add(self, *, failed: bool, size: int) -> None:
        """Count one unit, and show the state if the last showing is some time ago."""
        self.done += 1
        self.failed += failed
        self.bytes += size
        if time.monotonic() - self._shown >= self._interval_s:
            self.show()

    def state(self) -> Progress:
        """Return the state."""
        seconds = time.monotonic() - self._begin
        return Progress(done=self.done, total=self._total, failed=self.failed, bytes=self.bytes, seconds=seconds)

    def show(self) -> None:
        """Show the state now."""
        self._shown = time.monotonic()
        self._show(self.state())
