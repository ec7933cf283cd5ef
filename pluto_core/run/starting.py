"""How long commands take to start, each a process of its own."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from pluto_core.errors import PlutoError
from pluto_core.run.figures import Figure

START_UP = "start-up"
_PLUTO = "from pluto_core.cli.main import main; main()"
"""What the script `pluto` of an installation does."""


def measure(check: Sequence[str], *, rounds: int, progress: Callable[[], None] = lambda: None) -> tuple[Figure, ...]:
    """Return what an idle interpreter, `pluto --help` and `pluto check FILE` take; they take turns.

    Args:
        check: Arguments of `pluto check`.
        rounds: How often each is started, after once that does not count.
        progress: Called after each round.

    Raises:
        PlutoError: A command fails.
    """
    commands: Mapping[str, Sequence[str]] = {
        "idle interpreter": ("-c", "pass"),
        "--help": ("-c", _PLUTO, "--help"),
        "check FILE": ("-c", _PLUTO, "check", *check),
    }
    found: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, arguments in commands.items():
            taken = _seconds_of(arguments)
            if number:
                found[name].append(1e3 * taken)
        progress()
    return tuple(Figure(part=START_UP, name=name, unit="ms", values=tuple(values)) for name, values in found.items())


def _seconds_of(arguments: Sequence[str]) -> float:
    began = time.perf_counter()
    done = subprocess.run(  # noqa: S603 -- this interpreter, with arguments of the user
        [sys.executable, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    if done.returncode:
        message = f"a command that was to be timed failed: {done.stderr.decode(errors='replace').strip()}"
        raise PlutoError(message)
    return time.perf_counter() - began
