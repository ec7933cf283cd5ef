"""How fast nuPlan logs are listed and loaded: listing per scenario, scenes of one log together and alone, and memory.

Every load is from a source that has read nothing of the log before (the file itself is in the system's cache; the map is
built and open). A scene is 2 s of past and 8 s of future at 10 Hz, boxes, lights, route and all. "Over 24" and "over 76" are
the time of a whole `load_many` of so many scenarios, evenly spread over one log, divided by their number: reading the log is
in it. "With 60 boxes a frame" is the same on copies of the logs in which as many tracks were left. The plain way, in the same
run, is one SQLite query a frame that fetches the same box columns as tuples, without making anything of them. Every figure
is the median over the logs of the best of some repetitions.

    python benchmarks/nuplan_reader.py --data GOLDEN/town          recorded dataset, or any folder of nuPlan's
    python benchmarks/nuplan_reader.py --city FOLDER               a synthetic city, written to FOLDER if it is not there
"""

import argparse
import multiprocessing
import re
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import attrs
import numpy as np

from pluto_core.filters import ScenarioFilter
from pluto_core.scene import ScenarioId, Scene, Window
from pluto_nuplan.config import NuPlanConfig
from pluto_nuplan.source import NuPlanSource
from pluto_nuplan.synth.dataset import ensure_dataset

WINDOW = Window(history_s=2.0, future_s=8.0, interval_s=0.1)
AMORTISED = (24, 76)
FEWER_BOXES = 60
PLAIN_BOXES = (
    "SELECT b.token, b.track_token, b.x, b.y, b.yaw, b.width, b.length, b.vx, b.vy, c.name FROM lidar_box AS b "
    "JOIN track AS t ON t.token = b.track_token JOIN category AS c ON c.token = t.category_token WHERE b.lidar_pc_token = ?"
)

Result = TypeVar("Result")


@attrs.frozen(kw_only=True)
class Setting:
    """Where a dataset is, and how to measure."""

    name: str
    data_root: Path
    map_root: Path
    cache_home: Path
    repeat: int

    @property
    def logs(self) -> dict[str, Path]:
        """Return the files of all logs by name."""
        return {path.stem: path for path in sorted(self.data_root.rglob("*.db"))}

    def source(self) -> NuPlanSource:
        """Return a source that has read nothing."""
        config = NuPlanConfig(data_root=tuple(map(str, self.logs.values())), map_root=str(self.map_root))
        return NuPlanSource(config, cache_home=self.cache_home)


def main() -> None:
    """Measure every dataset asked for and print one table."""
    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        settings = _settings(options, Path(scratch))
        columns = {setting.name: _measure(setting, Path(scratch)) for setting in settings}
    names = list(columns)
    print("| | " + " | ".join(names) + " |")
    print("|---|" + "---|" * len(names))
    for row in next(iter(columns.values())):
        print(f"| {row} | " + " | ".join(columns[name][row] for name in names) + " |")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        default=[],
        help="Folder with logs (.db, at any depth) and `maps`; may be repeated.",
    )
    parser.add_argument("--city", type=Path, help="Folder of a synthetic city; written there if it is not (3 minutes, 4 GB).")
    parser.add_argument("--density", type=float, default=3.1, help="Its traffic: 3.1 gives 103 boxes a frame, 1.8 gives 75.")
    parser.add_argument("--repeat", type=int, default=3, help="Repetitions of every measurement, of which the best counts (3).")
    options = parser.parse_args()
    if not options.data and options.city is None:
        parser.error("name a dataset with --data, or a folder for a synthetic city with --city")
    return options


def _settings(options: argparse.Namespace, scratch: Path) -> list[Setting]:
    found = [(folder.name, folder, folder / "maps") for folder in options.data]
    if options.city is not None:
        city = ensure_dataset(options.city, logs=3, seconds=300.0, grid=(20, 20), density=options.density)
        found.append(("city 20x20", city.data_root, city.map_root))
    return [
        Setting(name=name, data_root=data, map_root=maps, cache_home=scratch / "home", repeat=options.repeat)
        for name, data, maps in found
    ]


