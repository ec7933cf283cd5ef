"""Built maps as files in the user's cache folder, memory-mapped by every process that uses them."""

import logging
import time
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.errors import Reason, SampleError
from pluto_core.maps import MapView, from_arrays, to_arrays
from pluto_core.places import cache_home as default_cache_home
from pluto_core.places.copies import locked
from pluto_core.places.remote import Place, RemotePath, local
from pluto_nuplan.maps import geopackage, mapfile
from pluto_nuplan.maps.assemble import assemble
from pluto_nuplan.maps.mapfile import DamagedError
from pluto_nuplan.maps.tables import Problems, read_tables

_LOG = logging.getLogger(__name__)

BUILD = 2
"""Grows with every change of what is built from the same source."""
EDGE_POINTS = 21
"""Points a line of the resampled edges that are stored with a map, as PLUTO's features want them."""
_HEAD_BYTES = 1 << 16
_KEPT = 8
"""Built files kept for one location: sources that were replaced leave files behind."""
_ABANDONED_S = 3600.0


@attrs.frozen
class MapFile:
    """Where the map of a location is."""

    location: str
    version: str
    path: Place

    def identity(self) -> dict[str, Any]:
        """Return what tells this source from another: names, size, time of change, first bytes (SQLite counts changes there).

        Raises:
            SampleError: The file does not exist or cannot be read.
        """
        named = {"build": BUILD, "location": self.location, "version": self.version, "file": self.path.name}
        if isinstance(self.path, RemotePath):
            return {**named, "size": self.path.size, "tag": self.path.tag}
        try:
            state = self.path.stat()
            with self.path.open("rb") as stream:
                head = blake2b(stream.read(_HEAD_BYTES), digest_size=16).hexdigest()
        except OSError as error:
            message = f"{self.path} cannot be read ({error.strerror}) (setting source.map_root)"
            raise SampleError(Reason.MISSING_MAP, message) from error
        return {**named, "size": state.st_size, "changed_ns": state.st_mtime_ns, "head": head}


def open_built(file: MapFile, cache_home: Path | None) -> MapView:
    """Return the map of a file: built where no built one fits, memory-mapped, and the same object for the same source.

    Raises:
        SampleError: The file is missing, or lacks layers or columns.
    """
    identity = file.identity()
    return _open(file, tuple(identity.items()), default_cache_home() if cache_home is None else cache_home)


def build(file: MapFile) -> tuple[MapView, list[str]]:
    """Return the map read from its GeoPackage, in this process's own memory, and what had to be left out.

    Raises:
        SampleError: The file is no GeoPackage, or lacks layers or columns.
    """
    problems = Problems()
    try:
        path = local(file.path)
    except OSError as error:
        raise SampleError(Reason.MISSING_MAP, f"{file.path} cannot be fetched: {error}") from error
    with geopackage.opened(path) as package:
        view = assemble(file.location, read_tables(package, problems), problems)
    if problems.notes:
        _LOG.warning("map %s (%s) is incomplete: %s", file.location, file.path, "; ".join(problems.notes))
    return view, problems.notes


@lru_cache(maxsize=16)
def _open(file: MapFile, identity: tuple[tuple[str, Any], ...], cache_home: Path) -> MapView:
    built = dict(identity)
    key = blake2b(repr(identity).encode(), digest_size=8).hexdigest()
    path = cache_home / "maps" / f"{file.location}-{file.version}-{key}.map"
    view = _read(path, built)
    if view is None:
        view = _build_and_read(file, path, built)
    view.reopen = (open_built, (file, cache_home))
    return view


def _build_and_read(file: MapFile, path: Path, identity: dict[str, Any]) -> MapView:
    """Build and store; a map that cannot be stored is used from memory."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_suffix(".lock")):
            view = _read(path, identity)
            if view is None:
                view, notes = build(file)
                view.derived["problems"] = notes
                mapfile.write(path, _stored_arrays(view), {"identity": identity, "problems": notes})
                _tidy(path)
                view = _read(path, identity) or view
    except OSError as error:
        _LOG.warning("the built map %s cannot be stored (%s); this process keeps it in memory", path, error)
        view, notes = build(file)
        view.derived["problems"] = notes
    return view


def _read(path: Path, identity: dict[str, Any]) -> MapView | None:
    """Return the stored map; None where there is none of this source, or it is damaged."""
    try:
        about, arrays = mapfile.read(path)
    except FileNotFoundError:
        return None
    except (DamagedError, OSError) as error:
        _LOG.warning("the built map %s is set aside: %s", path, error)
        return None
    if about.get("identity") != identity:
        return None
    try:
        view = from_arrays(identity["location"], arrays)
        view.derived["edges", EDGE_POINTS] = arrays["derived/edges"]
        view.derived["problems"] = about["problems"]
    except (KeyError, TypeError) as error:
        _LOG.warning("the built map %s is set aside: it lacks %s", path, error)
        return None
    return view


def _stored_arrays(view: MapView) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a map with all that its users would otherwise compute in each process."""
    lanes = view.lanes
    for line in (lanes.baselines, lanes.left, lanes.right):
        _ = line.arc_m, line.headings, line.lengths_m
    _ = lanes.reach.bounds, lanes.reach.chunk_bounds
    for polygons in (lanes.polygons, view.blocks.polygons, *(areas.polygons for areas in view.areas.values())):
        _ = polygons.bounds, polygons.single, polygons.chunk_offsets, polygons.rings.chunk_bounds
    return to_arrays(view) | {"derived/edges": np.ascontiguousarray(view.edges(EDGE_POINTS))}


def _tidy(path: Path) -> None:
    """Remove what older sources of this location and killed writers left; who has them open keeps them."""
    place = path.name.rsplit("-", 1)[0]
    ages = {old: _age_s(old) for old in path.parent.iterdir()}
    built = sorted((old for old in ages if old.name.startswith(f"{place}-") and old.suffix == ".map"), key=ages.__getitem__)
    abandoned = [old for old, age_s in ages.items() if old.suffix == ".part" and age_s > _ABANDONED_S]
    for old in [*(other for other in built[_KEPT:] if other != path), *abandoned]:
        old.unlink(missing_ok=True)
        old.with_suffix(".lock").unlink(missing_ok=True)


def _age_s(path: Path) -> float:
    """Return the age of a file, 0 for one that somebody else has just removed."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
