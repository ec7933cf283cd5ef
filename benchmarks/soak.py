"""An hour of caching, training and going on under random kills: is anything lost, and does anything grow?

    python benchmarks/soak.py                           # an hour
    python benchmarks/soak.py --minutes 3 --seed 7 --work FOLDER

A small experiment (cache in two processes, training with a loading process and an augmentation) is run once undisturbed. Then
round after round it is run again from nothing, and disturbed: SIGKILL, SIGTERM or SIGINT hits the program or one of its
processes at a moment drawn from the seed; the same command is given again, until it is done. Rounds take turns between new
programs and one long-lived process that calls `pluto_core.api.run`, in which what grows would show.

Ctrl-C, or SIGTERM, ends it with the table of the rounds so far.

After each round the cache must hold the bytes, and the training the weights and curves, of the undisturbed run; no process,
no temporary file, nothing in /dev/shm and no file that an undisturbed run does not leave may be there. Exit code 1 otherwise.

Whether /dev/shm grows is only known where nobody else uses it. As root:

    unshare -m sh -c 'mount -t tmpfs none /dev/shm && exec python benchmarks/soak.py'
"""

import argparse
import contextlib
import os
import platform
import random
import re
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs
from soak_attempts import BUG, INTERRUPTED, MARK, End, Held, House, Program, children, ours, told_by
from soak_remains import PHASES, Left, phase_of

from pluto_nuplan.synth.dataset import write_dataset

EXPERIMENT = """
name = "soak"
steps = ["cache", "train"]
output_dir = "{folder}/runs"

[source]
use = "nuplan"
data_root = "{data}/nuplan-v1.1"
map_root = "{data}/maps"

[filter]
num_scenarios_per_type = 12
timestamp_threshold_s = 0.5
remove_invalid_goals = true

[worker]
use = "processes"
count = 2

[splitter]
use = "nuplan_logs"

[[features]]
use = "pluto"
radius = 50.0
max_agents = 12

[[augmentations]]
use = "ego_noise"

[model]
use = "pluto"
dim = 16
encoder_depth = 1
decoder_depth = 1
num_modes = 2

[trainer]
use = "lightning"
epochs = 3
accelerator = "cpu"
save_every = 1
save_top_k = 1

[loader]
batch_size = 8
workers = 1
limit_train_batches = 5
limit_val_batches = 1
"""
AIMS = (1, 5, 2, 5, 1)
"""How often a signal aims at each phase."""
PROCESS = ((signal.SIGKILL,), (signal.SIGTERM,), (signal.SIGINT,))
"""What may be sent to a process that works for the program."""
PATIENCE_S = 600.0
"""After which a program that does not end has hung; machines may be slow."""
LOOK_S = 0.01
GROWTH = 0.05
"""Share by which the memory of the long-lived process may differ between the second and the last quarter of its rounds."""
LONG_AGO_S = 7200.0


@attrs.frozen
class Hit:
    """A signal that was sent."""

    signal: str
    target: str
    """`the program`, or `a process` that works for it."""
    phase: str


