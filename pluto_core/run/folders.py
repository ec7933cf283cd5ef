"""Run folders: one numbered folder a run, continued where an earlier one stopped."""

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from pluto_core.errors import PlutoError
from pluto_core.pipeline.durable import explained, write_file
from pluto_core.places.files import content, parsed

RESOLVED = "run.toml"
_STATE = "state.json"
_KINDS: Mapping[str, Any] = {"digest": str, "status": str, "started": (int, float), "steps": dict}
_PLACES = frozenset({"plugin_folders"})
"""Settings that say where something lies on this machine, and nothing of what is done."""


@attrs.define
class Run:
    """One run and what it has done so far; every change is written at once."""

    path: Path
    digest: str
    """Hash of what the experiment sets; runs of equal digests continue each other."""
    status: str = "running"
    """`running`, `finished`, `failed` or `interrupted`."""
    started: float = attrs.field(factory=time.time)
    steps: dict[str, dict[str, Any]] = attrs.field(factory=dict[str, dict[str, Any]])
    """Numbers of the steps that are done."""
    continued: bool = False
    """Whether this process took it over from an earlier one."""

    @property
    def number(self) -> int:
        """Return the number of the folder."""
        return int(self.path.name)

    def done(self, step: str, numbers: dict[str, Any]) -> None:
        """Note that a step is done."""
        self.steps[step] = numbers
        self.save()

    def close(self, status: str) -> None:
        """Note how the run ended."""
        self.status = status
        self.save()

    def save(self) -> None:
        """Write the state; a reader sees the old one or the new one, never a part."""
        state = {"digest": self.digest, "status": self.status, "started": self.started, "steps": self.steps}
        write_json(self.path / _STATE, state)


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file in one step.

    Raises:
        PlutoError: The disk refuses it.
    """
    with explained(path):
        write_file(path, (json.dumps(value, indent=2, sort_keys=False) + "\n").encode())


def digest_of(settings: Mapping[str, Any]) -> str:
    """Return the hash by which runs of the same settings are known, wherever their local plugins lie."""
    told = json.dumps({key: value for key, value in settings.items() if key not in _PLACES}, sort_keys=True, default=str)
    return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()


def existing(output_dir: Path) -> list[Run]:
    """Return all runs of an output folder, oldest first; folders that are no runs are passed over."""
    runs = []
    for folder in sorted(output_dir.glob("[0-9]*"), key=lambda path: (len(path.name), path.name)):
        state = _read_state(folder)
        if state is not None and _is_number(folder.name):
            runs.append(Run(folder, state["digest"], state["status"], state["started"], state["steps"]))
    return runs


def claim(output_dir: Path, resolved: str, settings: Mapping[str, Any], *, fresh: bool, again: bool) -> Run:
    """Return the folder to work in: the unfinished run of the same settings, else a new one.

    Args:
        output_dir: Folder that holds the numbered ones; made if need be.
        resolved: The experiment's resolved text, stored with a new run.
        settings: The same as plain values; they decide which runs continue each other.
        fresh: Start a new run in any case.
        again: Take the last finished run too, to do some of its steps once more.

    Raises:
        PlutoError: The folder cannot be written.
    """
    digest = digest_of(settings)
    try:
        same = [run for run in existing(output_dir) if run.digest == digest]
        if same and not fresh and (again or same[-1].status != "finished"):
            same[-1].continued = True
            same[-1].close("running")
            return same[-1]
        output_dir.mkdir(parents=True, exist_ok=True)
        run = Run(_next_folder(output_dir), digest)
        (run.path / RESOLVED).write_text(resolved, encoding="utf-8")
        run.save()
    except OSError as error:
        message = f"cannot make a run folder in {output_dir}: {error.strerror}; choose another with --out"
        raise PlutoError(message) from None
    return run


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal()


def _next_folder(output_dir: Path) -> Path:
    numbers = [int(path.name) for path in output_dir.glob("[0-9]*") if _is_number(path.name)]
    number = max(numbers, default=0) + 1
    while True:
        path = output_dir / f"{number:03d}"
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
        else:
            return path


def _read_state(folder: Path) -> dict[str, Any] | None:
    try:
        state = parsed(content(folder / _STATE))
    except (OSError, ValueError):
        return None
    return (
        state if isinstance(state, dict) and all(isinstance(state.get(name), kind) for name, kind in _KINDS.items()) else None
    )
