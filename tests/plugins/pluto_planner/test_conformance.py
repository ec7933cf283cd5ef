"""What the PLUTO plugin offers keeps the contracts of its kinds."""

from typing import ClassVar

import pytest

import pluto_planner.features  # noqa: F401 -- OpenCV sets a variable when it is first imported
from pluto_core.testing import BuilderSuite, HooksSuite
from pluto_lightning.testing import ModelSuite, ObjectiveSuite

PLANNER = "pluto_planner.hooks"
SMALL = {"dim": 32, "encoder_depth": 2, "decoder_depth": 2, "num_modes": 3, "use_hidden_proj": True, "cat_x": True}


class TestHooks(HooksSuite):
    """The hooks."""

    hooks = PLANNER


class TestFeatures(BuilderSuite):
    """The features `pluto`."""

    hooks, use = PLANNER, "pluto"


class TestLiveFeatures(BuilderSuite):
    """The features `pluto` at the wheel: no future, and an answer without a reference line."""

    hooks, use = PLANNER, "pluto"

    @pytest.fixture
    def settings(self):
        """Return settings for live input."""
        return {"future_horizon": 0.0, "require_reference_line": False, "cost_map": "none"}


class TestModel(ModelSuite):
    """The model `pluto`."""

    hooks, use = PLANNER, "pluto"

    @pytest.fixture
    def settings(self):
        """Return settings of a small network with every head."""
        return SMALL


@pytest.mark.slow
class TestPublishedModel(ModelSuite):
    """The model `pluto` as published."""

    hooks, use = PLANNER, "pluto"


@pytest.mark.slow
class TestReferenceModel(ModelSuite):
    """The model `pluto` as the reference computes it."""

    hooks, use = PLANNER, "pluto"
    gaps: ClassVar = {
        "test_rows_do_not_mix": "the reference pairs queries with the padding mask of another sample",
        "test_padding_changes_nothing": "the reference pairs queries with the padding mask of another sample",
    }

    @pytest.fixture
    def settings(self):
        """Return settings of a small network."""
        return {**SMALL, "parity": True}


@pytest.mark.slow
class TestModelWithHistory(ModelSuite):
    """The model `pluto` that reads the ego vehicle's history."""

    hooks, use = PLANNER, "pluto"

    @pytest.fixture
    def settings(self):
        """Return settings of a small network."""
        return {**SMALL, "use_ego_history": True, "state_attn_encoder": False, "ref_free_traj": False}


class TestObjective(ObjectiveSuite):
    """The objective `pluto`."""

    hooks, use = PLANNER, "pluto"

    @pytest.fixture
    def model_settings(self):
        """Return settings of a small network with every head."""
        return SMALL


@pytest.mark.slow
class TestReferenceObjective(ObjectiveSuite):
    """The objective `pluto` as the reference computes it."""

    hooks, use = PLANNER, "pluto"

    @pytest.fixture
    def settings(self):
        """Return settings for the reference's numbers."""
        return {"parity": True}

    @pytest.fixture
    def model_settings(self):
        """Return settings of a small network with every head."""
        return SMALL


class TestReferenceFeatures(BuilderSuite):
    """The features `pluto` as the reference computes them."""

    hooks, use = PLANNER, "pluto"

    @pytest.fixture
    def settings(self):
        """Return settings for the reference's numbers."""
        return {"parity": True}
