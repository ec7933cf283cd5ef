"""What the nuPlan plugin offers keeps the contracts of its kinds."""

from typing import ClassVar

import pytest

from pluto_core.component import Context
from pluto_core.listing import Listing
from pluto_core.scene import ScenarioId
from pluto_core.testing import HooksSuite, SourceSuite, SplitterSuite
from pluto_nuplan.splits import official_logs

NUPLAN = "pluto_nuplan.hooks"


class TestHooks(HooksSuite):
    """The hooks."""

    hooks = NUPLAN


class TestNuPlan(SourceSuite):
    """`nuplan`, on a synthetic dataset."""

    hooks, use = NUPLAN, "nuplan"

    @pytest.fixture
    def context(self, home):
        """Return a context whose cache folder is shared, so that the map is built once."""
        return Context(cache_home=home)

    @pytest.fixture
    def settings(self, dataset):
        """Return where the dataset lies."""
        return {"data_root": str(dataset.root)}


class TestNuPlanLogs(SplitterSuite):
    """`nuplan_logs`: logs that no official list names belong to no part."""

    hooks, use = NUPLAN, "nuplan_logs"
    covers_all: ClassVar = False

    @pytest.fixture
    def listing(self):
        """Return scenarios of official logs, and of one that nobody knows."""
        logs = [*(name for names in official_logs().values() for name in names[:3]), "2031.01.01.00.00.00_veh-1_1_2"]
        rows = [
            (ScenarioId(log, f"{row:08x}{place:08x}", 1_000_000 * place), f"type-{place % 3}", "town")
            for row, log in enumerate(logs)
            for place in range(4)
        ]
        return Listing.of(rows)
