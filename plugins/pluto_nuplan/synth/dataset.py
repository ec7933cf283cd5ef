"""Entry to the writer: a whole dataset of logs and maps in nuPlan's layout, from a seed."""

import importlib.resources
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from pluto_core.errors import PlutoError
from pluto_nuplan.synth.drive import World, drive
from pluto_nuplan.synth.ego import BEHAVIOURS
from pluto_nuplan.synth.fids import Fids, number
from pluto_nuplan.synth.logs import LogTarget, write_log
from pluto_nuplan.synth.maps import town_layers, write_map
from pluto_nuplan.synth.roads import pack_roads
from pluto_nuplan.synth.surroundings import surround
from pluto_nuplan.synth.town import build_town

FORMAT_VERSION = 1
LOCATION = "us-nv-las-vegas-strip"
STAMP_NAME = "synth.json"
LOGS_FOLDER = Path("nuplan-v1.1") / "splits" / "mini"
MAPS_FOLDER = Path("maps")
MAP_INDEX_NAME = "nuplan-maps-v1.0.json"
MAP_VERSIONS = {
    "sg-one-north": "9.17.1964",
    "us-ma-boston": "9.12.1817",
    LOCATION: "9.15.1915",
    "us-pa-pittsburgh-hazelwood": "9.17.1937",
}

_EPSG = 32611
_ORIGIN_M = (664_500.0, 3_998_000.0)
_LEAST_SECONDS = 4.0
_MOST_SECONDS = 86_400.0
_MOST_JUNCTIONS = 100
"""In a row or column; 20 x 20 make a city as large as nuPlan's."""
_MOST_DENSITY = 4.0

Progress = Callable[[int, int, str], None]


@attrs.frozen(kw_only=True)
class DatasetSummary:
    """What a synthetic dataset holds and where.

    Attributes:
        root: The dataset's folder.
        data_root: Folder of the `.db` files.
        map_root: Folder of the map index.
        logs, frames, boxes, lanes: How many there are (`lanes` without connectors).
        seconds: Length of all logs together.
        written: Whether this call wrote it, or it was there.
    """

    root: Path
    data_root: Path
    map_root: Path
    logs: int
    frames: int
    boxes: int
    lanes: int
    seconds: float
    written: bool


def write_dataset(
    out: Path,
    *,
    logs: int = 12,
    seconds: float = 40.0,
    seed: int = 0,
    grid: tuple[int, int] = (3, 3),
    density: float = 1.0,
    progress: Progress | None = None,
) -> DatasetSummary:
    """Write a synthetic dataset into the folder `out`, in place of an older one of ours.

    Everything is written next to `out` and moved there at the end, so that `out` is whole or absent.

    Args:
        out: Folder to make: `nuplan-v1.1/splits/mini/<log>.db` and `maps/`.
        logs: Number of logs; about two thirds have names of the official train split, the others of val and test.
        seconds: Length of a log.
        seed: Same seed, same rows.
        grid: Crossroads of the town by columns and rows, inside a ring road.
        density: Traffic, people and things, as a multiple of the usual.
        progress: Called with steps done, steps in all and a word on what comes next.

    Raises:
        PlutoError: A setting is out of range, or `out` holds something else.
    """
    settings = _settings(logs, seconds, seed, grid, density)
    _check(out, settings)
    out.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        counts = _write(building, settings, progress or (lambda *_: None))
        _write_json(building / STAMP_NAME, {"settings": settings, "counts": counts})
        building.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        building.rename(out)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return _summary(out, counts, written=True)


def ensure_dataset(
    out: Path,
    *,
    logs: int = 12,
    seconds: float = 40.0,
    seed: int = 0,
    grid: tuple[int, int] = (3, 3),
    density: float = 1.0,
    progress: Progress | None = None,
) -> DatasetSummary:
    """The dataset that `write_dataset` would write with these settings, written only if it is not in `out` already."""
    stamp = _read_stamp(out)
    if stamp is not None and stamp.get("settings") == _settings(logs, seconds, seed, grid, density):
        return _summary(out, stamp["counts"], written=False)
    return write_dataset(out, logs=logs, seconds=seconds, seed=seed, grid=grid, density=density, progress=progress)


