"""What all plugins offer, by kind and name; built anew for every command, never held by a module."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import pluggy

from pluto_core import hookspecs
from pluto_core.component import Component, Context, load, suggestion
from pluto_core.errors import PlutoError
from pluto_core.kinds import BY_NAME, KINDS, Kind
from pluto_core.plugins import offers
from pluto_core.plugins.discovery import BrokenPlugin, Candidate, Plugin, broken, candidates, import_plugin, make_importable
from pluto_core.plugins.extras import missing_of, needs_extra


class PluginBugError(Exception):
    """A plugin does not keep its side of the contract: a bug of its author's, which keeps its traceback."""


@attrs.frozen(kw_only=True, eq=False)
class Catalogue:
    """The plugins of this process and what they offer."""

    plugins: tuple[Plugin, ...]
    broken: Mapping[str, BrokenPlugin]
    """Plugins that were set aside, by name."""
    hooks: Any
    """pluggy's relay: `catalogue.hooks.pluto_before_step(step=step)` calls every plugin."""
    presets: Mapping[str, "offers.Preset"]
    _components: Mapping[str, Mapping[str, tuple[Component, Plugin]]] = attrs.field(alias="components")

    @classmethod
    def load(
        cls,
        *,
        without: Collection[str] = (),
        modules: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        folders: Sequence[Path] = (),
    ) -> "Catalogue":
        """Find and import all plugins and ask them what they offer.

        Args:
            without: Plugins to leave out, besides those in `PLUTO_WITHOUT` (separated by commas).
            modules: Local plugins, by module name.
            folders: Where local plugins may lie, besides Python's own path; they are added to it.
            environment: Where `PLUTO_WITHOUT` is looked up; None: the process's own.

        Raises:
            PlutoError: Two plugins, components of one kind or presets have one name, or `without` names no plugin.
        """
        known = os.environ if environment is None else environment
        ignored = {name.strip() for name in known.get("PLUTO_WITHOUT", "").split(",")}
        if modules:
            make_importable(folders or (Path.cwd(),))
        found = [(candidate, import_plugin(candidate)) for candidate in candidates(without, ignored, modules)]
        return _build(found)

    @classmethod
    def of(cls, *modules: Any) -> "Catalogue":
        """Return the catalogue of nothing but these hook modules (or objects with hooks); for tests and notebooks."""
        named = [(_local(module), module) for module in modules]
        return _build([(Candidate(plugin, lambda: None), module) for plugin, module in named])

    def components(self, kind_name: str) -> tuple[Component, ...]:
        """Return the components of a kind, by name."""
        return tuple(component for component, _ in self._components[kind_name].values())

    def component(self, kind_name: str, use: str) -> Component:
        """Return a component.

        Raises:
            PlutoError: There is none; with what there is, and plugins that are broken and might have offered it.
        """
        return self._entry(kind_name, use)[0]

    def plugin_of(self, kind_name: str, use: str) -> Plugin:
        """Return the plugin that offers a component.

        Raises:
            PlutoError: There is no such component.
        """
        return self._entry(kind_name, use)[1]

    def has(self, kind_name: str, use: str) -> bool:
        """Return whether there is such a component."""
        return use in self._components[kind_name]

    def config_class(self, kind_name: str, use: str) -> type:
        """Return the attrs class of a component's settings.

        Raises:
            PlutoError: There is no such component.
            PluginBugError: It cannot be imported, or is no attrs class.
        """
        component, plugin = self._entry(kind_name, use)
        found = self.resolve(component.config, f"the config class of {BY_NAME[kind_name].section} {use!r}", plugin)
        if not (isinstance(found, type) and attrs.has(found)):
            raise PluginBugError(f"plugin {plugin}: {component.config} is no attrs class")
        return found

    def resolve(self, import_string: str, what: str, plugin: Plugin) -> Any:
        """Return what a plugin's import string names.

        Raises:
            PluginBugError: It cannot be imported.
        """
        try:
            return load(import_string)
        except Exception as error:
            raise PluginBugError(f"plugin {plugin}: {what}, {import_string}, cannot be imported: {error}") from error

    def make(self, kind_name: str, use: str, config: Any, context: Context) -> object:
        """Import a component's factory and call it.

        Raises:
            PlutoError: The extra that the component needs is not installed.
            PluginBugError: What was made is not what the plugin promised of it.
        """
        component, plugin = self._entry(kind_name, use)
        try:
            factory = load(component.factory)
        except ImportError as error:
            if component.extra is None:
                raise
            raise PlutoError(
                needs_extra(f"{BY_NAME[kind_name].section} {use!r}", plugin, component.extra, str(error))
            ) from error
        made: object = factory(config, context)
        for name, promised in component.facts.items():
            if getattr(made, name, None) != promised:
                where = f"plugin {plugin}: {BY_NAME[kind_name].section} {use!r}"
                raise PluginBugError(f"{where} promises {name} = {promised!r} and has {getattr(made, name, None)!r}")
        return made

    def lacking(self, kind_name: str, use: str) -> str | None:
        """Return what to install for a component, from metadata alone; None where nothing is known to be missing.

        Raises:
            PlutoError: There is no such component.
        """
        component, plugin = self._entry(kind_name, use)
        missing = missing_of(plugin.distribution, component.extra)
        if component.extra is None or not missing:
            return None
        return needs_extra(repr(use), plugin, component.extra, f"no {', '.join(missing)}")

    def _entry(self, kind_name: str, use: str) -> tuple[Component, Plugin]:
        known = self._components[kind_name]
        if use in known:
            return known[use]
        raise PlutoError(self._unknown(BY_NAME[kind_name], use))

    def _unknown(self, kind: Kind, use: str) -> str:
        known = self._components[kind.name]
        hint = suggestion(use, known) or (f"; there are {', '.join(sorted(known))}" if known else "; no plugin offers any")
        elsewhere = [other.header for other in KINDS if other is not kind and use in self._components[other.name]]
        moved = f"; {use!r} belongs under {' or '.join(elsewhere)}" if elsewhere else ""
        aside = "".join(f" ({plugin})" for plugin in self.broken.values())
        what = f"component for {kind.header}" if kind.many else kind.section
        return f"no {what} is called {use!r}{moved or hint}{aside}"


