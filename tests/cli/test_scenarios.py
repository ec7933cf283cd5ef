"""`pluto scenarios`: what each stage of a filter leaves, as counts or as CSV; what a filter names and nobody has is told."""

import csv
import re

import pytest

from pluto_core.filters import ScenarioFilter
from pluto_core.pipeline.selection import Selected
from pluto_core.testing.fakes import FakeSource

EXPERIMENT = """
name = "few"
steps = ["cache"]
plugins = ["pluto_core.testing.plugin"]
output_dir = "runs"

[source]
use = "fake"

[filter]
num_scenarios_per_type = 4

[worker]
use = "sequential"

[[features]]
use = "fake"
"""
"""Twenty-four scenarios of four logs and two types, of which eight are taken."""


@pytest.fixture
def few(here, say):
    """Return a function that runs a command on the experiment."""
    (here / "few.toml").write_text(EXPERIMENT, encoding="utf-8")
    return lambda command, *options: say(command, "few.toml", *options)


def table(text, title):
    """Return the rows of one table of counts, by name."""
    lines = text.partition(f"\n{title} ")[2].partition("\n\n")[0].splitlines()[1:]
    return {line.split()[0]: line.split()[1:] for line in lines}


def test_counts_by_type_log_and_map_after_each_stage(few):
    """Every stage has a number, and a column in the tables of types, maps and logs."""
    text = few("scenarios", "--set", "filter.limit_total_scenarios=5").ok()
    assert [line.split() for line in text.splitlines()[:3]] == [
        ["24", "1", "candidates"],
        ["8", "2", "num_scenarios_per_type"],
        ["5", "3", "limit_total_scenarios"],
    ]
    assert table(text, "type") == {"crossing": ["12", "4", "2"], "straight": ["12", "4", "3"]}
    assert table(text, "map") == {"made": ["24", "8", "5"]}
    assert table(text, "log") == {f"fake-{log:02d}": ["6", "2", left] for log, left in enumerate("2210")}
    assert re.search(r"^hash of the list: [0-9a-f]{32}$", text, re.MULTILINE)


def test_a_limit_spread_over_logs(few):
    """The table of logs shows that every log gives as many as the others."""
    text = few("scenarios", "--set", "filter.limit_total_scenarios=4", "--set", "filter.spread_over=['log']").ok()
    assert table(text, "log") == {f"fake-{log:02d}": ["6", "2", "1"] for log in range(4)}


def test_csv(few, here):
    """One line a scenario in the order of selection, in a file or the terminal."""
    printed = few("scenarios", "--csv", "-").ok()
    few("scenarios", "--csv", "few.csv").ok()
    assert (here / "few.csv").read_text(encoding="utf-8") == printed
    rows = list(csv.DictReader(printed.splitlines()))
    assert len(rows) == 8
    assert rows[0] == {
        "token": "0000000000000000",
        "log_name": "fake-00",
        "scenario_type": "straight",
        "map_name": "made",
    }
    assert [row["token"] for row in rows] == sorted(row["token"] for row in rows)


@pytest.mark.parametrize(
    ("command", "options"),
    [("scenarios", ()), ("scenarios", ("--csv", "few.csv")), ("plan", ()), ("run", ("--no-progress",))],
)
def test_names_that_nobody_has_are_told(few, command, options):
    """Tokens and logs that the filter names and the source lacks are told, whoever lists; the others are taken."""
    asked = ["--set", 'filter.log_names=["fake-01", "fake-99"]']
    asked += ["--set", 'filter.scenario_tokens=["0000000100000002", "000000010000000f", "nonsense"]']
    said = few(command, *options, *asked)
    assert said.code == 0
    text = said.out + said.err
    assert "filter.scenario_tokens: 2 not found: 000000010000000f, nonsense" in text
    assert "filter.log_names: 1 without a scenario: fake-99" in text


def test_long_lists_are_cut():
    """A sentence names five of those that are missing, and how many more there are."""
    tokens = tuple(f"{number:016x}" for number in range(100, 1334))
    (sentence,) = Selected(listing=FakeSource().list(ScenarioFilter()), stages=(), missing_tokens=tokens).unmet
    assert sentence.startswith("filter.scenario_tokens: 1,234 not found: 0000000000000064, ")
    assert sentence.endswith("0000000000000068 and 1,229 more")


def test_a_listing_is_made_once(few, monkeypatch):
    """A cache answers a filter that it was asked before; another filter, or another dataset, is asked of the source."""
    few("run", "--no-progress").ok()

    def never(*_):
        message = "the source is asked"
        raise AssertionError(message)

    monkeypatch.setattr(FakeSource, "list", never)
    few("run", "--no-progress").ok()
    with pytest.raises(AssertionError, match="the source is asked"):
        few("run", "--no-progress", "--set", "filter.num_scenarios_per_type=5")
    with pytest.raises(AssertionError, match="the source is asked"):
        few("run", "--no-progress", "--fresh", "--yes", "--set", "source.scenarios=7")
