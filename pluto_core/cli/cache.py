"""`pluto cache`: look at a cache, prove it, copy it, mend it, remove it."""

import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pluto_core.cli.bars import bar
from pluto_core.cli.cache_remote import moved, path_or_url, pull, push
from pluto_core.cli.options import experiment_options, load_catalogue, plugin_options, read_experiment
from pluto_core.errors import ExitCode, PlutoError

if TYPE_CHECKING:
    from pluto_core.pipeline.folder import CacheFolder
    from pluto_core.pipeline.maintenance import Recompute
    from pluto_core.plugins import Catalogue
    from pluto_core.run.recipes import Builders

Decorated = Callable[..., Any]
Names = tuple[str, ...]

_MANIFEST = "manifest.json"
_SEVERAL = "processes"
"""The worker that reads several shards at a time."""


def cache_options(command: Decorated) -> Decorated:
    """Add the argument CACHE, `-p`, `--without` and `--json`."""
    command = plugin_options(command)
    command = json_option(command)
    return click.argument("path", metavar="CACHE", type=click.Path(path_type=Path))(command)


def json_option(command: Decorated) -> Decorated:
    """Add `--json`."""
    return click.option("as_json", "--json", is_flag=True, help="Print one JSON object.")(command)


@click.group()
def cache() -> None:
    """Look after the samples that `pluto run` keeps in a cache folder.

    \b
    pluto cache info runs/cache
    pluto cache verify runs/cache
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped


@cache.command()
@cache_options
def info(path: Path, modules: Names, without: Names, as_json: bool) -> int:
    """Show what CACHE holds: samples by type and builder, bytes, shards, failures by reason, who uses it.

    \b
    pluto cache info runs/cache
    pluto cache info runs/cache --json
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    from pluto_core.cli import cache_text
    from pluto_core.pipeline import maintenance

    told = maintenance.info(_opened(path, load_catalogue(modules, without)))
    return _say(told, cache_text.info, as_json=as_json)


