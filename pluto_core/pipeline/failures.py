"""`failures.jsonl`: the scenarios that gave no sample, or whose sample failed when it was read, and why.

Every session of the cache step appends to a file of its own under `failures/`, so that a killed process loses at most the
line it was writing; the files are merged into `failures.jsonl` when a run ends.
"""

import fcntl
import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import attrs

from pluto_core.errors import PlutoError, Reason
from pluto_core.pipeline.durable import write_file
from pluto_core.places.files import opened, parsed
from pluto_core.scene import ScenarioId

NAME = "failures.jsonl"
FOLDER = "failures"

_LONGEST_TRACEBACK = 8000


@attrs.frozen(kw_only=True)
class Failure:
    """One scenario that one builder could not make a sample of."""

    scenario: ScenarioId
    builder: str
    """Tag of the builder."""
    reason: Reason
    detail: str
    traceback: str = ""
    """Of exceptions; the end of it where it is very long."""
    shard: str = ""
    """Shard that holds a sample which failed when it was read; empty where the sample failed when it was built."""

    def line(self) -> bytes:
        """Return the failure as one line of JSON."""
        fields = {
            **attrs.asdict(self.scenario),
            "builder": self.builder,
            "reason": self.reason.value,
            "detail": self.detail,
            "traceback": self.traceback[-_LONGEST_TRACEBACK:],
            **({"shard": self.shard} if self.shard else {}),
        }
        return (json.dumps(fields) + "\n").encode()

    @classmethod
    def of_value(cls, key: bytes, *, shard: str, reason: Reason, detail: str) -> "Failure | None":
        """Return the failure of a stored value by its key in the shard; None where damage left no scenario in that."""
        tag, _, scenario = key.partition(b"|")
        try:
            named = ScenarioId.from_key(scenario.decode())
            return cls(scenario=named, builder=tag.decode(), reason=reason, detail=detail, shard=shard)
        except (PlutoError, UnicodeDecodeError):
            return None

    @classmethod
    def from_line(cls, line: bytes) -> "Failure | None":
        """Return the failure of a line, or None where the line is torn."""
        try:
            fields: Any = parsed(line)
            scenario = ScenarioId(str(fields["log"]), str(fields["token"]), int(fields["start_us"]))
            return cls(
                scenario=scenario,
                builder=str(fields["builder"]),
                reason=Reason(fields["reason"]),
                detail=str(fields["detail"]),
                traceback=str(fields.get("traceback", "")),
                shard=str(fields.get("shard", "")),
            )
        except (ValueError, KeyError, TypeError, OverflowError):
            return None


Failures = Mapping[tuple[str, str], Failure]
"""The last failure by builder tag and scenario key."""


class FailureLog:
    """The failures of one session, on disk as soon as they are added. Makes its file with the first one."""

    def __init__(self, cache: Path) -> None:
        self._folder = cache / FOLDER
        self._file: BinaryIO | None = None

    def add(self, failure: Failure) -> None:
        """Append a failure."""
        if self._file is None:
            self._folder.mkdir(exist_ok=True)
            self._file = (self._folder / f"{uuid.uuid4().hex}.jsonl").open("ab", buffering=0)
            fcntl.flock(self._file, fcntl.LOCK_EX)
        self._file.write(failure.line())

    def close(self) -> None:
        """Bring the file to the disk and close it."""
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None


def append(cache: Path, found: Iterable[Failure]) -> None:
    """Add failures to those that are merged; the caller holds the gate of the cache."""
    with (cache / NAME).open("a+b") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - 1, 0))
        torn = file.read(1) not in {b"", b"\n"}  # by a power failure
        file.write(b"\n" * torn + b"".join(failure.line() for failure in found))


def read(cache: Path) -> Failures:
    """Return all failures, merged or not."""
    return {
        (failure.builder, failure.scenario.key): failure
        for path in (cache / NAME, *_sessions(cache))
        for failure in _read_file(path)
    }


def merge(cache: Path, stored: Callable[[str, str], bool]) -> Failures:
    """Merge the files of ended sessions into `failures.jsonl`.

    Args:
        cache: The cache folder; the caller holds its gate.
        stored: Whether a builder's sample of a scenario is there by now; its failures are dropped.

    Returns:
        What is left, including the failures of sessions that still run.
    """
    ended = [path for path in _sessions(cache) if _is_ended(path)]
    merged = {
        (failure.builder, failure.scenario.key): failure for path in (cache / NAME, *ended) for failure in _read_file(path)
    }
    left = {key: failure for key, failure in merged.items() if not stored(*key)}
    if ended or len(left) != len(merged):
        write_file(cache / NAME, b"".join(failure.line() for failure in left.values()))
    for path in ended:
        path.unlink(missing_ok=True)
    return read(cache)


def _read_file(path: Path) -> Iterator[Failure]:
    try:
        with opened(path) as file:
            yield from (failure for failure in map(Failure.from_line, file) if failure is not None)
    except FileNotFoundError:
        return
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror}); remove it, its scenarios are computed again"
        raise PlutoError(message) from None


def _sessions(cache: Path) -> list[Path]:
    """Return the files of sessions; what is no file cannot be theirs."""
    return [path for path in sorted((cache / FOLDER).glob("*.jsonl")) if path.is_file()]


def _is_ended(path: Path) -> bool:
    with opened(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
