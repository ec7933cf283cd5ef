"""How long commands take that only look: `pluto --help`, `check`, `show`, `plugins`, beside an interpreter that does nothing.

Every command is a process of its own, started as the installed `pluto` starts it. The commands take turns, so that a busy
moment of the machine hits all alike; the best and the median of all rounds are shown, and the best less that of
`python -c pass`, which no command can go below. Run it from the root of the repository:
`python benchmarks/start_up.py [--rounds 20]`.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

EXPERIMENT = Path("experiments") / "sanity.toml"
PLUTO = "import sys; from pluto_core.cli.main import main; main()"
"""What the script `pluto` of an installation does."""
CASES = {
    "`python -c pass`": ["-c", "pass"],
    "`python -c 'import attrs, click, pluggy, tomllib'`": ["-c", "import attrs, click, pluggy, tomllib"],
    "`pluto --help`": ["-c", PLUTO, "--help"],
    "`pluto run --help`": ["-c", PLUTO, "run", "--help"],
    "`pluto check FILE`": ["-c", PLUTO, "check", str(EXPERIMENT)],
    "`pluto show FILE`": ["-c", PLUTO, "show", str(EXPERIMENT)],
    "`pluto plugins`": ["-c", PLUTO, "plugins"],
    "`python -c 'import numpy'`": ["-c", "import numpy"],
    "`python -c 'import torch'`": ["-c", "import torch"],
}


def seconds_of(arguments: list[str]) -> float:
    """Return how long a process takes."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    elapsed = time.perf_counter() - began
    if done.returncode:
        sys.exit(done.stderr.decode())
    return elapsed


def measure(rounds: int) -> dict[str, list[float]]:
    """Return the seconds of every case, round by round."""
    times: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(rounds):
        for name, arguments in CASES.items():
            times[name].append(seconds_of(arguments))
    return times


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="Start-up of commands.")
    parser.add_argument("--rounds", type=int, default=20, help="how often each command is started")
    rounds = parser.parse_args().rounds
    if not EXPERIMENT.is_file():
        sys.exit(f"there is no {EXPERIMENT}; run this from the root of the repository")
    measure(1)  # files into memory, byte code onto disk
    times = measure(rounds)
    idle = min(times[next(iter(CASES))])
    print(f"best and median of {rounds}, Python {sys.version.split()[0]}\n")
    print("| command | best (ms) | median (ms) | best less `python -c pass` (ms) |")
    print("|---|---|---|---|")
    for name, found in times.items():
        best = min(found)
        print(f"| {name} | {best * 1e3:.0f} | {statistics.median(found) * 1e3:.0f} | {(best - idle) * 1e3:.0f} |")


if __name__ == "__main__":
    main()
