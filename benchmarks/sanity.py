"""Wall time and memory of `pluto run experiments/sanity.toml`: the first time on a machine, with `--fresh`, and repeated.

The first run writes the synthetic town and builds its maps; `--fresh --yes` keeps both and computes the rest again; the
repeated one finds its cache. Everything lies in a temporary folder.

    python benchmarks/sanity.py [--set trainer.epochs=1 ...]
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

EXPERIMENT = Path(__file__).resolve().parents[1] / "experiments" / "sanity.toml"


def main() -> None:
    """Print one row a run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="handed to pluto run")
    settings = [part for setting in parser.parse_args().set for part in ("--set", setting)]
    print("| run | wall, s | CPU, s | peak memory, GB | trained FDE, m | constant velocity FDE, m |")
    print("|---|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        for name, options in (("first", []), ("--fresh", ["--fresh", "--yes"]), ("repeated", [])):
            seconds, usage = _run(Path(folder), [*settings, *options])
            fde = _fde(max(Path(folder, "runs").glob("*/results.json")))
            cpu = usage.ru_utime + usage.ru_stime
            print(
                f"| {name} | {seconds:.0f} | {cpu:.0f} | {usage.ru_maxrss / 2**20:.2f} | {fde[0]:.1f} | {fde[1]:.1f} |",
                flush=True,
            )


def _run(folder: Path, options: list[str]) -> tuple[float, "os.struct_rusage"]:
    """Return wall time and what the process used."""
    began = time.monotonic()
    process = os.fork()
    if process == 0:
        os.chdir(folder)
        os.environ["PLUTO_CACHE_HOME"] = str(folder / "home")
        log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.execv(sys.executable, [sys.executable, "-m", "pluto_core.cli.main", "run", str(EXPERIMENT), *options])  # noqa: S606
    _, status, usage = os.wait4(process, 0)
    if status:
        sys.exit((folder / "log.txt").read_text(encoding="utf-8"))
    return time.monotonic() - began, usage


def _fde(results: Path) -> tuple[float, float]:
    """Return the most probable plan's final displacement error: of the trained planner and of constant velocity."""
    metrics = json.loads(results.read_text(encoding="utf-8"))["steps"]["validate"]["metrics"]
    return metrics["planner"]["fde_top1_m"], metrics["constant_velocity"]["fde_top1_m"]


if __name__ == "__main__":
    main()
