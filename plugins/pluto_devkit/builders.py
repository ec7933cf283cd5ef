"""Feature and target builders of nuplan-devkit as builders of ours.

What a builder returns is stored as it serialises itself; `schema.tree` describes the arrays. Where the scene comes from the
source `devkit`, builders are given the very scenario that it was made of, else a `NuPlanScenario` around the scene.
"""

import traceback
from collections.abc import Callable, Sequence
from typing import Any

from pluto_core.arrays import SampleSpec
from pluto_core.component import Context
from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.samples import Sample
from pluto_core.scene import Scene, Window
from pluto_devkit import schema, trees
from pluto_devkit.config import BuilderConfig, FeatureConfig, TargetConfig
from pluto_devkit.scenario import NuPlanScenario
from pluto_devkit.scenes import ORIGINAL
from pluto_devkit.targets import call


class DevkitBuilders:
    """Runs builders of the devkit on scenes."""

    version = "1"

    def __init__(self, config: BuilderConfig, builders: Sequence[Any], ask: Callable[[Any, Any], Any]) -> None:
        """Take the builders, and how each is asked for what it makes of a scenario."""
        self.window = Window(history_s=config.history_s, future_s=config.future_s, interval_s=config.interval_s)
        self.spec: SampleSpec = schema.built(config)
        self._config, self._ask = config, ask
        self._builders = {builder.get_feature_unique_name(): builder for builder in builders}

    def build(self, scene: Scene) -> Sample:
        """Return what the builders make of a scene.

        Raises:
            SampleError: A builder raised an exception, or made something that it calls invalid itself.
        """
        scenario = scene.map.derived.get(ORIGINAL)
        if scenario is None:
            scenario = NuPlanScenario(scene, map_root=self._config.map_root, map_version=self._config.map_version)
        features = {name: self._built(name, builder, scenario) for name, builder in self._builders.items()}
        return trees.encode(self._config.name, {"scenario_type": scenario.scenario_type, "features": features})

    def _built(self, name: str, builder: Any, scenario: Any) -> Any:
        try:
            feature = self._ask(builder, scenario)
            valid, serialized = feature.is_valid, feature.serialize()
        except (SampleError, PlutoError):
            raise
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            detail = f"builder {name!r}: {type(error).__name__}: {error} (line {place.lineno} of {place.filename})"
            raise SampleError(Reason.EXCEPTION, detail) from error
        if not valid:
            raise SampleError(Reason.SPEC_MISMATCH, f"builder {name!r} made a feature that it calls invalid itself")
        return serialized


def features(config: FeatureConfig, _context: Context) -> DevkitBuilders:
    """Return the feature builder that `[[features]] use = "devkit"` names.

    Raises:
        PlutoError: It does not exist, or refuses its arguments.
    """
    return DevkitBuilders(config, _made(config, "get_list_of_required_feature"), _features_of)


def targets(config: TargetConfig, _context: Context) -> DevkitBuilders:
    """Return the target builder that `[[targets]] use = "devkit"` names.

    Raises:
        PlutoError: It does not exist, or refuses its arguments.
    """
    return DevkitBuilders(config, _made(config, "get_list_of_computed_target"), _targets_of)


def _features_of(builder: Any, scenario: Any) -> Any:
    return builder.get_features_from_scenario(scenario)


def _targets_of(builder: Any, scenario: Any) -> Any:
    return builder.get_targets(scenario)


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
