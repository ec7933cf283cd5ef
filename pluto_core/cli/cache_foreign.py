"""`pluto cache import` of what another program cached."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pluto_core.component import Component
    from pluto_core.plugins import Catalogue
    from pluto_core.protocols import ForeignCache

_SHOWN = 10


def import_foreign(path: Path, target: Path, use: str, settings: Sequence[str], catalogue: "Catalogue") -> dict[str, Any]:
    """Import a cache that a plugin can read, and tell what was taken.

    Args:
        path: The folder.
        target: The cache to import into; what it has already is kept.
        use: How that one is stored.
        settings: `KEY=VALUE`s for the plugin that reads it.
        catalogue: What plugins offer.

    Raises:
        PlutoError: No plugin knows the folder, a setting is wrong, or the target holds something else.
    """
    from pluto_core.experiment.tomltext import write_value
    from pluto_core.pipeline.durable import explained
    from pluto_core.run.display import Display
    from pluto_core.run.importing import take

    foreign = _opened(path, settings, catalogue)
    display = Display(progress=True)
    with explained(target), display.caching() as show:
        report = take(foreign, target, use, catalogue, progress=show, note=display.note)
    return {
        "path": str(path),
        "to": str(target),
        "store": use,
        "builder": foreign.use,
        "table": {"use": write_value(foreign.use)} | {key: write_value(value) for key, value in _chosen(foreign.config)},
        "samples": report.asked,
        "present": report.present,
        "imported": report.done,
        "failed": dict(report.failed),
        "failed_before": report.failed_before,
    }


def taken(told: Mapping[str, Any]) -> str:
    """Return what was imported, and the lines of an experiment that read it."""
    lines = [f"{told['imported']:,} of {told['samples']:,} samples imported to {told['to']} ({told['store']})"]
    if told["present"]:
        lines.append(f"{told['present']:,} were there before")
    failed = sum(told["failed"].values()) + told["failed_before"]
    if failed:
        lines.append(f"{failed:,} could not be read; {told['to']}/failures.jsonl says why")
    lines += ["", "an experiment reads them with", "", "    [[features]]"]
    lines += [f"    {key} = {value}" for key, value in told["table"].items()]
    lines += ["", "    [cache]", f'    path = "{told["to"]}"', "    only = true"]
    return "\n".join(lines)


def _opened(path: Path, settings: Sequence[str], catalogue: "Catalogue") -> "ForeignCache":
    from pluto_core.component import Context, load
    from pluto_core.errors import PlutoError

    importers: list[Component] = [one for answer in catalogue.hooks.pluto_cache_importers() for one in answer]
    for importer in importers:
        config = _config(load(importer.config), importer.name, settings)
        context = Context(note=lambda text: click.echo(text, err=True))
        found: ForeignCache | None = load(importer.factory)(config, context).open(path)
        if found is not None:
            return found
    known = f"; plugins read {', '.join(one.name for one in importers)}" if importers else ""
    raise PlutoError(f"{path} is no cache of pluto's (it has no manifest.json), nor one that a plugin can read{known}")


def _config(kind: type, name: str, settings: Sequence[str]) -> Any:
    from pluto_core.errors import ExperimentError
    from pluto_core.experiment.documents import with_settings
    from pluto_core.experiment.nodes import Node, Origin
    from pluto_core.experiment.structure import Structurer

    root, mistakes = with_settings(Node({}, Origin(name)), settings)
    structurer = Structurer()
    config = structurer.table(root, kind, (), listed=name)
    mistakes = [*mistakes, *structurer.mistakes]
    if mistakes:
        raise ExperimentError(mistakes)
    return config


def _chosen(config: Any) -> Iterator[tuple[str, Any]]:
    """Yield the settings of a builder that differ from their defaults."""
    import attrs

    for field in attrs.fields(type(config)):
        value = getattr(config, field.name)
        if value is not None and value != field.default:
            yield field.name, list(value) if isinstance(value, tuple) else value
