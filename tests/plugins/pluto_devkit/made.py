"""A small dataset in nuPlan's format that the devkit can open, and its arguments."""

import json
import shutil

from pluto_nuplan.synth.dataset import write_dataset


def dataset(folder):
    """Two logs of 14 s and their map; the devkit opens the maps of all locations at once, so that each gets the same."""
    written = write_dataset(folder / "data", logs=2, seconds=14, grid=(1, 1))
    there = next(written.map_root.glob("*/*/map.gpkg"))
    for name, told in json.loads((written.map_root / "nuplan-maps-v1.0.json").read_text()).items():
        place = written.map_root / name / told["version"] / "map.gpkg"
        if not place.exists():
            place.parent.mkdir(parents=True)
            shutil.copy(there, place)
    return written


def arguments(written):
    """Arguments of the devkit's own scenario builder."""
    return {
        "data_root": str(written.data_root),
        "map_root": str(written.map_root),
        "sensor_root": str(written.root),
        "db_files": None,
        "map_version": "nuplan-maps-v1.0",
        "verbose": False,
    }