@attrs.define
class Soak:
    """The rounds and what came of them."""

    work: Path
    data: Path
    chance: random.Random
    rounds: Counter[str] = attrs.field(factory=Counter[str])
    attempts: int = 0
    hits: Counter[Hit] = attrs.field(factory=Counter[Hit])
    computed: list[tuple[int, int]] = attrs.field(factory=list[tuple[int, int]])
    """Of each attempt that came to the end of the cache step: samples that it found, and computed."""
    held: list[Held] = attrs.field(factory=list[Held])
    wrong: list[str] = attrs.field(factory=list[str])
    spans: dict[str, float] = attrs.field(factory=dict[str, float])
    """Seconds that each phase takes undisturbed."""
    scratch: set[str] = attrs.field(factory=set[str])
    """What an undisturbed run leaves among the temporary files: torch makes itself an empty folder."""
    house: House | None = None

    def calm(self) -> Left:
        """Run undisturbed, and time the phases."""
        file = self._experiment("calm")
        program, began, seen = Program(file.parent), time.time(), dict.fromkeys(PHASES, 0.0)
        program.start(file)
        while not program.over():
            seen[phase_of(file.parent, began)] = time.time() - began  # when it was last seen
            time.sleep(LOOK_S)
        if (end := program.end()).code:
            raise SystemExit(f"the undisturbed run failed:\n{end.text}")
        before = 0.0
        for name, last in seen.items():
            self.spans[name], before = max(last - before, 0.1), max(last, before)
        self.scratch = _names(Path(tempfile.gettempdir()))
        return Left.of(file.parent)

    def _experiment(self, name: str) -> Path:
        folder = self.work / name
        folder.mkdir()
        file = folder / "soak.toml"
        file.write_text(EXPERIMENT.format(folder=folder, data=self.data), encoding="utf-8")
        return file

    def round(self, number: int, calm: Left) -> None:
        """Run disturbed until it is done, and judge."""
        lasting, before = number % 2 == 1, len(self.wrong)
        file = self._experiment(f"round-{number:04d}")
        if lasting and self.house is None:
            self.house = House(self.work)
        way = self.house if lasting and self.house else Program(file.parent)
        for left in range(self.chance.randint(1, 6), -1, -1):
            end = self._attempt(way, file, disturbed=left > 0)
            if end.code == 0 or self.wrong[before:]:
                break
        self._note(file.parent.name, self._left_behind())
        if end.code == 0:
            self._note(file.parent.name, Left.of(file.parent).differences(calm))
        if end.held:
            self.held.append(end.held)
        self.rounds["in one long-lived process" if lasting else "of programs"] += 1
        if not self.wrong[before:]:
            shutil.rmtree(file.parent)

    def _note(self, name: str, wrong: Iterable[str]) -> None:
        for text in wrong:
            self.wrong.append(f"{name}: {text}")
            print(self.wrong[-1], flush=True)

    def _attempt(self, way: Program | House, file: Path, *, disturbed: bool) -> End:
        self.attempts += 1
        began, program = time.time(), way.start(file)
        hit = self._disturb(way, program, file.parent, began) if disturbed else None
        end = self._await(way, program)
        if why := unfit(end, hit):
            self._note(file.parent.name, [f"{why} after {hit}: {end.text[-2000:]}"])
        for found, made in re.findall(r"cache: (?:(\d+) of \d+ scenarios were there)?(?:; )?(?:(\d+) computed)?", end.text):
            self.computed.append((int(found or 0), int(made or 0)))
        if self.chance.random() < 0.5 and not self._gone(PATIENCE_S):  # else the next one meets processes of this one
            for path in file.parent.rglob(".*"):  # what killed writers leave goes with the next write, from an hour on
                os.utime(path, (time.time() - LONG_AGO_S,) * 2)
        return end

    def _await(self, way: Program | House, program: int) -> End:
        deadline = time.monotonic() + PATIENCE_S
        while not way.over():
            if time.monotonic() > deadline:
                os.kill(program, signal.SIGKILL)
                return attrs.evolve(way.end(), code=BUG)
            time.sleep(LOOK_S)
        return way.end()

    def _disturb(self, way: Program | House, program: int, folder: Path, began: float) -> Hit | None:
        """Wait for a moment and send a signal; return it, or None where the attempt was over before."""
        aim = self.chance.choices(range(len(PHASES)), AIMS)[0]
        share, draw, at_process = self.chance.random(), self.chance.random(), self.chance.random() < 0.4
        moment = None
        while moment is None or time.monotonic() < moment:
            if way.over():
                self._scale(0.7)
                return None
            phase = phase_of(folder, began)
            if moment is None and PHASES.index(phase) >= aim:
                moment = time.monotonic() + share * self.spans[phase]
            time.sleep(LOOK_S)
        workers = children(program) if at_process else []
        kinds = PROCESS if workers else way.kinds
        signals = kinds[int(draw * len(kinds))]
        target = workers[int(draw * 97) % len(workers)] if workers else program
        for number in signals:
            with contextlib.suppress(ProcessLookupError):
                os.kill(target, number)
            time.sleep(0.2 * share)
        name = signals[0].name + (" twice" if len(signals) > 1 else "")
        hit = Hit(name, "a process" if workers else "the program", phase)
        self.hits[hit] += 1
        self._scale(1.1)
        return hit

    def _scale(self, factor: float) -> None:
        """Follow the speed of the machine: sooner after an attempt that was over before its signal, else a little later."""
        self.spans = {name: factor * span for name, span in self.spans.items()}

    def end(self) -> None:
        """End everything that runs."""
        if self.house:
            self.house.leave()
        for process in ours(None):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def _gone(self, patience_s: float) -> list[int]:
        deadline, house = time.monotonic() + patience_s, self.house.process.pid if self.house else None
        while (left := ours(house)) and time.monotonic() < deadline:
            time.sleep(10 * LOOK_S)
        return left

    def _left_behind(self) -> Iterator[str]:
        """Say what a finished round left in the system."""
        for process in self._gone(PATIENCE_S / 10):
            yield f"process {process} is left: {told_by(process, 'cmdline').replace(bytes(1), b' ').decode()[:200]}"
            os.kill(process, signal.SIGKILL)
        for name in _names(Path(tempfile.gettempdir())) - self.scratch:
            yield f"temporary file {name}"
            self.scratch.add(name)


