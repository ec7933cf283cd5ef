"""A plugin whose hook raises."""

from pluto_core import hookimpl


@hookimpl
def pluto_register_sources():
    """Fail."""
    return 1 / 0
