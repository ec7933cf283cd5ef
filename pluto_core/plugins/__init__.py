"""The catalogue: which plugins there are and what they offer."""

from pluto_core.plugins.catalogue import Catalogue, PluginBugError
from pluto_core.plugins.discovery import BrokenPlugin, Plugin

__all__ = ["BrokenPlugin", "Catalogue", "Plugin", "PluginBugError"]
