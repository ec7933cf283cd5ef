"""What this machine is, from what the system says; nothing is imported for it."""

import os
import platform
from pathlib import Path

_GB = 1e9


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> dict[str, int]:
    """Return `MemTotal`, `MemAvailable` and their like in bytes; nothing where the system does not say."""
    rows = (line.partition(":") for line in _lines(Path("/proc/meminfo")))
    return {name: int(rest.split()[0]) * 1024 for name, _, rest in rows if rest.split()[:1]}


def held_bytes(process: int | None = None) -> int | None:
    """Return the memory that a process (None: this one) holds for itself, in bytes; None where the system does not tell.

    Pages of mapped files (shards, maps) do not count: the kernel takes those back where it needs them.
    """
    place = "self" if process is None else str(process)
    try:
        resident, shared = Path(f"/proc/{place}/statm").read_text("ascii").split()[1:3]
    except (OSError, ValueError):
        return None
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def gpus() -> list[str]:
    """Return the models that the NVIDIA driver shows; torch is not asked, because importing it takes seconds."""
    cards = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    return [line.partition(":")[2].strip() for card in cards for line in _lines(card) if line.startswith("Model:")]


def describe() -> dict[str, str]:
    """Return the machine in words, for people who compare times."""
    models = [line.partition(":")[2].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")]
    total = memory().get("MemTotal")
    told = {
        "system": platform.platform(terse=True),
        "processor": models[0] if models else platform.processor() or platform.machine(),
        "processors": f"{processors()} for this process",
    }
    if total:
        told["memory"] = f"{total / _GB:.1f} GB"
    return {**told, "GPU": ", ".join(gpus()) or "none"}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
