"""The official lists of logs, and the splitter that follows them."""

import json
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pluto_core.component import Context
from pluto_core.listing import Listing
from pluto_core.protocols import Splitter
from pluto_core.scene import ScenarioId
from pluto_nuplan.config import NuPlanLogsConfig
from pluto_nuplan.splits import PARTS, NuPlanLogs, make, official_logs

LOGS = official_logs()
SPLITTER = NuPlanLogs()


def listing_of(logs: list[str]) -> Listing:
    """Return a listing with one scenario in each of `logs`."""
    rows = [(ScenarioId(log, f"{row:016x}", row), "unknown", "us-ma-boston") for row, log in enumerate(logs)]
    return Listing.of(rows)


def test_the_lists_are_whole() -> None:
    """The three lists have their published lengths, and no log is in two of them."""
    assert {part: len(logs) for part, logs in LOGS.items()} == {"train": 13180, "val": 1381, "test": 1349}
    assert len(set().union(*LOGS.values())) == 13180 + 1381 + 1349
    assert all(list(logs) == sorted(logs) for logs in LOGS.values())


def test_the_lists_are_the_published_ones(shared_data: Path) -> None:
    """Every name is where the published file has it."""
    published = json.loads((shared_data.parent / "spec" / "data" / "nuplan_log_splits.json").read_text())
    assert {part: sorted(logs) for part, logs in published.items()} == {part: list(logs) for part, logs in LOGS.items()}


known = st.sampled_from([(part, log) for part in PARTS for log in (LOGS[part][0], LOGS[part][-1], LOGS[part][100])])
unknown = st.just(("none", "2000.01.01.00.00.00_veh-01_00000_00001"))


@given(st.lists(st.one_of(known, unknown), max_size=30))
def test_scenarios_go_where_their_log_is_listed(drawn: list[tuple[str, str]]) -> None:
    """Each scenario goes to its log's part, those of unlisted logs to none; rows ascend; any order gives the same parts."""
    parts = SPLITTER.split(listing_of([log for _, log in drawn]))
    assert set(parts) == set(PARTS)
    for part in PARTS:
        assert parts[part].tolist() == [row for row, (where, _) in enumerate(drawn) if where == part]
        assert parts[part].dtype == np.int64
    backwards = SPLITTER.split(listing_of([log for _, log in reversed(drawn)]))
    assert {part: len(rows) for part, rows in backwards.items()} == {part: len(rows) for part, rows in parts.items()}


def test_the_factory_makes_the_splitter() -> None:
    """What `[splitter] use = "nuplan_logs"` builds is a splitter."""
    assert isinstance(make(NuPlanLogsConfig(), Context()), Splitter)
