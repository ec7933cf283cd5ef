"""The filters and sources that the plugin ships."""

import re
from importlib.resources import files
from typing import Any

import pytest

from pluto_core.experiment.tomltext import loads
from pluto_core.filters import ScenarioFilter
from pluto_nuplan.config import NuPlanConfig
from pluto_nuplan.hooks import pluto_register_presets

PRESETS = dict(pluto_register_presets())
SOURCES = ("nuplan", "nuplan_mini", "nuplan_boston", "nuplan_challenge")


def read(name: str) -> dict[str, Any]:
    """Return a preset with arrays as tuples, as a config takes them."""
    package, _, path = PRESETS[name].partition(":")
    table = loads(files(package).joinpath(path).read_text(encoding="utf-8"))
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


@pytest.mark.parametrize("name", [name for name in PRESETS if name not in SOURCES])
def test_filter_presets_are_filters(name: str) -> None:
    """Every filter preset names fields of `[filter]` only, and tokens of 16 hex digits, each once."""
    wanted = ScenarioFilter(**read(name))
    tokens = wanted.scenario_tokens or ()
    assert len(set(tokens)) == len(tokens)
    assert all(re.fullmatch("[0-9a-f]{16}", token) for token in tokens)
    assert wanted.remove_invalid_goals


def test_benchmarks_have_their_published_sizes() -> None:
    """Numbers of tokens and types are those of the published lists, and val14 is a part of val14-full."""
    sizes = {name: len(read(name).get("scenario_tokens", ())) for name in PRESETS if name not in SOURCES}
    assert sizes == {
        "training_scenarios_tiny": 0,
        "training_scenarios_1M": 0,
        "val14": 1090,
        "val14-full": 1118,
        "random14": 249,
        "test14-hard": 272,
        "test14-random": 0,
    }
    assert set(read("val14")["scenario_tokens"]) < set(read("val14-full")["scenario_tokens"])
    assert {
        len(read(name)["scenario_types"]) for name in ("val14", "val14-full", "random14", "test14-hard", "test14-random")
    } == {14}
    assert len(read("training_scenarios_1M")["scenario_types"]) == 73


@pytest.mark.parametrize("name", SOURCES)
def test_source_presets_are_sources(name: str) -> None:
    """Every source preset selects the source and stands on the two variables that nuPlan's users have."""
    table = read(name)
    assert table.pop("use") == "nuplan"
    config = NuPlanConfig(**table)
    assert (config.data_root, config.map_root) == ("${NUPLAN_DATA_ROOT}", "${NUPLAN_MAPS_ROOT}")
    assert config.split
