"""Finds the maps below a map root and opens them."""

from pathlib import Path
from typing import Any

from pluto_core.errors import Reason, SampleError
from pluto_core.maps import MapView
from pluto_core.places.files import parsed
from pluto_core.places.names import is_file_name
from pluto_core.places.remote import Place, RemotePath
from pluto_nuplan.maps.store import MapFile, open_built

MAP_VERSION = "nuplan-maps-v1.0"


def find_map(map_root: Place, map_name: str, *, map_version: str = MAP_VERSION) -> MapFile:
    """Return where the map of a location is.

    Args:
        map_root: Folder that holds `nuplan-maps-v1.0.json` and a folder for each location.
        map_name: Location as a log names it; older logs append `.gpkg`.
        map_version: Name of the index file without its suffix.

    Raises:
        SampleError: The folder, its index, the location in it or the map file is missing.
    """
    location = map_name.removesuffix(".gpkg")
    index = map_root / f"{map_version}.json"
    locations = _read_index(map_root, index)
    entry = locations.get(location)
    if not isinstance(entry, dict) or not isinstance(entry.get("version"), str):
        message = f"{index} has no map {location!r}, only {', '.join(sorted(locations)) or 'none'} (setting source.map_root)"
        raise SampleError(Reason.MISSING_MAP, message)
    if not (is_file_name(location) and is_file_name(entry["version"])):
        raise SampleError(Reason.BROKEN_MAP, f"{index} names {location!r}, {entry['version']!r}: no plain folder names")
    path = map_root / location / entry["version"] / "map.gpkg"
    path = path.known() if isinstance(path, RemotePath) else path
    if not path.is_file():
        raise SampleError(Reason.MISSING_MAP, f"{path} does not exist; {index.name} names it (setting source.map_root)")
    return MapFile(location, entry["version"], path)


def open_map(map_root: Place, map_name: str, *, map_version: str = MAP_VERSION, cache_home: Path | None = None) -> MapView:
    """Return the map of a location: built at the first use ever, then memory-mapped; one object per process and map.

    Args:
        map_root: Folder that holds `nuplan-maps-v1.0.json` and a folder for each location.
        map_name: Location as a log names it.
        map_version: Name of the index file without its suffix.
        cache_home: Folder of the built maps; None: `$PLUTO_CACHE_HOME`, `$XDG_CACHE_HOME/pluto` or `~/.cache/pluto`.

    Raises:
        SampleError: The map is missing, or lacks layers or columns.
    """
    return open_built(find_map(map_root, map_name, map_version=map_version), cache_home)


def _read_index(map_root: Place, index: Place) -> dict[str, Any]:
    if not map_root.is_dir():
        raise SampleError(Reason.MISSING_MAP, f"the map folder {map_root} does not exist (setting source.map_root)")
    try:
        locations = parsed(index.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"{index} cannot be read ({error.strerror}); source.map_root must be the folder that holds it"
        raise SampleError(Reason.MISSING_MAP, message) from error
    except ValueError as error:
        raise SampleError(Reason.BROKEN_MAP, f"{index} is no JSON: {error}; fetch it again") from error
    if not isinstance(locations, dict):
        raise SampleError(Reason.BROKEN_MAP, f"{index} must hold an object of locations; fetch it again")
    return locations
