"""What the augmentation plugin offers keeps the contracts of its kinds."""

from typing import ClassVar

import pytest

from pluto_core.testing import AugmentationSuite, HooksSuite
from pluto_planner.config import PlutoFeaturesConfig
from pluto_planner.features import PlutoFeatures

AUGMENT = "pluto_augment.hooks"


class TestHooks(HooksSuite):
    """The hooks."""

    hooks = AUGMENT


class TestContrastive(AugmentationSuite):
    """`contrastive`."""

    hooks, use = AUGMENT, "contrastive"
    roles: ClassVar = ("anchor", "positive", "negative")

    @pytest.fixture
    def samples(self, made):
        """Return samples in which every generator has something to vary, and one in which none has."""
        return made.all

    @pytest.fixture
    def spec(self):
        """Return what PLUTO's features give."""
        return PlutoFeatures(PlutoFeaturesConfig()).spec


class TestContrastiveOfTheReference(TestContrastive):
    """`contrastive` as the reference computes it."""

    @pytest.fixture
    def settings(self):
        """Return settings of parity."""
        return {"parity": True}


class TestPositivesAlone(TestContrastive):
    """`contrastive` without negatives, which needs fewer arrays."""

    roles: ClassVar = ("anchor", "positive")

    @pytest.fixture
    def settings(self):
        """Return settings without negatives."""
        return {"use_negative_sample": False}


class TestEgoNoise(AugmentationSuite):
    """`ego_noise`."""

    hooks, use = AUGMENT, "ego_noise"
    roles: ClassVar = ("anchor",)

    @pytest.fixture
    def settings(self):
        """Return settings in which everything moves."""
        return {"probability": 1.0, "blend": ("history", "future")}

    @pytest.fixture
    def samples(self, made):
        """Return samples with agents and without."""
        return (made.led, made.alone)

    @pytest.fixture
    def spec(self):
        """Return what PLUTO's features give."""
        return PlutoFeatures(PlutoFeaturesConfig()).spec


class TestAgentDropout(AugmentationSuite):
    """`agent_dropout`."""

    hooks, use = AUGMENT, "agent_dropout"
    roles: ClassVar = ("anchor",)

    @pytest.fixture
    def samples(self, made):
        """Return samples with agents and without."""
        return (made.led, made.alone)

    @pytest.fixture
    def spec(self):
        """Return what PLUTO's features give."""
        return PlutoFeatures(PlutoFeaturesConfig()).spec
