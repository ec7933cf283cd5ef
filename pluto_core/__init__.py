"""pluto: experiments with learned driving planners, put together from plugins."""

from pluto_core.component import Component, Context, Requirement, hookimpl, setting
from pluto_core.errors import PlutoError, Reason, SampleError

__version__ = "0.1.0.dev0"

__all__ = ["Component", "Context", "PlutoError", "Reason", "Requirement", "SampleError", "__version__", "hookimpl", "setting"]
