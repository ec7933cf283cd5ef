"""What plugins answer to the `pluto_register_*` hooks, and the proof that they may."""

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from types import MappingProxyType, ModuleType
from typing import Any

import attrs
import pluggy

from pluto_core.component import Component, suggestion
from pluto_core.errors import PlutoError
from pluto_core.kinds import KINDS, Kind
from pluto_core.plugins.discovery import Plugin, one_line

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_MISSPELT = re.compile(r"unknown hook '(\w+)'")


@attrs.frozen(kw_only=True)
class Preset:
    """A shipped part of an experiment file."""

    name: str
    location: str
    """`package:path/inside/it.toml`."""
    plugin: Plugin

    def read(self) -> str:
        """Return its text.

        Raises:
            PlutoError: The plugin does not hold the file.
        """
        package, _, path = self.location.partition(":")
        try:
            return files(package).joinpath(path).read_text("utf-8")
        except (OSError, ImportError, UnicodeDecodeError) as error:
            raise PlutoError(
                f"preset {self.name!r}: plugin {self.plugin} names {self.location}, which cannot be read: {error}"
            ) from error


@attrs.frozen
class Offers:
    """What one plugin offers."""

    components: Mapping[str, tuple[Component, ...]]
    """By kind."""
    presets: Mapping[str, str]


def ask(manager: pluggy.PluginManager, plugin: Plugin, module: Any) -> Offers:
    """Return what a registered plugin offers.

    Raises:
        PlutoError: There is no hook in it, an answer is not what the hook's documentation says, or one of its components
            occurs twice.
    """
    if not manager.get_hookcallers(module):
        message = "it holds no hook; mark its functions with @hookimpl"
        raise PlutoError(message)
    offered: dict[str, tuple[Component, ...]] = {}
    for kind in KINDS:
        answer = _call(manager, kind.hook, module)
        offered[kind.name] = tuple(_checked(kind, component, plugin) for component in answer or ())
        _once(kind, offered[kind.name])
    presets = dict(_call(manager, "pluto_register_presets", module) or {})
    for name, location in presets.items():
        if not (isinstance(name, str) and isinstance(location, str) and ":" in location):
            raise PlutoError(f"pluto_register_presets: {name!r}: {location!r} is not 'package:path/inside/it.toml'")
    return Offers(offered, presets)


def _call(manager: pluggy.PluginManager, hook: str, module: Any) -> Any:
    for implementation in getattr(manager.hook, hook).get_hookimpls():
        if implementation.plugin is module:
            return implementation.function()
    return ()


def _checked(kind: Kind, component: Any, plugin: Plugin) -> Component:
    if not isinstance(component, Component):
        raise PlutoError(f"{kind.hook} returned {component!r} where a Component belongs")
    if not _NAME.fullmatch(component.name):
        raise PlutoError(f"{kind.hook}: {component.name!r} is no name for a component of {plugin}; use a-z, 0-9 and _")
    for fact in component.facts:
        if fact not in kind.facts:
            known = ", ".join(kind.facts) or "none"
            raise PlutoError(f"{kind.hook}: {component.name!r} promises {fact!r}, of which nobody asks; facts are {known}")
    return component


def _once(kind: Kind, offered: Sequence[Component]) -> None:
    names = [component.name for component in offered]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PlutoError(f"{kind.hook} returned two components called {twice[0]!r}")


def blame(error: Exception, specs: ModuleType) -> str:
    """Return in one line what is wrong with a plugin whose registration raised."""
    misspelt = _MISSPELT.search(str(error))
    if isinstance(error, pluggy.PluginValidationError) and misspelt:
        hooks = [name for name, _ in inspect.getmembers(specs, inspect.isfunction) if name.startswith("pluto_")]
        return f"there is no hook {misspelt[1]!r}{suggestion(misspelt[1], hooks)}"
    return str(error) if isinstance(error, PlutoError) else one_line(error)


def components(kind: Kind, working: Iterable[tuple[Plugin, Offers]]) -> Mapping[str, tuple[Component, Plugin]]:
    """Return the components of a kind, by name.

    Raises:
        PlutoError: Two plugins offer one name.
    """
    found: dict[str, tuple[Component, Plugin]] = {}
    for plugin, offers in working:
        for component in offers.components[kind.name]:
            if component.name in found:
                raise PlutoError(_twice(f"components for {kind.header}", component.name, found[component.name][1], plugin))
            found[component.name] = (component, plugin)
    return MappingProxyType(dict(sorted(found.items())))


def presets(working: Iterable[tuple[Plugin, Offers]]) -> dict[str, Preset]:
    """Return the presets, by name.

    Raises:
        PlutoError: Two plugins offer one name.
    """
    found: dict[str, Preset] = {}
    for plugin, offers in working:
        for name, location in offers.presets.items():
            if name in found:
                raise PlutoError(_twice("presets", name, found[name].plugin, plugin))
            found[name] = Preset(name=name, location=location, plugin=plugin)
    return dict(sorted(found.items()))


def _twice(what: str, name: str, first: Plugin, second: Plugin) -> str:
    return f"two {what} are called {name!r}: one of plugin {first}, one of plugin {second}; leave one out with --without"
