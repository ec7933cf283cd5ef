"""What a run was made with: versions, data, machine."""

import hashlib
import json
import platform
from importlib import metadata
from typing import Any

from pluto_core import machine
from pluto_core.errors import PlutoError
from pluto_core.run.workspace import Workspace

_PACKAGES = ("pluto-framework", "torch", "pytorch-lightning", "numpy")


def made_with(workspace: Workspace) -> dict[str, Any]:
    """Return what stands in `results.json` beside the numbers."""
    return {"versions": versions(), "machine": machine.describe(), "data": dataset(workspace)}


def versions() -> dict[str, str]:
    """Return the versions of Python and of what computes."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def dataset(workspace: Workspace) -> dict[str, Any]:
    """Return which data the cached samples come from: its reader, how many files and bytes, and a hash of names and sizes."""
    try:
        source = workspace.folder.manifest.fingerprint.source
    except (PlutoError, OSError):
        return {}
    if source is None:
        return {}
    files: dict[str, int] = source.get("dataset", {})
    told = json.dumps(files, sort_keys=True).encode()
    return {
        "reader": source.get("reader"),
        "files": len(files),
        "bytes": sum(size for size in files.values() if isinstance(size, int)),
        "digest": hashlib.blake2b(told, digest_size=8).hexdigest(),
    }
