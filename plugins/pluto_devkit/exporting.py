"""Our caches as gzip caches of nuplan-devkit, for programs that still read those."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pluto_core.pipeline.reader import CacheReader
from pluto_core.samples import Array
from pluto_core.scene import ScenarioId
from pluto_devkit import gzip_cache, trees
from pluto_devkit.gzip_cache import Entry
from pluto_devkit.schema import LAYOUT

_AT_A_TIME = 256


def write_cache(reader: CacheReader, root: Path, *, node: int = 0) -> int:
    """Write the devkit's features of a cache as the devkit stores them, with its list of files; return how many files.

    Args:
        reader: What `pluto_core.api.open_cache` gives, of a cache with samples of `devkit` or `devkit_imported`.
        root: Folder to write into; files that are there are written anew.
        node: Number of this machine, part of the list's name.
    """
    files: list[Path] = []
    for first in range(0, len(reader.keys), _AT_A_TIME):
        keys = reader.keys[first : first + _AT_A_TIME]
        for key, sample in zip(keys, reader.get_many(keys), strict=True):
            scenario = ScenarioId.from_key(key)
            for tree in _trees(sample):
                entry = Entry(scenario.log, tree["scenario_type"], scenario.token)
                files += [gzip_cache.write(root, entry, name, data) for name, data in tree["features"].items()]
    gzip_cache.write_metadata(root, files, node=node)
    return len(files)


def _trees(sample: Mapping[str, Array]) -> Iterator[Any]:
    """Yield what each builder of the devkit gave."""
    for prefix in sorted(key.removesuffix(f"/{LAYOUT}") for key in sample if key.endswith(f"/{LAYOUT}")):
        group = {key.removeprefix(f"{prefix}/"): array for key, array in sample.items() if key.startswith(f"{prefix}/")}
        yield trees.decode(group)
