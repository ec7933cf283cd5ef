"""What the Argoverse 2 plugin offers."""

from pluto_core import Component, hookimpl

_ANSWERS = frozenset(
    {"log_names", "scenario_types", "scenario_tokens", "map_names", "remove_invalid_goals", "ego_displacement_minimum_m"}
)
"""Fields of `[filter]` that the source applies."""


@hookimpl
def pluto_register_sources() -> list[Component]:
    """Return the source."""
    return [
        Component(
            "av2",
            factory="pluto_av2.source:make",
            config="pluto_av2.config:Av2Config",
            facts={"answers": _ANSWERS},
            summary="Argoverse 2 sensor logs and motion-forecasting scenarios; maps are ATX, DTW, MIA, PAO, PIT, WDC.",
        )
    ]


@hookimpl
def pluto_doctor_checks() -> dict[str, str]:
    """Return what `pluto doctor` looks at."""
    return {"Argoverse 2": "pluto_av2.doctor:examine"}
