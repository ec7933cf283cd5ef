"""What this plugin offers. nuplan-devkit itself is imported when an experiment asks for it, and not before."""

from collections.abc import Iterable

from pluto_core.component import Component, hookimpl


@hookimpl
def pluto_register_features() -> Iterable[Component]:
    """Return features of the devkit's builders, and those that were imported."""
    return [
        Component(
            "devkit_imported",
            factory="pluto_devkit.imported:make",
            config="pluto_devkit.config:ImportedConfig",
            provides="pluto_devkit.schema:imported",
            summary="What `pluto cache import` took from a gzip cache of nuplan-devkit.",
        ),
    ]


@hookimpl
def pluto_cache_importers() -> Iterable[Component]:
    """Return the reader of the devkit's gzip caches."""
    return [
        Component(
            "devkit_gzip",
            factory="pluto_devkit.importing:make",
            config="pluto_devkit.config:ImporterConfig",
            summary="Gzip caches of nuplan-devkit.",
        )
    ]
