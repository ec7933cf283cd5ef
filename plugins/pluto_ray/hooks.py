"""What the Ray plugin offers."""

from pluto_core import Component, hookimpl


@hookimpl
def pluto_register_workers() -> list[Component]:
    """Return the worker `ray`."""
    return [
        Component(
            "ray",
            factory="pluto_ray.worker:make",
            config="pluto_ray.config:RayConfig",
            extra="ray",
            facts={"processes": True},
            summary="Actors of a Ray cluster, on this machine or many.",
        )
    ]
