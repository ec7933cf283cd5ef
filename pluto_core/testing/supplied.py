"""What the suites of augmentations, models and objectives share: samples, built by the builders that a component asks for."""

import importlib
from collections.abc import Sequence
from typing import ClassVar

import pytest

from pluto_core.arrays import SampleSpec
from pluto_core.component import Component, Context, Requirement, load
from pluto_core.plugins import Catalogue
from pluto_core.samples import Sample
from pluto_core.testing.components import ComponentSuite
from pluto_core.testing.supply import Supply


class SuppliedSuite(ComponentSuite, suite=True):
    """Tests of a component that reads samples."""

    asker: ClassVar[str] = "component"
    """The fixture of the component whose requirement the samples satisfy, and, with `_config`, of its config."""
    asker_config: ClassVar[str] = "config"

    def requirement(self, request: pytest.FixtureRequest) -> Requirement | None:
        """Return what the component says that it needs; None where it does not."""
        if not self.hooks:
            return None
        component: Component = request.getfixturevalue(self.asker)
        if component.requires is None:
            return None
        told: Requirement = load(component.requires)(request.getfixturevalue(self.asker_config))
        return told

    @pytest.fixture
    def supply(self, request: pytest.FixtureRequest, context: Context) -> Supply:
        """Return the builders that the component asks for."""
        requirement = self.requirement(request)
        if requirement is None or not (requirement.features or requirement.targets):
            message = f"{type(self).__name__} needs the fixtures `spec` and `samples`: the component names no builders"
            pytest.fail(message, pytrace=False)
        return Supply.of(requirement, Catalogue.of(importlib.import_module(self.hooks)), context)

    @pytest.fixture
    def spec(self, supply: Supply) -> SampleSpec:
        """Return the spec of the samples."""
        return supply.spec

    @pytest.fixture
    def samples(self, supply: Supply) -> Sequence[Sample]:
        """Return samples of different sizes; one of a recording that ends early."""
        return supply.samples()