def _local(module: Any) -> Plugin:
    name = getattr(module, "__name__", type(module).__name__)
    return Plugin(name=name, module=name)


def _build(found: Iterable[tuple[Candidate, Any]]) -> Catalogue:
    manager = pluggy.PluginManager("pluto")
    manager.add_hookspecs(hookspecs)
    aside: dict[str, BrokenPlugin] = {}
    working: list[tuple[Plugin, offers.Offers]] = []
    for candidate, module in found:
        plugin = candidate.plugin
        result = module if isinstance(module, BrokenPlugin) else _register(manager, plugin, module)
        if isinstance(result, BrokenPlugin):
            aside[plugin.name] = result
        elif result is not None:
            working.append((plugin, result))
    return Catalogue(
        plugins=tuple(plugin for plugin, _ in working),
        broken=MappingProxyType(aside),
        hooks=manager.hook,
        presets=MappingProxyType(offers.presets(working)),
        components=MappingProxyType({kind.name: offers.components(kind, working) for kind in KINDS}),
    )


def _register(manager: pluggy.PluginManager, plugin: Plugin, module: Any) -> "offers.Offers | BrokenPlugin | None":
    """Return what a plugin offers, why it is broken, or None where it is registered already."""
    if manager.is_registered(module):
        return None
    try:
        manager.register(module, name=plugin.name)
        manager.check_pending()
        return offers.ask(manager, plugin, module)
    except Exception as error:  # noqa: BLE001 -- a plugin's hooks may raise anything, and must stop nothing else
        manager.unregister(module)
        return broken(plugin, offers.blame(error, hookspecs), error)
