"""Settings of the components of this plugin."""

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from pluto_core.component import setting


@attrs.frozen(kw_only=True)
class DevkitSourceConfig:
    """Scenarios of a scenario builder of nuplan-devkit."""

    builder: str = setting(
        "nuplan.planning.scenario_builder.nuplan_db.nuplan_scenario_builder:NuPlanScenarioBuilder",
        "Import string of an AbstractScenarioBuilder.",
    )
    arguments: Mapping[str, Any] = setting(
        attrs.Factory(dict), "Its arguments; a table with `_target_` becomes an object, as in Hydra."
    )
    map_radius_m: float = setting(
        150.0, "Half the side of the square of map that a scene gets, around the ego vehicle, metres.", above=0
    )


@attrs.frozen(kw_only=True)
class BuilderConfig:
    """A feature or target builder of nuplan-devkit, or all those of a model."""

    builder: str | None = setting(
        None, "Import string of an AbstractFeatureBuilder (under targets: AbstractTargetBuilder).", code=True
    )
    model: str | None = setting(
        None, "Instead: import string of a TorchModuleWrapper, all of whose builders are taken.", code=True
    )
    arguments: Mapping[str, Any] = setting(
        attrs.Factory(dict),
        "Arguments of the builder or model; a table with `_target_` becomes an object, as in Hydra.",
        code=True,
    )
    name: str = setting("devkit", "First part of the keys of its arrays; two builders need two names.")
    history_s: float = setting(2.0, "How far back the builder looks, seconds.", minimum=0)
    future_s: float = setting(8.0, "How far ahead the builder looks, seconds.", minimum=0)
    interval_s: float = setting(0.05, "Time between two frames that the builder may ask for, seconds.", above=0)
    map_root: str | None = setting(None, "Folder of nuPlan's maps, for the devkit's own map factory. [$NUPLAN_MAPS_ROOT]")
    map_version: str = setting("nuplan-maps-v1.0", "Version of the maps, as the devkit's configuration calls it.")


@attrs.frozen(kw_only=True)
class FeatureConfig(BuilderConfig):
    """A feature builder of nuplan-devkit, or all those of a model."""


@attrs.frozen(kw_only=True)
class TargetConfig(BuilderConfig):
    """A target builder of nuplan-devkit, or all those of a model."""

    name: str = setting("devkit_targets", "First part of the keys of its arrays; two builders need two names.")


@attrs.frozen(kw_only=True)
class ImportedConfig:
    """Features and targets that `pluto cache import` took from a gzip cache of nuplan-devkit."""

    name: str = setting("devkit", "First part of the keys of the arrays.")
    truth_steps: int = setting(
        0, "Poses of the imported target `trajectory`, from which `truth/...` is taken; 0: there is none.", minimum=0
    )
    truth_interval_s: float = setting(0.5, "Time between two of these poses, seconds.", above=0)


@attrs.frozen(kw_only=True)
class ImporterConfig:
    """How `pluto cache import` reads a gzip cache of nuplan-devkit."""

    names: tuple[str, ...] = setting(
        (), "Features and targets to take, by their unique names; scenarios without one of them are left out. Empty: all."
    )
    allow: tuple[str, ...] = setting(
        (), "Feature classes (`package.module:Class`) that the pickles may hold besides arrays and plain data."
    )
    name: str = setting("devkit", "First part of the keys of the imported arrays.")
    truth: str | None = setting(
        "trajectory", "Target with the ego's future poses, from which `truth/...` is taken where it is there."
    )
    truth_interval_s: float = setting(0.5, "Time between two of these poses, seconds.", above=0)


@attrs.frozen(kw_only=True)
class ModelConfig:
    """A model of nuplan-devkit."""

    model: str = setting(help="Import string of a TorchModuleWrapper.")
    arguments: Mapping[str, Any] = setting(
        attrs.Factory(dict), "Its arguments; a table with `_target_` becomes an object, as in Hydra."
    )
    trajectory: str = setting("trajectory", "Name of the output that is the planned trajectory.")
    horizon_s: float = setting(8.0, "How far the trajectory reaches, seconds.", above=0)
    interval_s: float = setting(0.5, "Time between two poses of the trajectory, seconds.", above=0)
    history_s: float = setting(2.0, "How far back the model's builders look, seconds.", minimum=0)
    map_root: str | None = setting(None, "Folder of nuPlan's maps, for the devkit's own map factory. [$NUPLAN_MAPS_ROOT]")
    map_version: str = setting("nuplan-maps-v1.0", "Version of the maps, as the devkit's configuration calls it.")


@attrs.frozen(kw_only=True)
class ObjectiveConfig:
    """Objectives and metrics of nuplan-devkit."""

    objectives: tuple[Mapping[str, Any], ...] = setting(help="Tables with `_target_` (an AbstractObjective) and its arguments.")
    metrics: tuple[Mapping[str, Any], ...] = setting(
        (), "Tables with `_target_` (an AbstractTrainingMetric) and its arguments."
    )
    objective_aggregate_mode: Literal["mean", "sum", "max"] = setting("mean", "How several objectives become one loss.")