@cache.command()
@cache_options
@click.option("--workers", type=click.IntRange(min=1), default=1, metavar="N", help="Read N shards at a time.")
@click.option("--recompute", type=click.IntRange(min=1), metavar="N", help="Compute N samples again and compare.")
@click.option("--experiment", type=click.Path(path_type=Path), metavar="FILE", help="What to compute them with.")
@click.option("settings", "--set", multiple=True, metavar="KEY=VALUE", help="Override a setting of FILE.")
def verify(
    path: Path,
    modules: Names,
    without: Names,
    as_json: bool,
    workers: int,
    recompute: int | None,
    experiment: Path | None,
    settings: Names,
) -> int:
    """Read every value of CACHE, compare checksums and shapes, ask its builders, and repair the index.

    What is damaged is left out from then on, and the next cache step computes it again. Ends with 1 where anything is found.

    \b
    pluto cache verify runs/cache
    pluto cache verify runs/cache --recompute 20 --experiment mine.toml
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    from pluto_core.cli import cache_text
    from pluto_core.pipeline import maintenance

    if (recompute is None) != (experiment is None):
        message = "--recompute N and --experiment FILE go together"
        raise click.UsageError(message)
    from pluto_core.component import Context

    catalogue = load_catalogue(modules, without)
    folder = _opened(path, catalogue)
    builders = _stored_builders(folder, catalogue)
    again = None
    if recompute is not None and experiment is not None:
        again = _recompute(folder, recompute, read_experiment(experiment, settings, modules, without))
    worker: Any = None
    if workers > 1:
        worker = catalogue.make("workers", _SEVERAL, catalogue.config_class("workers", _SEVERAL)(count=workers), Context())
    with bar("verify") as show:
        report = maintenance.verify(folder, make_builders=builders, recompute=again, worker=worker, progress=show)
    found = {
        "path": str(folder.path),
        "ok": report.ok,
        "values": report.values,
        "damaged": dict(report.damaged),
        "reasons": dict(report.reasons),
        "lost": report.lost,
        "unreadable": dict(report.unreadable),
        "recomputed": report.recomputed,
        "different": list(report.different),
        "repaired": report.repaired,
    }
    _say(found, cache_text.verified, as_json=as_json)
    return int(ExitCode.OK if report.ok else ExitCode.FAILED)


@cache.command()
@cache_options
@click.option("--to", "target", required=True, type=path_or_url, metavar="DIR|URL", help="Where to write.")
def export(path: Path, modules: Names, without: Names, as_json: bool, target: Path | str) -> int:
    """Write every sample of CACHE as TOKEN.npz, as cached; TOKEN@START_US.npz where a token occurs twice.

    To a URL (s3://bucket/folder) the sealed shards are pushed as they are, for `pluto cache import` on other machines.

    \b
    pluto cache export runs/cache --to samples
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    from pluto_core.cli import cache_text
    from pluto_core.pipeline import maintenance
    from pluto_core.pipeline.durable import explained

    folder = _opened(path, load_catalogue(modules, without))
    if isinstance(target, str):
        return _say(push(folder, target), moved, as_json=as_json)
    with explained(target), bar("export") as show:
        count = maintenance.export(folder, target, progress=show)
    return _say({"path": str(folder.path), "to": str(target), "samples": count}, cache_text.exported, as_json=as_json)


@cache.command("import")
@plugin_options
@json_option
@click.argument("path", metavar="CACHE|URL", type=path_or_url)
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), metavar="CACHE", help="Cache to copy into.")
@click.option("--use", metavar="STORE", help="How that one is stored: lmdb, files. [that of CACHE where it exists, else lmdb]")
@click.option("settings", "--set", multiple=True, metavar="KEY=VALUE", help="How to read a cache of another program.")
def import_(
    path: Path | str, modules: Names, without: Names, as_json: bool, target: Path, use: str | None, settings: Names
) -> int:
    """Copy the samples of one CACHE into another one, which may be stored otherwise; those that it has are kept.

    From a URL the shards are pulled that another machine has pushed with `pluto cache export`. CACHE may also be a folder that
    nuplan-devkit filled with gzip files.

    \b
    pluto cache import old/cache --to runs/cache
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    from pluto_core.cli import cache_text
    from pluto_core.pipeline import copying
    from pluto_core.pipeline.durable import explained

    catalogue = load_catalogue(modules, without)
    if isinstance(path, str):
        return _say(pull(path, target, use, partial(_folder, catalogue=catalogue)), moved, as_json=as_json)
    if path.is_dir() and not (path / _MANIFEST).exists():
        from pluto_core.cli.cache_foreign import import_foreign, taken

        return _say(import_foreign(path, target, use or _store_of(target), settings, catalogue), taken, as_json=as_json)
    if settings:
        message = "--set belongs to caches of other programs; a cache of pluto is copied as it is"
        raise click.UsageError(message)
    source = _opened(path, catalogue)
    copy = _folder(target, use or _store_of(target), catalogue)
    if copy.path.resolve() == source.path.resolve():
        message = f"{path} and {target} are the same cache; to rewrite its shards: pluto cache compact {path}"
        raise PlutoError(message)
    if not copy.store.suffix:
        message = f"a cache in {copy.name!r} ends with its process; name another store with --use"
        raise PlutoError(message)
    with explained(target), bar("import") as show:
        values = copying.copy(source, copy, progress=show)
    told = {"path": str(source.path), "to": str(copy.path), "store": copy.name, "values": values}
    return _say(told, cache_text.imported, as_json=as_json)


@cache.command()
@experiment_options
@json_option
@click.option("--progress/--no-progress", default=True, help="Show a progress bar.")
def retry(file: Path, settings: Names, modules: Names, without: Names, as_json: bool, progress: bool) -> int:
    """Compute those scenarios of the experiment in FILE again that failed before, and nothing else.

    \b
    pluto cache retry mine.toml
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    experiment = read_experiment(file, (*settings, "cache.retry_failures=true"), modules, without)
    experiment.require_variables()
    from pluto_core.cli import cache_text
    from pluto_core.pipeline import maintenance
    from pluto_core.run.display import Display
    from pluto_core.run.retrying import retry_failures
    from pluto_core.run.workspace import Workspace

    display = Display(progress=progress)
    workspace = Workspace(experiment, display.note)
    maintenance.store_name(workspace.cache_path)
    with display.caching() as show:
        told = retry_failures(workspace, show)
    return _say(told, cache_text.retried, as_json=as_json)


