"""Damaged samples and what stood in for them, told by every process that was forked to train to the one that forked it."""

import json
import os
import tempfile
import weakref
from collections.abc import Callable

import attrs

from pluto_core.errors import Reason

_MOST = 1 << 26
"""Bytes of notes that are read; each has some hundred."""


@attrs.frozen(kw_only=True)
class Replacement:
    """A damaged sample and what stood in for it when it was asked for last."""

    damaged: str
    taken: str
    epoch: int
    reason: Reason
    detail: str


class Replacements:
    """What stood in, by damaged sample.

    Forks write into one file without a name, at one position that they share, and which ends with the last of them.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.mine: dict[str, Replacement] = {}
        """Those of this process and, if it was forked, those that were known then."""
        with tempfile.TemporaryFile() as file:
            self._handle = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._handle)

    def add(self, one: Replacement) -> None:
        """Note one."""
        self.mine[one.damaged] = one
        os.write(self._handle, json.dumps(attrs.asdict(one)).encode() + b"\n")

    def all(self) -> dict[str, Replacement]:
        """Return those of this process and of its forks."""
        lines = os.pread(self._handle, _MOST, 0).splitlines()
        found = [Replacement(**{**plain, "reason": Reason(plain["reason"])}) for plain in map(json.loads, lines)]
        return {one.damaged: one for one in found} | self.mine

    def __reduce__(self) -> tuple[Callable[[], "Replacements"], tuple[()]]:
        """Begin anew in a process that is no fork."""
        return Replacements, ()
