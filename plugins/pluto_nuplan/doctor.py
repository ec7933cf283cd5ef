"""What `pluto doctor` looks at for nuPlan: where logs and maps are, whether each opens, and what to download for what."""

import json
import math
import struct
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Literal

import attrs

from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.moments import Finding, Surroundings
from pluto_core.places.copies import Copies
from pluto_core.places.remote import Place, RemotePath
from pluto_nuplan.logs import tables
from pluto_nuplan.logs.database import opened
from pluto_nuplan.logs.files import find_logs, find_map_root
from pluto_nuplan.maps import open_map
from pluto_nuplan.maps.folder import MAP_VERSION
from pluto_nuplan.splits import official_logs

DATA, MAPS = "NUPLAN_DATA_ROOT", "NUPLAN_MAPS_ROOT"
_RUN = "pluto run experiments/sanity.toml"
_SYNTHETIC = "no data is needed to start: experiments/sanity.toml makes its own, as `pluto data synth` does"
_SHOWN = 10
_GB = 1e9
_COPIES_BYTES = round(200 * _GB)
"""The default of the setting `remote_cache_gb`."""
_SQLITE_PAGES = struct.Struct(">16xH10xI")
"""Size of a page and their number, in the first bytes of every SQLite file (1 stands for 65536 bytes)."""
_LARGEST_PAGE = 1 << 16
_MAPS_ARCHIVE = "nuplan-maps-v1.1.zip"
_UNPACKED = 1.69
"""Bytes of files to bytes of an archive: 162.3 to 95.9 GB for the test logs; an estimate for the others."""
_TABLES = ("ego_pose", "lidar_pc", "lidar_box", "track", "category", "scene", "scenario_tag", "traffic_light_status")


def examine(surroundings: Surroundings) -> Iterator[Finding]:
    """Yield what there is of nuPlan, and what is needed for what."""
    root = surroundings.environment.get(DATA)
    logs: dict[str, Place] = {}
    copies = Copies(surroundings.cache_home / "remote", _COPIES_BYTES)
    if not root:
        yield Finding(subject=DATA, state="note", text="is not set", advice=_SYNTHETIC, command=_RUN)
    else:
        try:
            logs = find_logs(root, None, copies)
        except PlutoError as error:
            yield _broken(DATA, error, f"set {DATA} to the folder that holds nuplan-v1.1, or logs (.db)")
    needed: Counter[str] = Counter()
    if logs:
        yield from _logs(str(root), logs, needed, surroundings)
    yield from _maps(root if logs else None, needed, copies, surroundings)
    yield from downloads(logs)


def _broken(subject: str, error: Exception, advice: str) -> Finding:
    text = error.detail if isinstance(error, SampleError) else str(error)
    return Finding(subject=subject, state="broken", text=text.removeprefix("source.data_root: "), advice=advice)


def _logs(root: str, logs: Mapping[str, Place], needed: "Counter[str]", surroundings: Surroundings) -> Iterator[Finding]:
    """Open every log, of those behind URLs the first one; `needed` counts the maps that they name."""
    refused: list[Finding] = []
    far = [name for name, path in logs.items() if isinstance(path, RemotePath)]
    tried = {name: path for name, path in logs.items() if name not in set(far[1:])}
    for count, (name, path) in enumerate(tried.items(), start=1):
        try:
            needed[_map_of(path)] += 1
        except SampleError as error:
            refused.append(_broken(name, error, "download it again"))
        surroundings.progress(count, len(tried))
    size_gb = sum(_size(path) for path in logs.values()) / _GB
    text = f"{len(tried) - len(refused):,} of {len(tried):,} logs open"
    text += f", of {len(logs):,} with {size_gb:.3g} GB in {root}" if far else f", {size_gb:.3g} GB in {root}"
    state: Literal["ok", "broken"] = "broken" if refused else "ok"
    yield Finding(subject=DATA, state=state, text=text, command=f"{_RUN} --set source.data_root={root}")
    yield from refused[:_SHOWN]
    if len(refused) > _SHOWN:
        yield Finding(subject="logs", state="broken", text=f"{len(refused) - _SHOWN:,} more logs cannot be opened")


def _size(path: Place) -> int:
    return path.size or 0 if isinstance(path, RemotePath) else path.stat().st_size


def _map_of(path: Place) -> str:
    """Return the map that a log names, once it is known to be whole and to have its tables.

    Raises:
        SampleError: It is cut off, no database, or lacks a table.
    """
    if isinstance(path, Path):
        _require_whole(path)
    with opened(path) as database:
        name = tables.read_map_name(database)
        marks = ", ".join(f"'{table}'" for table in _TABLES)
        sql = f"SELECT count(*) AS n FROM sqlite_schema WHERE type = 'table' AND name IN ({marks})"  # noqa: S608 -- constants
        there = int(database.read(sql).integers("n")[0])
    if there < len(_TABLES):
        raise SampleError(Reason.UNREADABLE_LOG, f"{path.name}: has {there} of the tables {', '.join(_TABLES)}")
    return name


