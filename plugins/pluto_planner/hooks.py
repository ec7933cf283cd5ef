"""What the PLUTO plugin offers."""

from collections.abc import Mapping

from pluto_core import Component, hookimpl


@hookimpl
def pluto_register_features() -> list[Component]:
    """Return the feature builder."""
    return [
        Component(
            "pluto",
            factory="pluto_planner.features:make",
            config="pluto_planner.config:PlutoFeaturesConfig",
            provides="pluto_planner.schema:spec",
            summary="PLUTO's features: agents, map polygons, reference lines, cost map, causal labels.",
        )
    ]


@hookimpl
def pluto_register_models() -> list[Component]:
    """Return the network."""
    return [
        Component(
            "pluto",
            factory="pluto_planner.model:make",
            config="pluto_planner.config:PlutoModelConfig",
            requires="pluto_planner.needs:pluto",
            summary="The PLUTO planner (arXiv 2404.14327).",
        )
    ]


@hookimpl
def pluto_register_objectives() -> list[Component]:
    """Return the objective."""
    return [
        Component(
            "pluto",
            factory="pluto_planner.objective:make",
            config="pluto_planner.config:PlutoObjectiveConfig",
            summary="Imitation, prediction, collision, reference-free and contrastive losses of PLUTO.",
        )
    ]


@hookimpl
def pluto_register_presets() -> Mapping[str, str]:
    """Return the whole experiment of the reference stack."""
    return {"pluto": "pluto_planner:presets/pluto.toml"}
