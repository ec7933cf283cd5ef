"""What `pluto doctor` finds: versions, extras, the machine, plugins, and whatever plugins look at. Needs no numpy."""

import platform
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path

import attrs

from pluto_core import machine
from pluto_core.component import load
from pluto_core.moments import Finding, Surroundings
from pluto_core.plugins import Catalogue
from pluto_core.plugins.discovery import one_line
from pluto_core.plugins.extras import missing_of

DISTRIBUTION = "pluto-framework"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_GB = 1e9
_LITTLE_DISK_GB = 20.0
_NO_DISK_GB = 0.5
_LITTLE_MEMORY_GB = 4.0


@attrs.frozen(kw_only=True)
class Section:
    """Findings of one kind."""

    title: str
    findings: tuple[Finding, ...]


def examine(catalogue: Catalogue, surroundings: Surroundings) -> Iterator[Section]:
    """Yield what there is to say, section by section."""
    own: dict[str, Callable[[], Iterable[Finding]]] = {
        "versions": _versions,
        "extras": _extras,
        "machine": lambda: _machine(surroundings),
        "plugins": lambda: _plugins(catalogue),
    }
    for title, look in own.items():
        yield Section(title=title, findings=tuple(look()))
    for implementation in catalogue.hooks.pluto_doctor_checks.get_hookimpls():
        yield from _of_plugin(implementation.plugin_name, implementation.function, surroundings)


def _of_plugin(plugin: str, ask: Callable[[], object], surroundings: Surroundings) -> Iterator[Section]:
    try:
        checks = dict(ask())  # type: ignore[call-overload]
    except Exception as error:  # noqa: BLE001 -- a plugin may raise anything, and must stop nothing else
        yield Section(title=plugin, findings=(_bug(plugin, error),))
        return
    for title, target in checks.items():
        yield Section(title=str(title), findings=tuple(_findings(plugin, str(target), surroundings)))


def _findings(plugin: str, target: str, surroundings: Surroundings) -> Iterator[Finding]:
    """Yield what a plugin's check finds; where it raises, what it found until then, and the error."""
    try:
        for finding in load(target)(surroundings):
            if not isinstance(finding, Finding):
                message = f"{target} gave {finding!r} where a Finding belongs"
                raise TypeError(message)  # noqa: TRY301 -- the plugin's bug, shown with all its others
            yield finding
    except Exception as error:  # noqa: BLE001 -- as above
        yield _bug(plugin, error)


def _bug(plugin: str, error: Exception) -> Finding:
    text = f"its check fails: {one_line(error)}"
    mend = "install what it cannot import" if isinstance(error, ImportError) else "tell its author"
    return Finding(subject=f"plugin {plugin}", state="broken", text=text, advice=f"{mend}, or leave it out: --without {plugin}")


def _versions() -> Iterator[Finding]:
    yield Finding(subject="python", state="ok", text=f"{platform.python_version()} on {platform.platform()}")
    yield Finding(subject="sqlite", state="ok", text=sqlite3.sqlite_version)
    try:
        yield Finding(subject=DISTRIBUTION, state="ok", text=metadata.version(DISTRIBUTION))
    except metadata.PackageNotFoundError:
        text, advice = "runs from its folder and is not installed: no plugin is found", "pip install -e . in that folder"
        yield Finding(subject=DISTRIBUTION, state="broken", text=text, advice=advice)
        return
    for name in _dependencies():
        try:
            yield Finding(subject=name, state="ok", text=metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Finding(subject=name, state="broken", text="is not installed", advice=f"pip install {DISTRIBUTION}")


def _dependencies() -> list[str]:
    """Return the packages that every installation needs."""
    plain = [text for text in metadata.requires(DISTRIBUTION) or () if ";" not in text]
    return sorted(match[0] for match in map(_NAME.match, plain) if match)


def _extras() -> Iterator[Finding]:
    try:
        names = metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return
    for name in names:
        missing = missing_of(DISTRIBUTION, name)
        if missing:
            text = f"not installed (lacks {', '.join(missing)})"
            yield Finding(subject=name, state="note", text=text, advice=f"if you want it: pip install '{DISTRIBUTION}[{name}]'")
        else:
            yield Finding(subject=name, state="ok", text="installed")


def _machine(surroundings: Surroundings) -> Iterator[Finding]:
    yield Finding(subject="processors", state="ok", text=f"{machine.processors()} for this process")
    yield from _memory()
    yield _accelerator()
    yield _cache_home(surroundings.cache_home)
    yield _free("working folder", Path.cwd())
    yield _free("temporary files", Path(tempfile.gettempdir()))
    shared = Path("/dev/shm")  # noqa: S108 -- looked at, never written to
    if shared.is_dir():
        room = shutil.disk_usage(shared)
        text = f"{room.free / _GB:.1f} of {room.total / _GB:.1f} GB free in {shared}; batches do not need it"
        yield Finding(subject="shared memory", state="ok", text=text)


def _memory() -> Iterator[Finding]:
    known = machine.memory()
    if not {"MemTotal", "MemAvailable"} <= known.keys():
        return
    total, free = (known[name] / _GB for name in ("MemTotal", "MemAvailable"))
    little = free < _LITTLE_MEMORY_GB
    advice = "take few workers: each of them needs up to 0.4 GB" if little else ""
    text = f"{free:.1f} of {total:.1f} GB free"
    yield Finding(subject="memory", state="note" if little else "ok", text=text, advice=advice)


def _accelerator() -> Finding:
    """Return what the driver shows."""
    models = machine.gpus()
    if models:
        return Finding(subject="GPU", state="ok", text=", ".join(models))
    return Finding(subject="GPU", state="note", text="the NVIDIA driver shows none; training runs on the processor")


def _cache_home(home: Path) -> Finding:
    """Return whether files can be made in the cache folder, and how much room there is."""
    advice = "set PLUTO_CACHE_HOME to a folder that you may write to"
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home) as file:
            file.write(b"pluto")
    except OSError as error:
        return Finding(subject="cache folder", state="broken", text=f"cannot write to {home}: {error.strerror}", advice=advice)
    return _free("cache folder", home)


def _free(subject: str, folder: Path) -> Finding:
    room = shutil.disk_usage(folder)
    free_gb = room.free / _GB
    text = f"{free_gb:.1f} of {room.total / _GB:.1f} GB free in {folder}"
    if free_gb < _NO_DISK_GB:
        return Finding(subject=subject, state="broken", text=text, advice="make room, or choose a folder on another disk")
    little = "`pluto plan FILE` says what a cache will take" if free_gb < _LITTLE_DISK_GB else ""
    return Finding(subject=subject, state="note" if little else "ok", text=text, advice=little)


def _plugins(catalogue: Catalogue) -> Iterator[Finding]:
    for plugin in catalogue.plugins:
        origin = f"{plugin.distribution} {plugin.version}".strip() or f"local module {plugin.module}"
        yield Finding(subject=plugin.name, state="ok", text=origin)
    for name, broken in catalogue.broken.items():
        yield Finding(subject=name, state="broken", text=broken.reason, advice=f"mend or uninstall it, or: --without {name}")
