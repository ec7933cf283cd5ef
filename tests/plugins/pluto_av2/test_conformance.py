"""What the Argoverse 2 plugin offers keeps the contracts of its kinds."""

from typing import ClassVar

import pytest

from pluto_core.testing import HooksSuite, SourceSuite

AV2 = "pluto_av2.hooks"


class TestHooks(HooksSuite):
    """The hooks."""

    hooks = AV2
    settings: ClassVar = {"source.av2": {"data_root": "."}}


class TestSensorLogs(SourceSuite):
    """`av2` on a sensor log."""

    hooks, use = AV2, "av2"

    @pytest.fixture
    def settings(self, sensor_root):
        """Return where the log lies."""
        return {"data_root": str(sensor_root)}


class TestMotionScenarios(SourceSuite):
    """`av2` on a motion-forecasting scenario."""

    hooks, use = AV2, "av2"

    @pytest.fixture
    def settings(self, motion_root):
        """Return where the scenario lies, of 11 s."""
        return {"data_root": str(motion_root)}
