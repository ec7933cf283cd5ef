"""Caches by their path alone, without the experiment that made them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_core.experiment.nodes import Origin, build
from pluto_core.experiment.structure import FAILED, Structurer
from pluto_core.pipeline.fingerprint import described
from pluto_core.pipeline.folder import CacheFolder
from pluto_core.pipeline.manifest import Manifest
from pluto_core.places import cache_home
from pluto_core.plugins import Catalogue
from pluto_core.run.recipes import Builders, Recipe, name_of, recipe


def cache_at(path: Path, catalogue: Catalogue) -> CacheFolder:
    """Return the cache in a folder, stored as its manifest says.

    Raises:
        PlutoError: There is none, or no plugin offers how it is stored.
    """
    if not path.is_dir():
        raise PlutoError(f"there is no cache at {path}; name the folder that `pluto show FILE` calls cache.path")
    return cache_as(path, Manifest.read(path).store, catalogue)


def cache_as(path: Path, use: str, catalogue: Catalogue) -> CacheFolder:
    """Return a cache, which may not exist yet, that is stored by the component `use` with its defaults.

    Raises:
        PlutoError: No plugin offers it.
    """
    store: Any = catalogue.make("caches", use, catalogue.config_class("caches", use)(), Context())
    return CacheFolder(path, store, name=use)


def stored_builders(manifest: Manifest, catalogue: Catalogue) -> Builders:
    """Return those builders of a cache that can be made again as they were: same version, settings, window and arrays.

    A manifest is data, and may come from anybody: builders whose settings name code to run are never made from it.
    """
    made = []
    for tag, told in sorted(manifest.fingerprint.builders.items()):
        found = next((one for one in _recipes(name_of(tag), told["config"], catalogue) if _makes(one, told)), None)
        made += [(tag, found)] if found else []
    return Builders(tuple(made))


def _recipes(name: str, settings: Mapping[str, Any], catalogue: Catalogue) -> Iterator[Recipe]:
    for kind in ("features", "targets"):
        if catalogue.has(kind, name):
            given = build(_without_none(settings), lambda _path: Origin("manifest.json"))
            structurer = Structurer()
            config = structurer.table(given, catalogue.config_class(kind, name), ())
            if config is not FAILED and not structurer.found and not _names_code(config):
                yield recipe(catalogue.component(kind, name), config, seed=0, cache_home=cache_home())


def _names_code(config: Any) -> bool:
    fields = [field for field in attrs.fields(type(config)) if field.metadata.get("code")]
    return any(getattr(config, field.name) not in (None, {}, ()) for field in fields)


def _makes(one: Recipe, told: Mapping[str, Any]) -> bool:
    try:
        return described(one(), one.config) == told
    except Exception:  # noqa: BLE001 -- a manifest may ask for whatever a builder does not expect
        return False


def _without_none(value: Any) -> Any:
    """Return plain settings without those that are absent, as an experiment file writes them."""
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value
