"""What this plugin offers. nuplan-devkit itself is imported when an experiment asks for it, and not before."""

from collections.abc import Iterable

from pluto_core.component import Component, hookimpl
from pluto_core.filters import SOURCE_FIELDS


@hookimpl
def pluto_register_sources() -> Iterable[Component]:
    """Return the source."""
    return [
        Component(
            "devkit",
            factory="pluto_devkit.source:make",
            config="pluto_devkit.config:DevkitSourceConfig",
            extra="devkit",
            facts={"answers": SOURCE_FIELDS},
            summary="Scenarios of an AbstractScenarioBuilder of nuplan-devkit.",
        )
    ]


@hookimpl
def pluto_register_features() -> Iterable[Component]:
    """Return features of the devkit's builders, and those that were imported."""
    return [
        Component(
            "devkit",
            factory="pluto_devkit.factories:features",
            config="pluto_devkit.config:FeatureConfig",
            provides="pluto_devkit.schema:built",
            extra="devkit",
            summary="What an AbstractFeatureBuilder of nuplan-devkit makes, or all those of a model.",
        ),
        Component(
            "devkit_imported",
            factory="pluto_devkit.imported:make",
            config="pluto_devkit.config:ImportedConfig",
            provides="pluto_devkit.schema:imported",
            summary="What `pluto cache import` took from a gzip cache of nuplan-devkit.",
        ),
    ]


@hookimpl
def pluto_register_targets() -> Iterable[Component]:
    """Return targets of the devkit's builders."""
    return [
        Component(
            "devkit",
            factory="pluto_devkit.factories:targets",
            config="pluto_devkit.config:TargetConfig",
            provides="pluto_devkit.schema:built",
            extra="devkit",
            summary="What an AbstractTargetBuilder of nuplan-devkit makes, or all those of a model.",
        ),
    ]


@hookimpl
def pluto_register_models() -> Iterable[Component]:
    """Return models of the devkit."""
    return [
        Component(
            "devkit",
            factory="pluto_devkit.model:make",
            config="pluto_devkit.config:ModelConfig",
            requires="pluto_devkit.needs:model",
            extra="devkit",
            summary="Any TorchModuleWrapper of nuplan-devkit.",
        ),
    ]


@hookimpl
def pluto_register_objectives() -> Iterable[Component]:
    """Return objectives of the devkit."""
    return [
        Component(
            "devkit",
            factory="pluto_devkit.objective:make",
            config="pluto_devkit.config:ObjectiveConfig",
            extra="devkit",
            summary="Objectives and metrics of nuplan-devkit.",
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
