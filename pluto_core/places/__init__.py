"""Paths as users write them, and where pluto keeps what is made once and used by many runs (maps, synthetic datasets)."""

import os
from collections.abc import Mapping
from pathlib import Path


def user_path(text: str | Path) -> Path:
    """Return a path in which `~` is the home folder; where there is no such user, the path as it is, which does not exist."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 -- unlike Path's, it raises nothing


def cache_home(environment: Mapping[str, str] | None = None) -> Path:
    """Return the user's cache folder: `$PLUTO_CACHE_HOME`, else `$XDG_CACHE_HOME/pluto`, else `~/.cache/pluto`."""
    known = os.environ if environment is None else environment
    if known.get("PLUTO_CACHE_HOME"):
        return user_path(known["PLUTO_CACHE_HOME"])
    if known.get("XDG_CACHE_HOME"):
        return user_path(known["XDG_CACHE_HOME"]) / "pluto"
    return user_path("~/.cache/pluto")