def unfit(end: End, hit: Hit | None) -> str:
    """Return what is wrong with the way in which an attempt ended, after what hit it; nothing where it is as it should be."""
    fit, early = {0}, hit is not None and hit.target == "the program" and hit.phase == "start"
    if hit and hit.target == "the program":
        fit |= set() if hit.signal == "SIGKILL" else {INTERRUPTED}
        # Python itself ends by SIGINT, which shells tell as 130, what Ctrl-C met before our first line, after our last one,
        # or, though it was caught, within a text that a library was executing (dataclasses are made so).
        told = early or any(words in end.text for words in ("interrupted", "is complete:"))
        fit |= {-signal.Signals[hit.signal.split()[0]]} if told or hit.signal != "SIGINT" else set()
    if "KeyboardInterrupt" in end.text and (early or _before_ours(end.text)):
        return ""
    if hit and hit.target == "a process" and end.code == 1 and "a process that loads samples" in end.text:
        return ""
    if end.code not in fit:
        return f"exit code {end.code}"
    if "Traceback" in end.text and not early and not (hit and hit.signal == "SIGKILL" and _orphaned(end.text)):
        return "a traceback"
    return ""


def _before_ours(text: str) -> bool:
    """Return whether Ctrl-C met Python while it looked for our first module; the run may have come to its end before."""
    return text.startswith("Traceback") and "_run_module_as_main" in text and "pluto" not in text


def _orphaned(text: str) -> bool:
    """Return whether the only traceback is Python's, of a process that was being started when its program was killed."""
    return text.count("Traceback") == 1 and "in spawn_main" in text and "EOFError" in text


