"""Locks that say who holds them, and that a killed process lets go of.

A lock is a file with the owner's host, boot, process and time, on which the owner holds `flock`: the kernel releases that at
once when the owner dies, however it dies. The text serves people, and locks of other hosts, which are believed.
"""

import contextlib
import errno
import fcntl
import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import attrs

from pluto_core.errors import PlutoError
from pluto_core.places.files import content, parsed

BEAT_S = 30.0
"""Time between two signs of life of a run."""
_LONGEST = 1 << 16
"""Bytes of a lock file that are read."""
_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP})
"""What file systems of networks say that were mounted without locks."""
SILENCE_S = 900.0
"""A part of an array job that is silent for so long on another machine is over. It may then run twice, which only costs time:
each writes shards of its own."""


@attrs.frozen(kw_only=True)
class Owner:
    """A process that holds a lock."""

    host: str
    boot: str
    """Id of the boot of its machine; another one means that the machine was started anew since."""
    process: int
    since: str
    """UTC, for people."""

    @classmethod
    def this(cls) -> "Owner":
        """Return this process."""
        since = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return cls(host=socket.gethostname(), boot=boot_id(), process=os.getpid(), since=since)

    @classmethod
    def read(cls, path: Path) -> "Owner | None":
        """Return the owner that a lock file names, or None where it names none."""
        try:
            fields: Any = parsed(content(path, _LONGEST))
            return cls(
                host=str(fields["host"]), boot=str(fields["boot"]), process=int(fields["process"]), since=str(fields["since"])
            )
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            return None

    def gone(self) -> bool:
        """Return whether the process is known to have ended; of other machines nothing is known."""
        if self.host != socket.gethostname():
            return False
        if self.boot != boot_id():
            return True
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return True
        except (PermissionError, OverflowError):
            return False
        return False

    def __str__(self) -> str:
        """Return the owner as a person wants to read it."""
        return f"process {self.process} on {self.host}, since {self.since}"


def boot_id() -> str:
    """Return the id of the current boot, or an empty string where the system has none."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return ""


class Lock:
    """A lock that this process holds until `release`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, path: Path, *, wait: bool = False, believe: bool = True) -> "Lock | None":
        """Return the lock, or None while another process (or another part of this one) holds it.

        Args:
            path: The lock file; its folder exists.
            wait: Whether to wait for it; for locks that are held for moments only.
            believe: Whether an owner on another machine is believed to live.
        """
        while True:
            before = Owner.read(path)
            descriptor = _opened(path)
            if not _flock(descriptor, path, wait=wait) or (not wait and believe and _held_elsewhere(before)):
                os.close(descriptor)
                return None
            try:
                current = path.stat().st_ino == os.fstat(descriptor).st_ino
            except FileNotFoundError:
                current = False
            lock = cls(path, descriptor)
            if current:
                lock.sign()
                return lock
            os.close(descriptor)  # its owner removed the file between our open and our lock

    def sign(self) -> None:
        """Write into the file who holds it; where the disk is full, let go.

        Raises:
            OSError: The disk is full.
        """
        if self._descriptor is None:
            return
        text = json.dumps(attrs.asdict(Owner.this())) + "\n"
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, text.encode(), 0)
        except OSError:
            self.release()
            raise

    @contextlib.contextmanager
    def alive(self) -> Iterator[None]:
        """Give signs of life within the block, for runs on other machines."""
        over = threading.Event()
        thread = threading.Thread(target=self._beat, args=(over,), name="alive", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _beat(self, over: threading.Event) -> None:
        while not over.wait(BEAT_S):
            with contextlib.suppress(OSError):
                os.utime(self._path)

    def release(self) -> None:
        """Remove the file and let go; a second call does nothing."""
        if self._descriptor is None:
            return
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None

    def __enter__(self) -> "Lock":
        """Return the lock."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Release the lock."""
        self.release()


def owners(folder: Path) -> list[Owner]:
    """Return who runs, as far as the lock files of `folder` tell and the processes still live; takes no lock."""
    found = (Owner.read(path) for path in sorted(folder.glob("run-*")))
    return [owner for owner in found if owner is not None and not owner.gone()]


def _opened(path: Path) -> int:
    """Return a lock file, made where there is none.

    Raises:
        PlutoError: A link or anything else stands in its place: what that leads to is not ours to write.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno not in {errno.ELOOP, errno.EISDIR, errno.ENXIO}:
            raise
    else:
        state = os.fstat(descriptor)
        if stat.S_ISREG(state.st_mode) and state.st_nlink <= 1:
            return descriptor
        os.close(descriptor)
    raise PlutoError(f"{path} is no file of its own but a link, a folder or a pipe; remove it, it may lead anywhere")


def _flock(descriptor: int, path: Path, *, wait: bool) -> bool:
    """Return whether the lock is ours.

    Raises:
        PlutoError: The file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        os.close(descriptor)
        if error.errno not in _NO_LOCKS:
            raise
        advice = "choose another cache.path, or have it mounted with them (`-o flock` of Lustre)"
        raise PlutoError(f"the file system of {path} has no locks ({error.strerror}); {advice}") from None
    return True


def _held_elsewhere(owner: Owner | None) -> bool:
    return owner is not None and owner.host != socket.gethostname()


def hold_run(folder: Path, part: str) -> Lock:
    """Return the lock of a run that computes `part` of a cache: `all`, or `i-of-n` beside the other parts.

    Raises:
        PlutoError: Another run computes the same; it is named.
    """
    folder.mkdir(parents=True, exist_ok=True)
    gate = Lock.take(folder / "gate", wait=True)
    with gate or contextlib.nullcontext():
        for path in sorted(folder.glob("run-*")):
            other = path.name.removeprefix("run-")
            if other != part and "all" not in (part, other):
                continue
            held = Lock.take(path, believe=not _is_silent(path))
            if held is None:
                raise PlutoError(_in_use(path))
            held.release()
        lock = Lock.take(folder / f"run-{part}", believe=not _is_silent(folder / f"run-{part}"))
        if lock is None:
            raise PlutoError(_in_use(folder / f"run-{part}"))
        return lock


def _is_silent(path: Path) -> bool:
    """Return whether a part of an array job gave no sign of life for long; the clock is that of the file system."""
    if path.name == "run-all" or not path.exists():
        return False
    return (path.parent / "gate").stat().st_mtime - path.stat().st_mtime > SILENCE_S


def _in_use(path: Path) -> str:
    owner = Owner.read(path)
    cache = path.parent.parent
    if owner is None:
        return f"the cache {cache} is in use by another run; wait for it, or choose another cache.path"
    message = f"the cache {cache} is in use by {owner}; wait for it, or choose another cache.path"
    if owner.host != socket.gethostname():
        known = "" if path.name == "run-all" else f", or wait until it is silent for {SILENCE_S / 60:.0f} minutes"
        message += f" (if that process is not running any more, remove {path}{known})"
    return message
