"""What this plugin offers."""

from collections.abc import Iterable, Mapping

from pluto_core.component import Component, hookimpl
from pluto_core.filters import SOURCE_FIELDS

_FILTERS = (
    "training_scenarios_tiny",
    "training_scenarios_1M",
    "val14",
    "val14-full",
    "random14",
    "test14-hard",
    "test14-random",
)
_SOURCES = ("nuplan", "nuplan_mini", "nuplan_boston", "nuplan_challenge")


@hookimpl
def pluto_register_sources() -> Iterable[Component]:
    """Return the source."""
    return [
        Component(
            "nuplan",
            factory="pluto_nuplan.source:make",
            config="pluto_nuplan.config:NuPlanConfig",
            facts={"answers": SOURCE_FIELDS},
            summary="nuPlan logs and maps, read natively.",
        )
    ]


@hookimpl
def pluto_register_splitters() -> Iterable[Component]:
    """Return the splitter."""
    return [
        Component(
            "nuplan_logs",
            factory="pluto_nuplan.splits:make",
            config="pluto_nuplan.config:NuPlanLogsConfig",
            summary="nuPlan's official lists of training, validation and test logs.",
        )
    ]


@hookimpl
def pluto_register_presets() -> Mapping[str, str]:
    """Return filters and sources by the names that they have in the reference stack."""
    return {name: f"pluto_nuplan:presets/{name}.toml" for name in (*_FILTERS, *_SOURCES)}


@hookimpl
def pluto_doctor_checks() -> Mapping[str, str]:
    """Return what `pluto doctor` looks at."""
    return {"nuPlan": "pluto_nuplan.doctor:examine"}
