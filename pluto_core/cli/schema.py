"""`pluto schema`: JSON Schema of experiment files, so that editors complete and check them."""

import json
import pathlib
import typing
from typing import TYPE_CHECKING, Any

import attrs
import click

from pluto_core.cli.options import load_catalogue, plugin_options
from pluto_core.errors import ExitCode
from pluto_core.experiment import scalars
from pluto_core.experiment.resolved import plain
from pluto_core.experiment.structure import fields_of, hints_of
from pluto_core.filters import ScenarioFilter
from pluto_core.kinds import KINDS, Kind
from pluto_core.settings import CacheSettings, LoaderSettings, TopLevel

if TYPE_CHECKING:
    from pluto_core.component import Component
    from pluto_core.plugins import Catalogue

Schema = dict[str, Any]

_TYPES = {str: "string", pathlib.Path: "string", int: "integer", float: "number", bool: "boolean"}
_BOUNDS = {"minimum": "minimum", "maximum": "maximum", "above": "exclusiveMinimum"}
_PRESET = {"type": "string", "description": "Name of a shipped table that lies under this one."}


@click.command()
@plugin_options
def schema(modules: tuple[str, ...], without: tuple[str, ...]) -> int:
    """Print the JSON Schema of experiment files, with the components of all plugins.

    Save it and name it in the first line of an experiment, `#:schema ./pluto.schema.json`, for editors that use Taplo.

    \b
    pluto schema > pluto.schema.json
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    click.echo(json.dumps(experiment_schema(load_catalogue(modules, without)), indent=2))
    return int(ExitCode.OK)


def experiment_schema(catalogue: "Catalogue") -> Schema:
    """Return the JSON Schema of everything that a file may say. Nothing is required: parents and presets may say it."""
    properties = _properties(TopLevel)
    properties["extends"] = {"type": "string", "description": "A file relative to this one, or preset:NAME, to lay under it."}
    for name, cls in (("filter", ScenarioFilter), ("loader", LoaderSettings)):
        properties[name] = _table({"preset": _PRESET, **_properties(cls)})
    for kind in KINDS:
        table = _kind_schema(catalogue, kind)
        properties[kind.section] = {"type": "array", "items": table} if kind.many else table
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "pluto experiment",
        **_table(properties),
    }


def _kind_schema(catalogue: "Catalogue", kind: Kind) -> Schema:
    components = catalogue.components(kind.name)
    names = [component.name for component in components]
    if not components:
        return {"not": {}, "description": f"{kind.summary} No plugin offers any."}
    use: Schema = {
        "enum": names,
        "description": "; ".join(f"{component.name}: {component.summary}" for component in components),
    }
    if kind.default in names:
        use["default"] = kind.default
    rules = []
    for component in components:
        chosen: Schema = {"properties": {"use": {"const": component.name}}}
        if component.name != kind.default:
            chosen["required"] = ["use"]
        rules.append({"if": chosen, "then": _table(_component_properties(catalogue, kind, component))})
    return {"type": "object", "description": kind.summary, "properties": {"use": use, "preset": _PRESET}, "allOf": rules}


def _component_properties(catalogue: "Catalogue", kind: Kind, component: "Component") -> Schema:
    core = _properties(CacheSettings) if kind.section == "cache" else {}
    return {"use": {}, "preset": {}, **core, **_properties(catalogue.config_class(kind.name, component.name))}


def _table(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _properties(cls: type) -> Schema:
    hints = hints_of(cls)
    return {key: _field(field, hints[field.name]) for key, field in fields_of(cls).items()}


def _field(field: "attrs.Attribute[Any]", hint: Any) -> Schema:
    found = _with_bounds(_of(hint), field.metadata)
    if field.metadata.get("help"):
        found["description"] = field.metadata["help"]
    default = field.default
    if default is not attrs.NOTHING and default is not None and not isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        found["default"] = plain(default)
    return found


def _with_bounds(found: Schema, metadata: Any) -> Schema:
    """Return a schema with the bounds of its setting, which hold for every number in it."""
    bounds = {word: metadata[key] for key, word in _BOUNDS.items() if metadata.get(key) is not None}
    if not bounds:
        return found
    if found.get("type") in ("integer", "number"):
        return {**found, **bounds}
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), dict):
            found = {**found, key: _with_bounds(found[key], metadata)}
    if "anyOf" in found:
        found = {**found, "anyOf": [_with_bounds(member, metadata) for member in found["anyOf"]]}
    return found


def _of(hint: Any) -> Schema:
    members = scalars.members(hint)
    return _of_one(members[0]) if len(members) == 1 else {"anyOf": [_of_one(member) for member in members]}


def _of_one(hint: Any) -> Schema:
    choices = scalars.choices_of(hint)
    if choices is not None:
        return {"enum": choices}
    if hint in _TYPES:
        return {"type": _TYPES[hint]}
    if isinstance(hint, type) and attrs.has(hint):
        return _table(_properties(hint))
    container, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
    if container in scalars.ARRAYS:
        return _array(container, arguments)
    if container in scalars.TABLES:
        return {"type": "object", "additionalProperties": _of(arguments[1]) if arguments else True}
    return {}


def _array(container: Any, arguments: tuple[Any, ...]) -> Schema:
    if not arguments:
        return {"type": "array"}
    if container is tuple and Ellipsis not in arguments:
        items = [_of(argument) for argument in arguments]
        return {"type": "array", "items": items, "minItems": len(items), "maxItems": len(items)}
    return {"type": "array", "items": _of(arguments[0])}
