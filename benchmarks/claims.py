"""Runs the program of every claim that README.md makes about speed and memory, and says which of them hold here and now.

    python benchmarks/claims.py                          # 25 minutes on two free cores; data is made on the way
    python benchmarks/claims.py --quick                  # fewer rounds: 8 minutes
    python benchmarks/claims.py --only help --only loader
    python benchmarks/claims.py --nuplan DATA_ROOT MAP_ROOT    # with nuplan-devkit installed: reading, beside the devkit

Bounds of ratios, which both sides of a table share a machine for, are what the first table of benchmarks/README.md claims, or
close to it; bounds of times leave room for slower and busier machines. What was measured last stands there too. The figure is
read from the table that the program prints, which is shown too. Ends with 1 where a claim does not hold.
"""

import argparse
import importlib.util
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs

HERE = Path(__file__).resolve().parent


@attrs.frozen
class Claim:
    """One sentence, and where its figure stands in what a program prints."""

    name: str
    """Of the program's run; claims of one name are read from one output."""
    text: str
    row: Sequence[str]
    """Beginnings of the first cells of the row."""
    column: str
    """Beginning of the heading."""
    bound: float
    least: bool
    """Whether the figure must be at least the bound; else at most."""

    def figure(self, printed: str) -> float:
        """Return the figure from what the program printed."""
        for row in rows_of(printed):
            cells = list(row.values())
            if all(cell.startswith(start) for cell, start in zip(cells, self.row, strict=False)):
                for heading, cell in row.items():
                    if heading.startswith(self.column):
                        return float(cell.split()[0].replace(",", "").rstrip("%"))
        raise SystemExit(f"{self.name} printed no row {self.row} with a column {self.column!r}")

    def holds(self, figure: float) -> bool:
        """Return whether a figure keeps the claim."""
        return figure >= self.bound if self.least else figure <= self.bound


RUNS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "help": (("start_up.py",), ("--rounds", "5")),
    "loader": (("loader.py", "--workers", "0"), ("--rounds", "2", "--seconds", "1")),
    "codec": (("cache.py", "--only", "codec"), ("--scenes", "20")),
    "resume": (("cache.py", "--only", "resume"), ()),
    "workers": (("workers.py",), ("--rounds", "2", "--scenarios", "240")),
    "sanity": (("sanity.py",), ()),
    "reading": (("peer_reading.py",), ("--rounds", "1")),
}
"""Program and arguments by name, and those that --quick adds."""

WAY, LEAST, MOST = "of the reference's way", True, False
CLAIMS = (
    Claim("help", "`pluto --help`, ms", ("`pluto --help`",), "best (ms)", 200, MOST),
    Claim("reading", "reading a scenario: times as fast as nuplan-devkit", ("times as fast",), "ours alone", 10, LEAST),
    Claim("reading", "the same, with the others of its log", ("times as fast",), "ours, together", 60, LEAST),
    Claim("loader", "batches of 32: times as many as the reference's way", ("pluto, default", "none", "0"), WAY, 10, LEAST),
    Claim("loader", "the same from a `raw` cache", ("pluto, raw", "none", "0"), WAY, 20, LEAST),
    Claim("loader", "the same with contrastive augmentation", ("pluto, default", "contrastive", "0"), WAY, 4, LEAST),
    Claim("codec", "unpacking a stored sample, ms", ("synthetic town", "default"), "decode ms", 0.5, MOST),
    Claim("resume", "finding a cache of 100,000 scenarios full, s", ("again",), "s after imports", 2, MOST),
    Claim("workers", "two processes: times the scenarios of one", ("two processes / one",), "times", 1.7, LEAST),
    Claim("sanity", "`pluto run experiments/sanity.toml`, s", ("first",), "wall", 300, MOST),
    Claim("sanity", "its memory, GB", ("first",), "peak memory", 1.5, MOST),
    Claim("sanity", "its planner's FDE, m (constant velocity: 24)", ("first",), "trained FDE", 20, MOST),
)


def rows_of(printed: str) -> Iterator[dict[str, str]]:
    """Yield the rows of all markdown tables in a text, by heading."""
    headings: list[str] | None = None
    lines = printed.splitlines()
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        cells = [cell.strip().strip("*") for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            headings = None
        elif headings is None:
            headings = cells if set(after) <= set("|-: ") else None
        elif not set(line) <= set("|-: "):
            yield dict(zip(headings, cells, strict=False))


def run(name: str, arguments: Sequence[str]) -> str:
    """Return what a program prints, and show it."""
    print(f"\n== {name}: python benchmarks/{' '.join(arguments)}", flush=True)
    began = time.monotonic()
    command = [sys.executable, str(HERE / arguments[0]), *arguments[1:]]
    done = subprocess.run(command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, flush=True)
    if done.returncode:
        sys.exit(f"{name} ended with {done.returncode}")
    print(f"({time.monotonic() - began:.0f} s)", flush=True)
    return done.stdout


def main() -> int:
    """Run, print the table of claims, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=RUNS, help="run this program; may be repeated")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--nuplan", nargs=2, metavar="ROOT", help="folders of logs and of maps, for what needs nuplan-devkit")
    told = parser.parse_args()
    left_out = {}
    if not told.nuplan or importlib.util.find_spec("nuplan") is None:
        left_out["reading"] = "needs nuplan-devkit, and --nuplan DATA_ROOT MAP_ROOT"
    printed = {}
    for name, (arguments, quick) in RUNS.items():
        if (told.only and name not in told.only) or name in left_out:
            continue
        more = (*(told.nuplan if name == "reading" else ()), *(quick if told.quick else ()))
        printed[name] = run(name, (*arguments, *more))
    print("\n| claim | bound | here | holds | program |\n|---|--:|--:|---|---|")
    broken = 0
    for claim in CLAIMS:
        if claim.name in printed:
            figure = claim.figure(printed[claim.name])
            broken += not claim.holds(figure)
            bound = f"{'at least' if claim.least else 'at most'} {claim.bound:g}"
            program = " ".join(RUNS[claim.name][0])
            print(f"| {claim.text} | {bound} | {figure:g} | {'yes' if claim.holds(figure) else 'NO'} | `{program}` |")
    for name, why in left_out.items():
        print(f"\nLeft out: {name}: {why}.")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
