"""Recipes: how a component is made, small enough to be sent to a worker."""

from pathlib import Path
from typing import Any

import attrs

from pluto_core.component import Component, Context, load


@attrs.frozen
class Recipe:
    """A component to be made later, here or in another process."""

    factory: str
    config: Any
    seed: int
    cache_home: Path

    def __call__(self) -> Any:
        """Return the component."""
        return load(self.factory)(self.config, Context(seed=self.seed, cache_home=self.cache_home))


@attrs.frozen
class Builders:
    """The builders of an experiment, by the tag under which their values are stored."""

    recipes: tuple[tuple[str, Recipe], ...]

    def __call__(self) -> list[tuple[str, Any]]:
        """Return (tag, builder) pairs in the order of the experiment."""
        return [(tag, recipe()) for tag, recipe in self.recipes]

    @property
    def tags(self) -> list[str]:
        """Return the tags in order."""
        return [tag for tag, _ in self.recipes]


def recipe(component: Component, config: Any, *, seed: int, cache_home: Path) -> Recipe:
    """Return how to make a component."""
    return Recipe(component.factory, config, seed, cache_home)


def name_of(tag: str) -> str:
    """Return the name of the builder that a tag was given to."""
    return tag.partition("-")[0]


def tags(names: list[str]) -> list[str]:
    """Return a tag for each builder: its name, with a number from its second use on."""
    seen: dict[str, int] = {}
    numbered = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        numbered.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return numbered