def log_names(count: int) -> list[str]:
    """Names for `count` logs from the official splits, val and test spread among the train logs.

    Raises:
        PlutoError: There are not so many names.
    """
    text = (importlib.resources.files("pluto_nuplan.synth") / "log_names.json").read_text(encoding="utf-8")
    names: dict[str, list[str]] = json.loads(text)
    train = min(round(2 * count / 3), max(count - 2, 1))
    test = (count - train) // 3 if count - train > 2 else (count - train) // 2  # noqa: PLR2004  (one each of two)
    val = count - train - test
    wanted = {"train": train, "val": val, "test": test}
    if any(wanted[split] > len(names[split]) for split in wanted):
        raise PlutoError(f"synthetic dataset: {count} logs are too many; there are names for {_most(names)}")
    others = ["val"] * val
    for at in range(test):
        others.insert((at + 1) * val // test + at, "test")
    # Position of the k-th of the others: evenly spread, never first while there is a train log.
    places = {min(count - 1, 1 + (at * count) // max(len(others), 1)): split for at, split in enumerate(others)}
    supply = {split: iter(names[split]) for split in names}
    return [next(supply[places.get(index, "train")]) for index in range(count)]


def _most(names: dict[str, list[str]]) -> int:
    return min(len(names["train"]) * 3 // 2, len(names["val"]) * 9 // 2)


def _settings(logs: int, seconds: float, seed: int, grid: tuple[int, int], density: float) -> dict[str, object]:
    return {
        "format": FORMAT_VERSION,
        "logs": logs,
        "seconds": float(seconds),
        "seed": seed,
        "grid": list(grid),
        "density": float(density),
    }


def _check(out: Path, settings: dict[str, object]) -> None:
    where = f"synthetic dataset in {out}"
    logs, seconds, density, grid, seed = (settings[name] for name in ("logs", "seconds", "density", "grid", "seed"))
    if not isinstance(logs, int) or logs < 1:
        raise PlutoError(f"{where}: logs is {logs}; give 1 or more")
    if not isinstance(seconds, float) or not _LEAST_SECONDS <= seconds <= _MOST_SECONDS:
        raise PlutoError(f"{where}: seconds is {seconds}; give {_LEAST_SECONDS:g} to {_MOST_SECONDS:g}")
    if not isinstance(density, float) or not 0 < density <= _MOST_DENSITY:
        raise PlutoError(f"{where}: density is {density}; give more than 0 and at most {_MOST_DENSITY:g}")
    if not isinstance(grid, list) or len(grid) != 2 or not 1 <= min(grid) <= max(grid) <= _MOST_JUNCTIONS:  # noqa: PLR2004
        raise PlutoError(f"{where}: grid is {grid}; give two numbers of junctions, each from 1 to {_MOST_JUNCTIONS}")
    if not isinstance(seed, int) or seed < 0:
        raise PlutoError(f"{where}: seed is {seed}; give a number that is not negative")
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and _read_stamp(out) is None):
        raise PlutoError(f"{where}: there is something else; name a new folder or empty this one")


def _read_stamp(out: Path) -> dict[str, Any] | None:
    try:
        stamp = json.loads((out / STAMP_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) and {"settings", "counts"} <= stamp.keys() else None


def _write(root: Path, settings: dict[str, Any], progress: Progress) -> dict[str, float]:
    logs, seconds, seed, density = (settings[name] for name in ("logs", "seconds", "seed", "density"))
    progress(0, logs + 1, "map")
    world, fids = _make_world(tuple(settings["grid"]), seed)
    _write_maps(root / MAPS_FOLDER, world, fids)
    folder = root / LOGS_FOLDER
    folder.mkdir(parents=True)
    frames = boxes = 0
    for index, name in enumerate(log_names(logs)):
        progress(index + 1, logs + 1, name)
        rng = np.random.default_rng([seed, 1, index])
        driven = drive(world, BEHAVIOURS[index % len(BEHAVIOURS)], seconds, density, rng)
        target = LogTarget(folder / f"{name}.db", LOCATION, _EPSG)
        counts = write_log(target, driven, seconds, fids, rng)
        frames, boxes = frames + counts[0], boxes + counts[1]
    progress(logs + 1, logs + 1, "done")
    return {"logs": logs, "frames": frames, "boxes": boxes, "lanes": len(world.town.lanes), "seconds": logs * seconds}


def _make_world(grid: tuple[int, int], seed: int) -> tuple[World, Fids]:
    rng = np.random.default_rng([seed, 0])
    town = build_town(grid, rng, _ORIGIN_M)
    return World(town, pack_roads(town), surround(town, rng)), number(town)


def _write_maps(folder: Path, world: World, fids: Fids) -> None:
    """Write the index of the four locations, and the map of the one that is driven on."""
    home = folder / LOCATION / MAP_VERSIONS[LOCATION]
    home.mkdir(parents=True)
    index = {location: {"version": version, "layers": {}} for location, version in MAP_VERSIONS.items()}
    _write_json(folder / MAP_INDEX_NAME, index)
    write_map(home / "map.gpkg", town_layers(world.town, world.surroundings, fids), _EPSG)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _summary(out: Path, counts: dict[str, Any], *, written: bool) -> DatasetSummary:
    return DatasetSummary(root=out, data_root=out / LOGS_FOLDER, map_root=out / MAPS_FOLDER, written=written, **counts)
