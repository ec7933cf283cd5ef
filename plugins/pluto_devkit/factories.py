"""The builders that `[[features]]` and `[[targets]]` with `use = "devkit"` name."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_core.scene import Scene
from pluto_devkit.builders import DevkitBuilders
from pluto_devkit.config import BuilderConfig, FeatureConfig, TargetConfig
from pluto_devkit.scenario import NuPlanScenario
from pluto_devkit.targets import call


def features(config: FeatureConfig, _context: Context) -> DevkitBuilders:
    """Return the feature builder that `[[features]] use = "devkit"` names.

    Raises:
        PlutoError: It does not exist, or refuses its arguments.
    """
    return DevkitBuilders(config, _made(config, "get_list_of_required_feature"), _features_of, _shown(config))


def targets(config: TargetConfig, _context: Context) -> DevkitBuilders:
    """Return the target builder that `[[targets]] use = "devkit"` names.

    Raises:
        PlutoError: It does not exist, or refuses its arguments.
    """
    return DevkitBuilders(config, _made(config, "get_list_of_computed_target"), _targets_of, _shown(config))


def _features_of(builder: Any, scenario: Any) -> Any:
    return builder.get_features_from_scenario(scenario)


def _targets_of(builder: Any, scenario: Any) -> Any:
    return builder.get_targets(scenario)


def _shown(config: BuilderConfig) -> Callable[[Scene], Any]:
    return partial(NuPlanScenario, map_root=config.map_root, map_version=config.map_version)


def _made(config: BuilderConfig, method: str) -> Sequence[Any]:
    if (config.builder is None) == (config.model is None):
        message = f"{config.name}: set either builder or model"
        raise PlutoError(message)
    if config.builder is not None:
        return [call(config.builder, config.arguments)]
    found: Sequence[Any] = getattr(call(str(config.model), config.arguments), method)()
    if not found:
        raise PlutoError(f"{config.model} has no builders of that kind ({method} is empty)")
    return found
