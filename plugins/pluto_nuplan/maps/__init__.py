"""Maps of nuPlan: GeoPackages read once, then memory-mapped."""

from pluto_nuplan.maps.folder import find_map, open_map
from pluto_nuplan.maps.store import MapFile

__all__ = ["MapFile", "find_map", "open_map"]
