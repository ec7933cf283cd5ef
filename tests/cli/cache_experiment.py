"""A small experiment on the plugin `toy_town`, and what commands on it need."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

EXPERIMENT = """
name = "small"
steps = ["cache"]
plugins = ["toy_town"]
output_dir = "runs"

[source]
use = "town"

[cache]
use = "lmdb"
path = "cache"

[[targets]]
use = "place"

[[targets]]
use = "mood"
cure = "cured"
kills = "poison"
"""
"""Thirty scenarios of three logs, of which the target `mood` refuses six until the file `cured` is there."""

SETTINGS = {"PLUTO_WITHOUT": "av2,nuplan,planner,viz,augment,devkit,ray"}
"""Keeps other plugins out, so that commands start fast."""


def write(folder, text=EXPERIMENT):
    """Write the experiment into a folder, and return its file."""
    path = Path(folder) / "small.toml"
    path.write_text(text, encoding="utf-8")
    return path


def variables():
    """Return the environment of a command."""
    plugins = str(REPOSITORY / "tests" / "local_plugins")
    return {**os.environ, **SETTINGS, "PYTHONPATH": plugins, "PYTHONUTF8": "1", "COLUMNS": "120"}


def started(folder, *arguments, **options):
    """Start `pluto ARGUMENTS` in a folder."""
    line = [sys.executable, "-m", "pluto_core.cli.main", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen(line, cwd=folder, env=variables(), **pipes)


def in_terminal(folder, *arguments, answer=b"", interrupt_at=None, timeout_s=60):
    """Run `pluto ARGUMENTS` as a person does, in a terminal; return exit code and everything that was shown.

    Args:
        folder: Working directory.
        arguments: Of the command.
        answer: What the person types.
        interrupt_at: Text at whose sight the person presses Ctrl-C once.
        timeout_s: When to give up.
    """
    ours, theirs = pty.openpty()
    process = started(folder, *arguments, stdin=theirs, stdout=theirs, stderr=theirs, text=False, start_new_session=True)
    os.close(theirs)
    if answer:
        os.write(ours, answer)
    seen, deadline = b"", time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        seen += piece
        if interrupt_at is not None and interrupt_at in seen:
            interrupt_at = None
            process.send_signal(signal.SIGINT)
    os.close(ours)
    if process.poll() is None and time.monotonic() >= deadline:
        process.kill()
    return process.wait(), seen.decode(errors="replace")


def told(outcome):
    """Return what a command with `--json` said."""
    return json.loads(outcome.ok())
