"""Plugins as they are found: by entry points and by name of a local module, each imported on its own."""

import functools
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import attrs

from pluto_core.component import suggestion
from pluto_core.errors import PlutoError

GROUP = "pluto"


@attrs.frozen(kw_only=True)
class Plugin:
    """A plugin that works."""

    name: str
    """Name of its entry point, or of its module where it is a local one."""
    module: str
    distribution: str = ""
    """Name of the distribution that ships it; empty for local modules."""
    version: str = ""

    def __str__(self) -> str:
        """Return the name and where it comes from."""
        origin = f"{self.distribution} {self.version}".strip() or f"local module {self.module}"
        return f"{self.name!r} ({origin})"


@attrs.frozen(kw_only=True)
class BrokenPlugin:
    """A plugin that was set aside, and why."""

    plugin: Plugin
    reason: str
    """One line: what went wrong."""
    trace: str = attrs.field(default="", repr=False)
    """The traceback, for its author."""

    def __str__(self) -> str:
        """Return one line that names plugin and cause."""
        return f"plugin {self.plugin} is set aside: {self.reason}"


@attrs.frozen
class Candidate:
    """A plugin that was found and not yet imported."""

    plugin: Plugin
    load: Callable[[], Any]


def candidates(without: Collection[str], ignored: Collection[str], modules: Sequence[str]) -> Iterator[Candidate]:
    """Yield the plugins to import: those of entry points by name, then local modules in the order given.

    Args:
        without: Names to leave out; each must exist.
        ignored: Names to leave out where they exist (from the environment).
        modules: Names of local modules.

    Raises:
        PlutoError: Two distributions offer plugins of one name, or a name in `without` is unknown.
    """
    found = _entry_points()
    unknown = sorted(set(without) - found.keys() - set(modules))
    if unknown:
        raise PlutoError(f"--without {unknown[0]}: there is no such plugin{suggestion(unknown[0], found)}")
    blocked = {*without, *ignored}
    for name in sorted(found.keys() - blocked):
        yield _from_entry_points(name, found[name])
    for module in dict.fromkeys(modules):
        if module not in blocked:
            yield Candidate(Plugin(name=module, module=module), functools.partial(importlib.import_module, module))


def _entry_points() -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, []).append(entry)
    return found


def _from_entry_points(name: str, entries: Sequence[EntryPoint]) -> Candidate:
    plugins = [_plugin(entry) for entry in entries]
    distinct = {(plugin.distribution, plugin.module) for plugin in plugins}
    if len(distinct) > 1:  # one distribution may be found twice: installed, and again in the working directory
        both = " and ".join(sorted(f"{distribution} ({module})" for distribution, module in distinct))
        raise PlutoError(f"two plugins are called {name!r}: {both}; uninstall one, or leave both out with --without {name}")
    return Candidate(plugins[0], entries[0].load)


def _plugin(entry: EntryPoint) -> Plugin:
    distribution = entry.dist
    if distribution is None:
        return Plugin(name=entry.name, module=entry.value)
    return Plugin(name=entry.name, module=entry.value, distribution=distribution.name, version=distribution.version)


def make_importable(folders: Iterable[Path]) -> None:
    """Let Python find local plugins in these folders, after all else that it knows."""
    for folder in folders:
        try:
            path = os.path.realpath(folder)
        except ValueError:  # no path at all, which is told where the experiment is read
            continue
        if path not in sys.path:
            sys.path.append(path)


def one_line(error: BaseException) -> str:
    """Return the kind and the first line of an error."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def import_plugin(candidate: Candidate) -> Any:
    """Return the module of a plugin, or a `BrokenPlugin` where it cannot be imported."""
    try:
        return candidate.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- whatever it is, it must stop nothing else
        return broken(candidate.plugin, f"it failed to import: {one_line(error)}", error)


def broken(plugin: Plugin, reason: str, error: BaseException | None = None) -> BrokenPlugin:
    """Return a plugin as broken, with the traceback of what broke it."""
    trace = "".join(traceback.format_exception(error)) if error else ""
    return BrokenPlugin(plugin=plugin, reason=reason, trace=trace)