def _measure(setting: Setting, scratch: Path) -> Mapping[str, str]:
    chosen = _scenarios(setting)
    first_us, warm_us = _listing_us(setting)
    boxes = _boxes_a_frame(setting)
    rows = {
        "logs, boxes a frame": f"{len(chosen)}, {boxes:.0f}",
        "listing, first, µs a scenario": f"{first_us:.1f}",
        "listing, warm, µs a scenario": f"{warm_us:.2f}",
    }
    for count in AMORTISED:
        rows[f"load, over {count} of a log, ms a scenario (of a processor)"] = _amortised(setting, chosen, count)
    rows |= _with_fewer_boxes(setting, scratch, chosen, boxes)
    rows["load, all of the log in memory, ms a scenario"] = f"{_held_ms(setting, chosen):.2f}"
    rows["load, one window alone, ms"] = f"{_single_ms(setting, chosen):.1f}"
    with _Copies(setting, scratch, _drop_indices) as bare:
        rows["load, one window alone, log without indices, ms"] = f"{_single_ms(bare, chosen):.1f}"
    rows["the plain way, boxes of one window as tuples, ms"] = f"{_plain_ms(setting, chosen):.1f}"
    rows["peak memory of a process: started, map open, all loaded, MB"] = " / ".join(
        f"{value:.0f}" for value in _in_new_process(_peaks_mb, setting, chosen)
    )
    return rows


def _scenarios(setting: Setting) -> dict[str, list[ScenarioId]]:
    """Return for each log as many scenarios as are needed, evenly spread over it."""
    listing = setting.source().list(ScenarioFilter())
    chosen = {}
    for code, log in enumerate(listing.logs.values):
        rows = np.flatnonzero(listing.logs.codes == code)
        spread = rows[np.linspace(0, len(rows) - 1, max(AMORTISED)).astype(np.int64)]
        chosen[log] = [listing.id(int(row)) for row in spread]
    return chosen


def _boxes_a_frame(setting: Setting) -> float:
    boxes = frames = 0
    for path in setting.logs.values():
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            boxes += database.execute("SELECT count(*) FROM lidar_box").fetchone()[0]
            frames += database.execute("SELECT count(*) FROM lidar_pc").fetchone()[0]
    return boxes / frames


def _listing_us(setting: Setting) -> tuple[float, float]:
    first: list[float] = []
    warm: list[float] = []
    for _ in range(setting.repeat):
        source = setting.source()
        for times in (first, warm):
            seconds, listing = _timed(source.list, ScenarioFilter())
            times.append(seconds / len(listing) * 1e6)
    return min(first), min(warm)


