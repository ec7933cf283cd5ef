"""A plugin that returns what is no component."""

from pluto_core import hookimpl


@hookimpl
def pluto_register_sources():
    """Return a string."""
    return ["toy"]
