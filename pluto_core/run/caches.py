"""Caches by their path alone, without the experiment that made them."""

from pathlib import Path
from typing import Any

from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_core.pipeline.folder import CacheFolder
from pluto_core.pipeline.manifest import Manifest
from pluto_core.plugins import Catalogue


def cache_at(path: Path, catalogue: Catalogue) -> CacheFolder:
    """Return the cache in a folder, stored as its manifest says.

    Raises:
        PlutoError: There is none, or no plugin offers how it is stored.
    """
    if not path.is_dir():
        raise PlutoError(f"there is no cache at {path}; name the folder that `pluto show FILE` calls cache.path")
    use = Manifest.read(path).store
    store: Any = catalogue.make("caches", use, catalogue.config_class("caches", use)(), Context())
    return CacheFolder(path, store, name=use)
