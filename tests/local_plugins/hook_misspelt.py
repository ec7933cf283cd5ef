"""A plugin that misspells a hook."""

from pluto_core import Component, hookimpl


@hookimpl
def pluto_register_model():
    """Return nothing of use."""
    return []


@hookimpl
def pluto_register_workers():
    """Return a worker that nobody may see."""
    return [Component("ghost", factory="x:y", config="x:z", summary="Never offered.")]
