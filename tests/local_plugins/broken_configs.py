"""Config classes and what goes with them, each with one defect."""

import attrs

from pluto_core import setting


@attrs.frozen(kw_only=True)
class Silent:
    """Has a key without help."""

    root: str = attrs.field(default="")


@attrs.frozen
class Positional:
    """Takes an argument by position."""

    root: str = setting("", "A folder.")


@attrs.define(kw_only=True)
class Thawed:
    """Can be changed."""

    root: str = setting("", "A folder.")


@attrs.frozen(kw_only=True)
class Untold:
    """Has a default that is not what it asks for."""

    size: int = setting(1.5, "A size.")


class Plain:
    """Is no attrs class."""


def no_specs(_config):
    """Return what is no spec, and no requirement."""
    return {"agent/position": "float32"}


def heavy(_config):
    """Return nothing, but load numpy."""
    import numpy  # noqa: F401, ICN001, PLC0415 -- the defect

    return {}
