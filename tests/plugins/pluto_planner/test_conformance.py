"""What the PLUTO plugin offers keeps the contracts of its kinds."""

import pytest

import pluto_planner.features  # noqa: F401 -- OpenCV sets a variable when it is first imported
from pluto_core.testing import BuilderSuite, HooksSuite

PLANNER = "pluto_planner.hooks"


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
