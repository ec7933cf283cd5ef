"""Buffers that batches take turns in: memory that was touched before costs a quarter of fresh memory.

A slot is valid until it is handed out again, `slots` batches later. Whoever keeps it longer reads another batch; `poison`
makes that visible.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from pluto_core.errors import PlutoError

Bytes = npt.NDArray[np.uint8]

ALIGNMENT = 64
"""Bytes; a cache line, and what vector units like."""
_POISON = 0xFF
"""Fills floats with NaN, integers with -1 or their greatest value."""
_SPARE = 1.1
"""How much larger than asked a grown buffer is, so that slightly larger batches do not grow it again."""


class Ring:
    """A fixed number of buffers that grow when needed and are handed out in turn."""

    def __init__(self, slots: int, *, poison: bool = False) -> None:
        """Keep `slots` buffers, at first empty.

        Args:
            slots: How many batches may be in use at a time; at least those prefetched plus two.
            poison: Whether a slot whose turn comes again is overwritten and replaced by fresh memory, so that late readers
                see NaN and not a later batch. Slow; for finding mistakes.
        """
        if slots < 1:
            message = f"a ring needs at least one slot, not {slots}"
            raise PlutoError(message)
        self._buffers = [np.empty(0, np.uint8) for _ in range(slots)]
        self._poison = poison
        self._next = 0

    def __len__(self) -> int:
        """Return the number of slots."""
        return len(self._buffers)

    @property
    def nbytes(self) -> int:
        """Return the memory that the slots hold."""
        return sum(buffer.nbytes for buffer in self._buffers)

    def take(self, nbytes: int) -> Bytes:
        """Return the next slot as `nbytes` bytes with any content; what it held before is no longer valid."""
        return self.turn()(nbytes)

    def turn(self) -> Callable[[int], Bytes]:
        """Return what gives the next slot, again and again, as so many bytes; what it held before is no longer valid."""
        place, self._next = self._next, (self._next + 1) % len(self._buffers)
        if self._poison:
            self._buffers[place].fill(_POISON)
            self._buffers[place] = np.empty(0, np.uint8)
        return partial(self._grown, place)

    def _grown(self, place: int, nbytes: int) -> Bytes:
        if self._buffers[place].nbytes < nbytes:
            self._buffers[place] = aligned(max(nbytes, int(nbytes * _SPARE)))
        return self._buffers[place][:nbytes]

    def __reduce__(self) -> tuple[Callable[..., "Ring"], tuple[int]]:
        """Leave the memory out."""
        return partial(Ring, poison=self._poison), (len(self),)


def aligned(nbytes: int) -> Bytes:
    """Return `nbytes` fresh bytes that begin at a multiple of `ALIGNMENT`."""
    raw = np.empty(nbytes + ALIGNMENT, np.uint8)
    first = -raw.ctypes.data % ALIGNMENT
    return raw[first : first + nbytes]
