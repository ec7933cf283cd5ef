"""A plugin whose source has the name of another plugin's."""

from pluto_core import Component, hookimpl


@hookimpl
def pluto_register_sources():
    """Return the rival."""
    return [Component("toy", factory="rival_parts:make", config="rival_parts:Config", summary="Another one.")]