def growth(rows: list[float]) -> tuple[float, float]:
    """Return the medians of the second and of the last quarter; the first one warms up."""
    quarter = max(len(rows) // 4, 1)
    return statistics.median(rows[quarter : 2 * quarter] or rows), statistics.median(rows[-quarter:])


def judge_house(soak: Soak) -> Iterator[str]:
    """Return a row for each thing that the long-lived process holds, and note what grew."""
    for name in soak.held[0].counts if soak.held else ():
        first, last = growth([row.counts[name] for row in soak.held])
        allowed = first * GROWTH if name.startswith("memory") else 0.0
        if last - first > allowed:
            soak.wrong.append(f"long-lived process: {name} grew from {first:.0f} to {last:.0f}; now {soak.held[-1].what}")
        yield f"| long-lived process: {name}, second and last quarter of its rounds | {first:.0f}, {last:.0f} |"


def report(soak: Soak, calm: Left, minutes: float, shm: tuple[set[str], set[str]]) -> None:
    """Print the table."""
    rounds = ", ".join(f"{count} {name}" for name, count in soak.rounds.items())
    rows = [*judge_house(soak)]
    resumed = [found / len(calm.values) for found, _made in soak.computed if found]
    soak.wrong += [f"left in /dev/shm: {sorted(shm[1] - shm[0])}"] if shm[1] - shm[0] else []
    print(f"\n{minutes:.0f} minutes on {platform.processor() or platform.machine()}, {os.cpu_count()} processors\n")
    print("| what | result |\n|---|---|")
    print(f"| rounds | {rounds}; {soak.attempts} attempts |")
    print(f"| signals | {sum(soak.hits.values())} |")
    for name, target in sorted({(hit.signal, hit.target) for hit in soak.hits}):
        by = ", ".join(f"{phase} {count}" for phase in PHASES if (count := soak.hits[Hit(name, target, phase)]))
        print(f"| {name} to {target} | {by} |")
    print(f"| scenarios of a round | {len(calm.values)} in the cache, {len(calm.failures)} failures |")
    print(f"| found by the {len(resumed)} attempts that went on with a cache, share | {_spread(resumed)} |")
    print("\n".join(rows))
    print(f"| left in /dev/shm | {len(shm[1] - shm[0])} |")
    print(f"| rounds with other values, weights, curves, files, processes | {len(soak.wrong)} |")
    print(f"| result | {'nothing lost, nothing grew' if not soak.wrong else 'VIOLATIONS, see below'} |")
    for text in soak.wrong:
        print(f"\n- {text}")


def _spread(shares: list[float]) -> str:
    if not shares:
        return "none"
    return f"median {statistics.median(shares):.0%}, least {min(shares):.0%}"


def main() -> int:
    """Soak, print the table, return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long")
    parser.add_argument("--seed", type=int, default=0, help="of moments, signals and targets")
    parser.add_argument("--work", type=Path, help="a new or empty folder to work in; a temporary one without it")
    options = parser.parse_args()
    work = (options.work or Path(tempfile.mkdtemp(prefix="soak-"))).absolute()
    if work.exists() and any(work.iterdir()):
        parser.error(f"{work} is not empty")
    for one in (signal.SIGINT, signal.SIGTERM):  # shells start what runs in the background with the former ignored
        signal.signal(one, signal.default_int_handler)
    (work / "tmp").mkdir(parents=True)
    tempfile.tempdir = str(work / "tmp")
    os.environ |= {MARK: f"{os.getpid()}-{time.time_ns()}", "TMPDIR": str(work / "tmp"), "OMP_NUM_THREADS": "1"}
    data = write_dataset(work / "data", logs=6, seconds=30.0, grid=(2, 2), seed=3).root
    shm = _names(Path("/dev/shm"))  # noqa: S108 -- looked at only
    soak = Soak(work, data, random.Random(options.seed))  # noqa: S311 -- moments, no secrets
    calm, began, number = soak.calm(), time.monotonic(), 0
    print(f"undisturbed: {len(calm.values)} values, {len(calm.curves)} epochs, {sum(soak.spans.values()):.0f} s", flush=True)
    with contextlib.suppress(KeyboardInterrupt):  # the round in work does not count then
        while time.monotonic() - began < options.minutes * 60:
            soak.round(number, calm)
            number += 1
            print(f"{(time.monotonic() - began) / 60:.0f} min: {number} rounds, {len(soak.wrong)} violations", flush=True)
    soak.end()
    report(soak, calm, (time.monotonic() - began) / 60, (shm, _names(Path("/dev/shm"))))  # noqa: S108
    return 1 if soak.wrong else 0


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


if __name__ == "__main__":
    sys.exit(main())
