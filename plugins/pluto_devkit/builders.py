"""Feature and target builders of nuplan-devkit as builders of ours.

What a builder returns is stored as it serialises itself; `schema.tree` describes the arrays. Where the scene comes from the
source `devkit`, builders are given the very scenario that it was made of, else a view of the scene in the devkit's types.
"""

import traceback
from collections.abc import Callable, Sequence
from typing import Any

from pluto_core.arrays import SampleSpec
from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.samples import Sample
from pluto_core.scene import Scene, Window
from pluto_devkit import schema, trees
from pluto_devkit.config import BuilderConfig
from pluto_devkit.scenes import ORIGINAL


class DevkitBuilders:
    """Runs builders of the devkit on scenes."""

    version = "1"

    def __init__(
        self, config: BuilderConfig, builders: Sequence[Any], ask: Callable[[Any, Any], Any], show: Callable[[Scene], Any]
    ) -> None:
        """Take the builders.

        Args:
            config: Name of the arrays, and the span that builders look over.
            builders: Feature or target builders of the devkit.
            ask: Returns what a builder makes of a scenario.
            show: Returns a scene as a scenario of the devkit's, where it does not come with one.
        """
        self.window = Window(history_s=config.history_s, future_s=config.future_s, interval_s=config.interval_s)
        self.spec: SampleSpec = schema.built(config)
        self._name, self._ask, self._show = config.name, ask, show
        self._builders = {builder.get_feature_unique_name(): builder for builder in builders}

    def build(self, scene: Scene) -> Sample:
        """Return what the builders make of a scene.

        Raises:
            SampleError: A builder raised an exception, or made something that it calls invalid itself.
        """
        scenario = scene.map.derived.get(ORIGINAL) or self._show(scene)
        features = {name: self._built(name, builder, scenario) for name, builder in self._builders.items()}
        return trees.encode(self._name, {"scenario_type": scenario.scenario_type, "features": features})

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
