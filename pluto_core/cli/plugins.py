"""`pluto plugins`: what experiments can be made of."""

import json
from typing import TYPE_CHECKING, Any

import click

from pluto_core.cli.layout import hanging
from pluto_core.cli.options import load_catalogue, plugin_options
from pluto_core.component import suggestion
from pluto_core.errors import ExitCode, PlutoError
from pluto_core.kinds import KINDS, Kind

if TYPE_CHECKING:
    from pluto_core.component import Component
    from pluto_core.plugins import Catalogue


@click.group(invoke_without_command=True)
@click.option("as_json", "--json", is_flag=True, help="Print one JSON object.")
@plugin_options
@click.pass_context
def plugins(ctx: click.Context, as_json: bool, modules: tuple[str, ...], without: tuple[str, ...]) -> int | None:
    """What experiments can be made of: components by kind, presets, and plugins that are broken.

    \b
    pluto plugins                      everything there is
    pluto plugins show features.pluto  settings and arrays of one
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    ctx.obj = (modules, without)
    if ctx.invoked_subcommand is not None:
        return None
    catalogue = load_catalogue(modules, without)
    click.echo(json.dumps(_as_plain(catalogue), indent=2) if as_json else listing(catalogue))
    return int(ExitCode.OK)


@plugins.command("list")
@click.option("as_json", "--json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def list_plugins(given: tuple[tuple[str, ...], tuple[str, ...]], as_json: bool) -> int:
    """List everything; the same as `pluto plugins`.

    \b
    pluto plugins list --json
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    catalogue = load_catalogue(*given)
    click.echo(json.dumps(_as_plain(catalogue), indent=2) if as_json else listing(catalogue))
    return int(ExitCode.OK)


@plugins.command()
@click.argument("name")
@click.pass_obj
def show(given: tuple[tuple[str, ...], tuple[str, ...]], name: str) -> int:
    """Print what the component NAME takes and gives: settings, arrays.

    NAME may be a plugin too; `SECTION.NAME` picks one of several kinds (`features.pluto`). `experiment`, `filter` and
    `loader` are what belongs to no plugin.

    \b
    pluto plugins show lmdb
    pluto plugins show model.pluto
    pluto plugins show filter
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    from pluto_core.cli.describe import OF_THE_CORE, describe, describe_core

    if name in OF_THE_CORE:
        click.echo(describe_core(name))
        return int(ExitCode.OK)
    catalogue = load_catalogue(*given)
    found = find(catalogue, name)
    click.echo("\n\n".join(describe(catalogue, kind, component) for kind, component in found))
    return int(ExitCode.OK)


def find(catalogue: "Catalogue", name: str) -> list[tuple[Kind, "Component"]]:
    """Return the components of a name, or those of the plugin of that name.

    Raises:
        PlutoError: There is no such component or plugin.
    """
    section, _, bare = name.rpartition(".")
    entries = [
        (kind, component, catalogue.plugin_of(kind.name, component.name))
        for kind in KINDS
        for component in catalogue.components(kind.name)
        if section in ("", kind.section)
    ]
    found = [(kind, component) for kind, component, _ in entries if component.name == bare]
    found = found or [(kind, component) for kind, component, plugin in entries if plugin.name == bare]
    if not found:
        names = [component.name for _, component, _ in entries] + [plugin.name for plugin in catalogue.plugins]
        aside = "".join(f" ({plugin})" for plugin in catalogue.broken.values())
        raise PlutoError(f"there is no component or plugin {name!r}{suggestion(bare, names)}{aside}")
    return found


def listing(catalogue: "Catalogue") -> str:
    """Return all components by kind, presets, plugins, and what is broken, as text."""
    lines: list[str] = []
    for kind in KINDS:
        components = catalogue.components(kind.name)
        lines += ["", *hanging(f"{kind.header:<18}", kind.summary)]
        for component in components:
            mark = " (default)" if component.name == kind.default else ""
            lines += hanging(f"  {component.name:<24}", f"{component.summary}{mark}")
        if not components:
            lines.append("  (none)")
    lines += ["", "presets"]
    for name, preset in catalogue.presets.items():
        lines += hanging(f"  {name:<24}", str(preset.location))
    if not catalogue.presets:
        lines.append("  (none)")
    lines += ["", "plugins"]
    for plugin in catalogue.plugins:
        lines += hanging(f"  {plugin.name:<24}", f"{plugin.module} ({_origin(plugin)})")
    for name, broken in catalogue.broken.items():
        lines += hanging(f"  {name:<24}", f"broken: {broken.reason}")
    return "\n".join(lines[1:])


def _origin(plugin: Any) -> str:
    return f"{plugin.distribution} {plugin.version}".strip() or "local module"


def _as_plain(catalogue: "Catalogue") -> dict[str, Any]:
    return {
        "components": {
            kind.section: {
                component.name: {
                    "summary": component.summary,
                    "plugin": catalogue.plugin_of(kind.name, component.name).name,
                    "extra": component.extra,
                }
                for component in catalogue.components(kind.name)
            }
            for kind in KINDS
        },
        "presets": {name: preset.location for name, preset in catalogue.presets.items()},
        "plugins": {
            plugin.name: {"module": plugin.module, "distribution": plugin.distribution, "version": plugin.version}
            for plugin in catalogue.plugins
        },
        "broken": {name: broken.reason for name, broken in catalogue.broken.items()},
    }
