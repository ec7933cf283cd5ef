"""Run folders: one numbered folder a run, continued where an earlier one stopped."""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import attrs

from pluto_core.errors import PlutoError

RESOLVED = "run.toml"
_STATE = "state.json"


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
    """Replace a JSON file in one step."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(json.dumps(value, indent=2, sort_keys=False) + "\n", encoding="utf-8")
    part.replace(path)


def digest_of(settings: str) -> str:
    """Return the hash by which runs of the same settings are known; comments and blank lines do not count."""
    lines = [line.split("  # ")[0].rstrip() for line in settings.splitlines()]
    told = "\n".join(line for line in lines if line and not line.startswith("#"))
    return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()


def existing(output_dir: Path) -> list[Run]:
    """Return all runs of an output folder, oldest first; folders that are no runs are passed over."""
    runs = []
    for folder in sorted(output_dir.glob("[0-9]*"), key=lambda path: (len(path.name), path.name)):
        state = _read_state(folder)
        if state is not None and folder.name.isdigit():
            runs.append(Run(folder, state["digest"], state["status"], state["started"], state["steps"]))
    return runs


def claim(output_dir: Path, resolved: str, *, fresh: bool, again: bool) -> Run:
    """Return the folder to work in: the unfinished run of the same settings, else a new one.

    Args:
        output_dir: Folder that holds the numbered ones; made if need be.
        resolved: The experiment's resolved text, stored with a new run.
        fresh: Start a new run in any case.
        again: Take the last finished run too, to do some of its steps once more.

    Raises:
        PlutoError: The folder cannot be written.
    """
    digest = digest_of(resolved)
    runs = existing(output_dir)
    same = [run for run in runs if run.digest == digest and (again or run.status != "finished")]
    if same and not fresh and same[-1] is [run for run in runs if run.digest == digest][-1]:
        run = same[-1]
        run.continued = True
        run.close("running")
        return run
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        path = _next_folder(output_dir)
    except OSError as error:
        message = f"cannot make a run folder in {output_dir}: {error.strerror}; choose another with --out"
        raise PlutoError(message) from None
    (path / RESOLVED).write_text(resolved, encoding="utf-8")
    run = Run(path, digest)
    run.save()
    return run


def _next_folder(output_dir: Path) -> Path:
    numbers = [int(path.name) for path in output_dir.glob("[0-9]*") if path.name.isdigit()]
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
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) and {"digest", "status", "started", "steps"} <= state.keys() else None
