"""Samples as a model or an augmentation asks for them: made scenes, built by the builders that its plugin names."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from pluto_core.arrays import ArraySpec
from pluto_core.component import Component, Context, Requirement, load
from pluto_core.errors import PlutoError
from pluto_core.plugins import Catalogue
from pluto_core.protocols import SceneBuilder
from pluto_core.samples import Sample
from pluto_core.testing.scenes import make_scene

SIZES: tuple[Mapping[str, Any], ...] = (
    {"agents": 3, "lanes": 2, "seed": 0},
    {"agents": 0, "lanes": 1, "seed": 1, "static_objects": 0, "light": None},
    {"agents": 8, "lanes": 3, "seed": 2, "static_objects": 5},
    {"agents": 5, "lanes": 2, "seed": 3, "recorded_s": (-0.5, 1.0)},
)
"""Scenes of different sizes: the usual one, nobody else there, a crowd, a recording that ends early."""


@attrs.frozen
class Supply:
    """Builders, and the samples that all of them together make."""

    builders: tuple[SceneBuilder, ...]

    @classmethod
    def of(cls, requirement: Requirement, own: Catalogue, context: Context) -> "Supply":
        """Return the builders that a requirement names, of one plugin or, where it has none of that name, of all.

        Raises:
            PlutoError: No plugin offers a builder of that name.
        """
        builders: list[SceneBuilder] = []
        for kind, tables in (("features", requirement.features), ("targets", requirement.targets)):
            for table in tables:
                settings = {key: value for key, value in table.items() if key != "use"}
                component = _find(kind, table["use"], own)
                builders.append(load(component.factory)(load(component.config)(**settings), context))
        return cls(tuple(builders))

    @property
    def spec(self) -> dict[str, ArraySpec]:
        """Return the arrays of all builders."""
        return {key: array for builder in self.builders for key, array in builder.spec.items()}

    def sample(self, **scene: Any) -> Sample:
        """Return the sample of one scene; see `make_scene`.

        Raises:
            SampleError: A builder refuses the scene.
        """
        sample: Sample = {}
        for builder in self.builders:
            sample |= builder.build(make_scene(**scene, window=builder.window))
        return sample

    def samples(self, scenes: Sequence[Mapping[str, Any]] = SIZES) -> list[Sample]:
        """Return the samples of several scenes."""
        return [self.sample(**scene) for scene in scenes]


def _find(kind: str, use: str, own: Catalogue) -> Component:
    if own.has(kind, use):
        return own.component(kind, use)
    installed = Catalogue.load()
    if not installed.has(kind, use):
        message = f"no plugin offers the {kind} {use!r}, which the component asks for; give the fixtures `spec` and `samples`"
        raise PlutoError(message)
    return installed.component(kind, use)
