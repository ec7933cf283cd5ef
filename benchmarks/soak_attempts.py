"""Attempts of `soak.py` at its experiment: in programs of their own, or within one process that stays.

As a program, this is that process: files of experiments come in, a line each, and how they ended goes out.
"""

import contextlib
import gc
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from pluto_core import PlutoError, api

INTERRUPTED, BUG = 130, 70
MARK = "PLUTO_SOAK"
"""Variable by which every process of a soak is known."""
_ENTERED = "{}\n"
"""Said when the process is ready, and when it has begun an attempt."""


@attrs.frozen
class Held:
    """What the long-lived process holds."""

    counts: Mapping[str, float]
    """MB of its own, open files, threads, processes."""
    what: Sequence[str]
    """The files and threads: where something grows, this says what."""


@attrs.frozen
class End:
    """How an attempt ended."""

    code: int
    text: str
    """What it said."""
    held: Held | None = None
    """What the long-lived process holds afterwards."""


class Program:
    """Attempts as programs of their own: what a user starts."""

    kinds = ((signal.SIGKILL,), (signal.SIGTERM,), (signal.SIGINT,), (signal.SIGINT, signal.SIGINT))
    """Signals that may be sent to it, one after the other."""

    def __init__(self, folder: Path) -> None:
        """Work in a folder."""
        self._log = folder / "said.log"

    def start(self, file: Path) -> int:
        """Start an attempt and return its process."""
        home = {"PLUTO_CACHE_HOME": str(file.parent / "home")}
        with self._log.open("wb") as log:
            line = [sys.executable, "-m", "pluto_core.cli.main", "run", str(file)]
            self._process = subprocess.Popen(line, stdout=log, stderr=log, env={**os.environ, **home})
        return self._process.pid

    def over(self) -> bool:
        """Return whether the attempt has ended."""
        return self._process.poll() is not None

    def end(self) -> End:
        """Wait for its end."""
        return End(self._process.wait(), self._log.read_text("utf-8", "replace"))


class House:
    """Attempts within one process that stays: a notebook, a service."""

    kinds = ((signal.SIGINT,),)

    def __init__(self, folder: Path) -> None:
        """Start the process."""
        log = (folder / "house.log").open("wb")
        line = [sys.executable, __file__]
        environment = {**os.environ, "PLUTO_CACHE_HOME": str(folder / "house")}
        self.process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment)
        self._hear()

    def _hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        return json.loads(said) if said else {"code": BUG, "text": "it died; house.log says why"}

    def start(self, file: Path) -> int:
        """Have it begin an attempt, and return its process."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{file}\n".encode())
        self.process.stdin.flush()
        self._hear()
        return self.process.pid

    def over(self) -> bool:
        """Return whether the attempt has ended."""
        return bool(select.select([self.process.stdout], [], [], 0)[0])

    def end(self) -> End:
        """Wait for its end."""
        heard = self._hear()
        held = heard.pop("held", None)
        return End(**heard, held=Held(**held) if held else None)

    def leave(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()
        self.process.communicate()


def serve_house() -> None:
    """Run the experiments whose files come in, one line each, and say what is held after each."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers.write(_ENTERED)
    for line in sys.stdin:
        try:
            code, text = _lived_through(Path(line.strip()), answers.write)
        except KeyboardInterrupt:  # it came while the attempt was ending
            code, text = INTERRUPTED, ""
        gc.collect()
        answers.write(json.dumps({"code": code, "text": text, "held": attrs.asdict(held())}) + "\n")


def _lived_through(file: Path, say: Callable[[str], object]) -> tuple[int, str]:
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        say(_ENTERED)
        api.run(api.read(file))
    except KeyboardInterrupt:
        return INTERRUPTED, ""
    except PlutoError as error:
        return 1, str(error)
    except Exception:  # noqa: BLE001 -- judged by who asked
        return BUG, traceback.format_exc()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return 0, ""


def held() -> Held:
    """Return what this process holds."""
    status = Path("/proc/self/status").read_text("ascii")
    kilobytes = sum(int(size) for size in re.findall(r"Rss(?:Anon|Shmem):\s+(\d+)", status))
    ours = {thread.native_id: thread.name for thread in threading.enumerate()}
    threads = [
        ours.get(int(path.name), f"{path.joinpath('comm').read_text('ascii').strip()} (of a library)")
        for path in Path("/proc/self/task").iterdir()
    ]
    files = [f"{path.name} {_leads_to(path)}" for path in Path("/proc/self/fd").iterdir()]
    counts = {
        "memory, MB": kilobytes / 1e3,
        "open files": float(len(files)),  # the handle on that folder is in every count
        "threads": float(len(threads)),
        "processes": float(len(children(os.getpid()))),
    }
    return Held(counts, [*files, *threads])


def _leads_to(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return "closed meanwhile"


def children(process: int) -> list[int]:
    """Return the processes that another one started and that work for it."""
    found = []
    with contextlib.suppress(OSError):
        for path in Path(f"/proc/{process}/task").glob("*/children"):
            found += [int(one) for one in path.read_text("ascii").split()]
    return [one for one in found if b"spawn_main" in told_by(one, "cmdline")]


def told_by(process: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{process}/{name}").read_bytes()
    except OSError:
        return b""


def ours(but: int | None) -> list[int]:
    """Return what runs of this soak, without itself and the long-lived process."""
    mark = f"{MARK}={os.environ[MARK]}\0".encode()
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    found = [pid for pid in pids if pid not in {os.getpid(), but} and mark in told_by(pid, "environ")]
    return [pid for pid in found if not _of(pid, but) and b"\nState:\tZ" not in told_by(pid, "status")]


def _of(process: int, parent: int | None) -> bool:
    """Return whether it is the resource tracker of the long-lived process, which stays as long as that one."""
    tracker = b"resource_tracker" in told_by(process, "cmdline")
    return tracker and parent is not None and f"\nPPid:\t{parent}\n".encode() in told_by(process, "status")


if __name__ == "__main__":
    serve_house()
