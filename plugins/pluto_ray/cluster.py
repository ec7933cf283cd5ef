"""Connecting to a Ray cluster, given or started for the run, and asking what it consists of."""

import contextlib
import functools
import logging
import math
import os
import secrets
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import ray

from pluto_core import PlutoError
from pluto_core.pipeline.durable import remove
from pluto_core.pipeline.locks import Lock
from pluto_ray.config import RayConfig

_STORE_BYTES = 80 << 20
"""Memory of Ray's object store: the least that it takes, for no samples go through it."""
_LONGEST_BASE = 38
"""Characters of a folder in which Ray can make sockets: their paths may have 107, and Ray's own part takes up to 69."""
_KNOCK_S = 20.0
"""How long the machine of a given cluster may take to answer."""
_OWNER = "owner"


@attrs.frozen(kw_only=True)
class Node:
    """One machine of the cluster."""

    id: str
    host: str
    resources: dict[str, float]

    def room(self, config: RayConfig) -> int:
        """Return how many sessions fit on it while it does nothing else."""
        wanted = {"CPU": config.cpus, "memory": float(config.memory_bytes or 0), **config.resources}
        return min(math.floor(self.resources.get(name, 0.0) / amount + 1e-9) for name, amount in wanted.items() if amount)


def nodes() -> list[Node]:
    """Return the nodes that are alive."""
    return [
        Node(id=one["NodeID"], host=one["NodeManagerHostname"], resources=dict(one["Resources"]))
        for one in ray.nodes()
        if one["Alive"]
    ]


def room(config: RayConfig) -> int:
    """Return how many sessions the cluster has room for, asking a given cluster itself.

    Raises:
        PlutoError: It has room for none, or cannot be reached.
    """
    if config.address == "local":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        fit = math.floor(cores / config.cpus + 1e-9)
        if config.memory_bytes is not None:
            fit = min(fit, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // config.memory_bytes)
    else:
        with connected(config, 0):
            fit = sum(node.room(config) for node in nodes())
    if fit < 1:
        raise PlutoError(f"worker ray: no node of the cluster has room for a session of {wants(config)}; ask for less")
    return fit


def wants(config: RayConfig) -> str:
    """Return in words what a session reserves."""
    words = [f"{config.cpus:g} cores"]
    words += [f"{config.memory_mb:g} MB of memory"] if config.memory_mb is not None else []
    return ", ".join([*words, *(f"{amount:g} of {name}" for name, amount in config.resources.items())])


@contextlib.contextmanager
def connected(config: RayConfig, count: int) -> Iterator[None]:
    """Be connected to the cluster; a local one runs as long, with room for `count` sessions, and leaves nothing behind.

    A program that is connected already stays so, to the cluster that it chose.

    Raises:
        PlutoError: The cluster cannot be reached or started.
    """
    if ray.is_initialized():
        yield
        return
    with _started(config, count) if config.address == "local" else _given(config.address):
        try:
            yield
        finally:
            with _undisturbed():
                ray.shutdown()


@contextlib.contextmanager
def _given(address: str) -> Iterator[None]:
    with _unchanged({}):
        try:
            _knock(address)
            ray.init(address, log_to_driver=False, configure_logging=False)
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            message = (
                f"worker ray: cannot reach a cluster at address = {address!r}: {reason}\nstart one with `ray start --head`, "
                'correct worker.address, or write worker.address = "local" for a cluster of this machine alone'
            )
            raise PlutoError(message) from error
    yield


def _knock(address: str) -> None:
    """Try the port, for Ray itself would try for many minutes.

    Raises:
        OSError: Nobody listens there.
    """
    place = os.environ.get("RAY_ADDRESS", address) if address == "auto" else address
    host, colon, port = place.rpartition("://")[2].rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()


@contextlib.contextmanager
def _started(config: RayConfig, count: int) -> Iterator[None]:
    with _runtime_folder(config.runtime_dir) as folder:
        cores = math.ceil(config.cpus * count)
        with _unchanged({"RAY_AUTH_TOKEN": _token()}):  # Ray would leave one in the home folder
            try:
                ray.init(
                    "local",
                    num_cpus=max(cores, 1),
                    num_gpus=0,
                    resources={name: amount * count for name, amount in config.resources.items()},
                    object_store_memory=_STORE_BYTES,
                    include_dashboard=False,
                    log_to_driver=False,
                    configure_logging=False,
                    _temp_dir=str(folder),
                    _plasma_directory=str(folder),  # /dev/shm may be small
                )
            except Exception as error:
                ray.shutdown()
                raise PlutoError(f"worker ray: cannot start a cluster on this machine: {error}") from error
        yield


@functools.cache
def _token() -> str:
    """Return what only this process and the clusters that it starts know; else anybody on this machine could use those."""
    return secrets.token_hex(32)


@contextlib.contextmanager
def _runtime_folder(parent: str | None) -> Iterator[Path]:
    """Give a folder for sockets and logs, and remove it, and those of processes that were killed before they could.

    Raises:
        PlutoError: Its path would be too long.
    """
    base = Path(parent).expanduser() if parent else Path(tempfile.gettempdir())
    if parent is None and len(str(base)) > _LONGEST_BASE - len("/pluto-ray-01234567"):
        base = Path("/tmp")  # noqa: S108 -- what mkdtemp makes in it is ours alone
    base.mkdir(parents=True, exist_ok=True)
    for left in base.glob("pluto-ray-*"):
        _remove_ownerless(left)
    folder = Path(tempfile.mkdtemp(prefix="pluto-ray-", dir=base)).absolute()
    lock = Lock.take(folder / _OWNER)
    try:
        if len(str(folder)) > _LONGEST_BASE:
            message = (
                f"worker ray: runtime_dir = {parent!r} is too long for the paths of sockets; choose one of at most "
                f"{_LONGEST_BASE - len('/pluto-ray-01234567')} characters"
            )
            raise PlutoError(message)
        yield folder
    finally:
        if lock is not None:
            lock.release()
        _remove_at_last(folder)


def _remove_ownerless(folder: Path) -> None:
    if not (folder / _OWNER).exists():
        return
    with contextlib.suppress(OSError):
        lock = Lock.take(folder / _OWNER)
        if lock is not None:
            lock.release()
            _remove_at_last(folder)


def _remove_at_last(folder: Path) -> None:
    """Remove a folder in which processes that end just now may still write."""
    for _ in range(20):
        with contextlib.suppress(OSError):
            remove(folder)
        if not folder.exists():
            return
        time.sleep(0.1)


@contextlib.contextmanager
def _unchanged(variables: dict[str, str]) -> Iterator[None]:
    """Lend Ray some environment variables while it starts, and take back what it changes in this process."""
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    before = dict(os.environ)
    handler = signal.getsignal(signal.SIGTERM)
    os.environ.update({name: value for name, value in {**quiet, **variables}.items() if name not in before})
    log = logging.getLogger("ray")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep Ctrl-C away for a moment, in the thread where it arrives."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
