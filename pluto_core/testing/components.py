"""How suites get what they test: from the hooks of its plugin, as an experiment would."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

from pluto_core.component import Component, Context, load
from pluto_core.plugins import Catalogue
from pluto_core.testing.guard import Suite

Recipe = Callable[[], Any]


@attrs.frozen
class FromFactory:
    """Makes a component here or in another process."""

    factory: str
    config: Any
    cache_home: Path | None

    def __call__(self) -> Any:
        """Return a new component."""
        return load(self.factory)(self.config, Context(cache_home=self.cache_home))


@attrs.frozen
class Itself:
    """Takes a component to another process by pickling it."""

    component: Any

    def __call__(self) -> Any:
        """Return the component."""
        return self.component


class ComponentSuite(Suite, suite=True):
    """Tests of one component.

    A subclass names it with `hooks` (the module with the hooks) and `use`, and gives settings by the fixture `settings`; or it
    overrides the fixture that is called like `subject`.
    """

    kinds: ClassVar[tuple[str, ...]] = ()
    subject: ClassVar[str] = ""
    """Name of the fixture that returns what is tested."""
    hooks: str = ""
    """Module with the hooks of the plugin."""
    use: str = ""
    """Name of the component."""
    kind: str = ""
    """Which of `kinds` it is, where its plugin has components of this name in several."""

    @pytest.fixture
    def settings(self) -> Mapping[str, Any]:
        """Return what the component's table in an experiment would hold; override it where the defaults do not do."""
        return {}

    @pytest.fixture
    def context(self, tmp_path: Path) -> Context:
        """Return what the factory learns about the run."""
        return Context(cache_home=tmp_path / "home")

    @pytest.fixture
    def component(self) -> Component:
        """Return the component as its plugin registers it."""
        if not self.hooks:
            pytest.fail(f"{type(self).__name__} needs `hooks` and `use`, or the fixture {self.subject!r}", pytrace=False)
        catalogue = Catalogue.of(importlib.import_module(self.hooks))
        assert not catalogue.broken, "; ".join(map(str, catalogue.broken.values()))
        assert self.kind in {"", *self.kinds}, f"{type(self).__name__} tests {' or '.join(self.kinds)}, not {self.kind}"
        kinds = (self.kind,) if self.kind else self.kinds
        found = [kind for kind in kinds if catalogue.has(kind, self.use)]
        assert found, f"{self.hooks} registers no {' or '.join(kinds)} called {self.use!r}"
        return catalogue.component(found[0], self.use)

    @pytest.fixture
    def config(self, component: Component, settings: Mapping[str, Any]) -> Any:
        """Return the component's config."""
        return load(component.config)(**settings)

    @pytest.fixture
    def recipe(self, request: pytest.FixtureRequest) -> Recipe:
        """Return what makes the component anew, in this process or another."""
        if not self.hooks:
            return Itself(request.getfixturevalue(self.subject))
        component: Component = request.getfixturevalue("component")
        context: Context = request.getfixturevalue("context")
        return FromFactory(component.factory, request.getfixturevalue("config"), context.cache_home)

    def make(self, request: pytest.FixtureRequest) -> Any:
        """Return the component of the default fixture."""
        if not self.hooks:
            pytest.fail(f"{type(self).__name__} needs `hooks` and `use`, or the fixture {self.subject!r}", pytrace=False)
        return request.getfixturevalue("recipe")()

    def test_facts_are_true(self, request: pytest.FixtureRequest) -> None:
        """What the plugin says of the component, for `check`, is what it turns out to be."""
        if not self.hooks:
            pytest.skip(f"the {self.subject} is not taken from hooks")
        component: Component = request.getfixturevalue("component")
        made = request.getfixturevalue(self.subject)
        wrong = {name: told for name, told in component.facts.items() if getattr(made, name, None) != told}
        assert not wrong, f"{self.use}: " + "; ".join(f"{name} is not {told!r}" for name, told in wrong.items())