@cache.command()
@cache_options
def compact(path: Path, modules: Names, without: Names, as_json: bool) -> int:
    """Join small shards of CACHE and drop values that nothing finds any more. Stop trainings that read it first.

    \b
    pluto cache compact runs/cache
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    from pluto_core.cli import cache_text
    from pluto_core.pipeline import copying
    from pluto_core.pipeline.durable import explained

    folder = _opened(path, load_catalogue(modules, without))
    with explained(path), bar("compact") as show:
        done = copying.compact(folder, progress=show)
    told = {
        "path": str(folder.path),
        "rewritten": done.rewritten,
        "values": done.values,
        "shards": done.shards,
        "bytes_before": done.bytes_before,
        "bytes_after": done.bytes_after,
    }
    return _say(told, cache_text.compacted, as_json=as_json)


@cache.command()
@cache_options
@click.option("--yes", is_flag=True, help="Do not ask.")
def rm(path: Path, modules: Names, without: Names, as_json: bool, yes: bool) -> int:
    """Remove CACHE and all its samples, after asking.

    \b
    pluto cache rm runs/cache
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    from pluto_core.cli import cache_text
    from pluto_core.pipeline import maintenance
    from pluto_core.pipeline.durable import explained

    folder = _to_remove(path, load_catalogue(modules, without))
    if not yes:
        if not sys.stdin.isatty():
            message = f"this deletes the cache {path}; say --yes to allow it"
            raise PlutoError(message)
        click.echo(_head(folder), err=True)
        if not click.confirm("delete it?", err=True):
            click.echo("nothing was deleted", err=True)
            return int(ExitCode.FAILED)
    with explained(path):
        maintenance.delete(folder)
    left = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
    return _say({"path": str(folder.path), "removed": True, "left": left}, cache_text.removed, as_json=as_json)


def _opened(path: Path, catalogue: "Catalogue") -> "CacheFolder":
    """Return an existing cache, stored as its manifest says."""
    from pluto_core.run.caches import cache_at

    return cache_at(path, catalogue)


def _stored_builders(folder: "CacheFolder", catalogue: "Catalogue") -> "Builders":
    """Return the builders that made a cache, and say which are not here as they were then."""
    from pluto_core.run.caches import stored_builders

    manifest = folder.manifest
    found = stored_builders(manifest, catalogue)
    gone = [tag for tag in manifest.tags if tag not in found.tags]
    if gone:
        what = "are proved by checksum and shape alone: they are not installed, or have changed since"
        click.echo(f"samples of {', '.join(gone)} {what}", err=True)
    return found


def _to_remove(path: Path, catalogue: "Catalogue") -> "CacheFolder":
    """Return a cache to remove, which may be one that this program cannot read."""
    from pluto_core.kinds import BY_NAME

    try:
        return _opened(path, catalogue)
    except PlutoError:
        if not (path / _MANIFEST).is_file():
            raise
    return _folder(path, str(BY_NAME["caches"].default), catalogue)


def _head(folder: "CacheFolder") -> str:
    """Return what a cache is, as far as it can be read."""
    from pluto_core.cli import cache_text
    from pluto_core.pipeline import maintenance

    try:
        return cache_text.head(maintenance.info(folder))
    except PlutoError as error:
        return str(error)


def _folder(path: Path, use: str, catalogue: "Catalogue") -> "CacheFolder":
    from pluto_core.run.caches import cache_as

    return cache_as(path, use, catalogue)


def _store_of(target: Path) -> str:
    """Return how an existing cache is stored, or the default."""
    from pluto_core.kinds import BY_NAME
    from pluto_core.pipeline.maintenance import store_name

    return store_name(target) if (target / _MANIFEST).exists() else str(BY_NAME["caches"].default)


def _recompute(folder: "CacheFolder", count: int, experiment: Any) -> "Recompute":
    """Return what computes samples again, once it is known to compute the same ones."""
    from pluto_core.pipeline.maintenance import Recompute
    from pluto_core.run.workspace import Workspace

    experiment.require_variables()
    workspace = Workspace(experiment, lambda text: click.echo(text, err=True))
    if workspace.source is None:
        raise PlutoError(f"{experiment.path}: --recompute needs a [source], and cache.only must be false")
    manifest = folder.manifest
    different = manifest.fingerprint.differences(workspace.fingerprint)
    builders = [(tag, builder) for tag, builder in workspace.made_builders if tag in manifest.tags]
    if different or not builders:
        lines = different or [f"it has {', '.join(manifest.tags)}, the experiment {', '.join(workspace.builders.tags)}"]
        raise PlutoError("\n  ".join([f"the cache {folder.path} was made from something else than {experiment.path}:", *lines]))
    return Recompute(workspace.source, builders, count)


def _say(told: Mapping[str, Any], text: Callable[[Mapping[str, Any]], str], *, as_json: bool) -> int:
    click.echo(json.dumps(told, indent=2) if as_json else text(told))
    return int(ExitCode.OK)
