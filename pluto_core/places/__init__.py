"""Where pluto keeps what is made once and used by many runs (maps, synthetic datasets)."""

import os
from collections.abc import Mapping
from pathlib import Path


def cache_home(environment: Mapping[str, str] | None = None) -> Path:
    """Return the user's cache folder: `$PLUTO_CACHE_HOME`, else `$XDG_CACHE_HOME/pluto`, else `~/.cache/pluto`."""
    known = os.environ if environment is None else environment
    if known.get("PLUTO_CACHE_HOME"):
        return Path(known["PLUTO_CACHE_HOME"]).expanduser()
    if known.get("XDG_CACHE_HOME"):
        return Path(known["XDG_CACHE_HOME"]).expanduser() / "pluto"
    return Path("~/.cache/pluto").expanduser()
