"""pluto: experiments with learned driving planners, put together from plugins."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pluto_core.component import Component, Context, Requirement, hookimpl, setting
    from pluto_core.errors import PlutoError, Reason, SampleError

__version__ = "0.1.0"

__all__ = ["Component", "Context", "PlutoError", "Reason", "Requirement", "SampleError", "__version__", "hookimpl", "setting"]

_ERRORS = frozenset({"PlutoError", "Reason", "SampleError"})


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: `pluto --help` asks for none."""
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    home = importlib.import_module("pluto_core.errors" if name in _ERRORS else "pluto_core.component")
    found = globals()[name] = getattr(home, name)
    return found
