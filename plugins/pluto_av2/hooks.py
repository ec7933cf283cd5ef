"""What the Argoverse 2 plugin offers."""

from pluto_core import Component, hookimpl


@hookimpl
def pluto_register_sources() -> list[Component]:
    """Return the source."""
    return [
        Component(
            "av2",
            factory="pluto_av2.source:make",
            config="pluto_av2.config:Av2Config",
            summary="Argoverse 2 sensor logs and motion-forecasting scenarios.",
        )
    ]