def _require_whole(path: Path) -> None:
    """Compare the size of a file with what its header says; reading it may not reach what is missing."""
    try:
        with path.open("rb") as stream:
            header = stream.read(_SQLITE_PAGES.size)
    except OSError as error:
        raise SampleError(Reason.UNREADABLE_LOG, f"it cannot be read: {error.strerror}") from error
    if len(header) == _SQLITE_PAGES.size and header.startswith(b"SQLite format 3"):
        page, pages = _SQLITE_PAGES.unpack(header)
        whole = (_LARGEST_PAGE if page == 1 else page) * pages
        if path.stat().st_size < whole:
            raise SampleError(Reason.UNREADABLE_LOG, f"it is cut off: {path.stat().st_size:,} of {whole:,} bytes")


def _maps(root: str | None, needed: "Counter[str]", copies: Copies, surroundings: Surroundings) -> Iterator[Finding]:
    given = surroundings.environment.get(MAPS)
    if not given and not root:
        yield Finding(subject=MAPS, state="note", text="is not set")
        return
    try:
        folder = find_map_root(given or None, root or "", MAP_VERSION, copies)
        named = json.loads((folder / f"{MAP_VERSION}.json").read_text(encoding="utf-8"))
    except (PlutoError, OSError, ValueError) as error:
        yield _broken(MAPS, error, f"set {MAPS} to the folder that holds {MAP_VERSION}.json")
        return
    beside = "" if given else " (beside the logs)"
    yield Finding(subject=MAPS, state="ok", text=f"{len(named)} locations in {folder}{beside}")
    for location in sorted(needed if isinstance(folder, RemotePath) else {*named, *needed}):
        yield _map(folder, location, needed[location], surroundings)


def _map(folder: Place, location: str, logs: int, surroundings: Surroundings) -> Finding:
    try:
        view = open_map(folder, location, cache_home=surroundings.cache_home)
    except SampleError as error:
        if logs:
            return _broken(location, error, f"download the maps again: {logs:,} logs need this one")
        return Finding(subject=location, state="note", text=f"{error.detail}; no log here needs it")
    left_out = "; ".join(view.derived["problems"])
    text = f"opens: {len(view.lanes):,} lanes and connectors, {len(view.blocks):,} roadblocks; {logs:,} logs need it"
    return Finding(subject=location, state="note" if left_out else "ok", text=text, advice=left_out and f"left out: {left_out}")


@attrs.frozen
class _Wish:
    """Something that people want to do, and what of nuPlan it takes."""

    title: str
    parts: tuple[str, ...]
    """Parts of the official lists whose logs it needs; `mini` has logs of all of them."""
    preset: str
    section: str = "filter"


_WISHES = (
    _Wish("to start: mini", ("mini",), "nuplan_mini", "source"),
    _Wish("for val14", ("val",), "val14"),
    _Wish("for test14-hard", ("test",), "test14-hard"),
    _Wish("for test14-random", ("test",), "test14-random"),
    _Wish("for full training", ("train", "val"), "training_scenarios_1M"),
)


def downloads(logs: Iterable[str]) -> Iterator[Finding]:
    """Yield for each usual aim what to download, how much that is, and how much of it is here."""
    official, here = official_logs(), set(logs)
    known = {name for names in official.values() for name in names}
    for wish in _WISHES:
        names = {name for part in wish.parts for name in official.get(part, ())}
        present = len(names & here)
        if names:
            logs_text = f"{len(names):,} logs, {_hours(names):,.0f} h; {present:,} are here"
        else:
            logs_text = f"{len(known & here):,} logs of the official lists are here"
        state: Literal["ok", "note"] = "ok" if names and present == len(names) else "note"
        advice = f'preset = "{wish.preset}" in [{wish.section}]: {_takes(wish.preset)}'
        yield Finding(subject=wish.title, state=state, text=f"{_archives(wish.parts)}; {logs_text}", advice=advice)


def _archives(parts: Collection[str]) -> str:
    """Return which archives hold the logs of some parts, and the maps, and how large all of them are."""
    sizes: Mapping[str, int] = json.loads(files("pluto_nuplan").joinpath("facts/archives.json").read_bytes())
    wanted = {name: size for name, size in sizes.items() if name == _MAPS_ARCHIVE or name.split("_")[1].split(".")[0] in parts}
    shown = [name for name in wanted if "_train_" not in name]
    several = len(wanted) - len(shown)
    shown += [f"nuplan-v1.1_train_*.zip ({several} of them)"] if several else []
    packed = sum(wanted.values()) / _GB
    size = f"{packed:,.1f} GB to download, about {_round(packed * _UNPACKED)} GB unpacked, no sensors"
    return f"{size}: {', '.join(shown)}"


def _round(number: float) -> str:
    """Return a number with two digits that count."""
    digits = 1 - math.floor(math.log10(number))
    return f"{round(number, digits):,.0f}"


def _hours(names: Iterable[str]) -> float:
    """Return how long logs are together: their names end with the seconds at which they begin and end."""
    spans = (name.split("_")[-2:] for name in names)
    return sum(int(end) - int(start) for start, end in spans) / 3600


def _takes(preset: str) -> str:
    """Return the first sentence of a preset, which says what it takes."""
    text = files("pluto_nuplan").joinpath(f"presets/{preset}.toml").read_text(encoding="utf-8")
    return text.splitlines()[0].partition(":")[2].strip().partition(". ")[0].rstrip(".")