def _amortised(setting: Setting, chosen: Mapping[str, list[ScenarioId]], count: int) -> str:
    """Return wall time and, in brackets, the processor's, which says more where a machine is shared."""
    wall, processor = [], []
    for scenarios in chosen.values():
        some = scenarios[:: max(AMORTISED) // count][:count]
        tries = []
        for _ in range(setting.repeat):
            source = _ready(setting, some[0])
            before = time.process_time()
            tries.append((_timed(_load_all, source, some)[0], time.process_time() - before))
        wall.append(min(seconds for seconds, _ in tries) / len(some) * 1e3)
        processor.append(min(seconds for _, seconds in tries) / len(some) * 1e3)
    return f"{statistics.median(wall):.2f} ({statistics.median(processor):.2f})"


def _with_fewer_boxes(
    setting: Setting, scratch: Path, chosen: Mapping[str, list[ScenarioId]], boxes: float
) -> Mapping[str, str]:
    """Return the amortised loads of copies of the logs with fewer boxes a frame, where they have more."""
    names = [
        f"load at {FEWER_BOXES} boxes a frame, over {count} of a log, ms a scenario (of a processor)" for count in AMORTISED
    ]
    if boxes <= FEWER_BOXES:
        return dict.fromkeys(names, "-")
    with _Copies(setting, scratch, lambda database: _thin(database, FEWER_BOXES / boxes)) as thin:
        return {name: _amortised(thin, chosen, count) for name, count in zip(names, AMORTISED, strict=True)}


def _held_ms(setting: Setting, chosen: Mapping[str, list[ScenarioId]]) -> float:
    found = []
    for scenarios in chosen.values():
        source = _ready(setting, scenarios[0])
        _load_all(source, scenarios)
        found += [_timed(_load_all, source, [scenario])[0] * 1e3 for scenario in scenarios]
    return statistics.median(found)


def _single_ms(setting: Setting, chosen: Mapping[str, list[ScenarioId]]) -> float:
    found = []
    for scenarios in chosen.values():
        scenario = scenarios[len(scenarios) // 2]
        found.append(min(_timed(_ready(setting, scenario).load, scenario, WINDOW)[0] for _ in range(setting.repeat)) * 1e3)
    return statistics.median(found)


def _plain_ms(setting: Setting, chosen: Mapping[str, list[ScenarioId]]) -> float:
    found = []
    for log, scenarios in chosen.items():
        present = scenarios[len(scenarios) // 2].start_us
        found.append(min(_timed(_plain_window, setting.logs[log], present)[0] for _ in range(setting.repeat)) * 1e3)
    return statistics.median(found)


def _plain_window(path: Path, present_us: int) -> int:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
        frames = database.execute(
            "SELECT token FROM lidar_pc WHERE timestamp BETWEEN ? AND ? ORDER BY timestamp",
            (present_us - 2_000_000, present_us + 8_000_000),
        ).fetchall()
        return sum(len(database.execute(PLAIN_BOXES, frame).fetchall()) for frame in frames[::2])


def _drop_indices(database: sqlite3.Connection) -> None:
    names = database.execute("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL").fetchall()
    for (name,) in names:
        database.execute(f'DROP INDEX "{name}"')


def _thin(database: sqlite3.Connection, share: float) -> None:
    """Leave so many of the boxes: those of some tracks, one after the other until there are enough."""
    tracks = database.execute(
        "SELECT track_token, count(*) FROM lidar_box GROUP BY track_token ORDER BY track_token"
    ).fetchall()
    left = share * sum(count for _, count in tracks)
    for token, count in tracks:
        left -= count
        if left < 0:
            database.execute("DELETE FROM lidar_box WHERE track_token = ?", (token,))
    database.commit()
    database.execute("VACUUM")


class _Copies:
    """The logs of a dataset, changed, in a temporary folder."""

    def __init__(self, setting: Setting, scratch: Path, change: Callable[[sqlite3.Connection], None]) -> None:
        self._setting, self._folder, self._change = setting, scratch / f"copies of {setting.name}", change

    def __enter__(self) -> Setting:
        self._folder.mkdir()
        for path in self._setting.logs.values():
            copy = self._folder / path.name
            shutil.copyfile(path, copy)
            with closing(sqlite3.connect(copy)) as database:
                self._change(database)
                database.commit()
        return attrs.evolve(self._setting, data_root=self._folder)

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder)


def _ready(setting: Setting, scenario: ScenarioId) -> NuPlanSource:
    """Return a source whose map is open and that has read nothing else; other logs were never touched."""
    source = setting.source()
    log = source._log(scenario.log)  # noqa: SLF001 -- a benchmark may look inside
    source._map(log.index.map_name)  # noqa: SLF001
    maps = source._maps  # noqa: SLF001
    source._forget()  # noqa: SLF001
    source._maps = maps  # noqa: SLF001
    return source


def _load_all(source: NuPlanSource, scenarios: list[ScenarioId]) -> int:
    loaded = 0
    for scene in source.load_many(scenarios, WINDOW):
        if not isinstance(scene, Scene):
            raise scene
        loaded += 1
    return loaded


def _timed(call: Callable[..., Result], *arguments: object) -> tuple[float, Result]:
    start = time.perf_counter()
    result = call(*arguments)
    return time.perf_counter() - start, result


def _peaks_mb(setting: Setting, chosen: Mapping[str, list[ScenarioId]]) -> list[float]:
    peaks = [_peak_mb()]
    source = _ready(setting, next(iter(chosen.values()))[0])
    peaks.append(_peak_mb())
    for scenarios in chosen.values():
        _load_all(source, scenarios)
    return [*peaks, _peak_mb()]


def _peak_mb() -> float:
    # Linux only: getrusage would count the parent's memory, which a new process inherits in its books.
    held = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    return int(held[1]) / 1024 if held else float("nan")


def _in_new_process(
    task: Callable[[Setting, Mapping[str, list[ScenarioId]]], list[float]],
    setting: Setting,
    chosen: Mapping[str, list[ScenarioId]],
) -> list[float]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(task, (setting, chosen))


if __name__ == "__main__":
    main()
