"""Components in words: settings with types, defaults and meaning; arrays with dims, dtype, unit and frame."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs

from pluto_core.cli.layout import hanging, table
from pluto_core.errors import PlutoError
from pluto_core.experiment import scalars
from pluto_core.experiment.resolved import plain
from pluto_core.experiment.structure import fields_of, hints_of
from pluto_core.experiment.tomltext import write_value
from pluto_core.filters import ScenarioFilter
from pluto_core.kinds import Kind
from pluto_core.settings import CacheSettings, LoaderSettings, TopLevel

if TYPE_CHECKING:
    from pluto_core.component import Component
    from pluto_core.plugins import Catalogue

OF_THE_CORE: dict[str, tuple[type, str]] = {
    "experiment": (TopLevel, "The top of an experiment; then come tables: [filter], [loader], and those of `pluto plugins`"),
    "filter": (ScenarioFilter, "[filter]: which scenarios to take"),
    "loader": (LoaderSettings, "[loader]: how samples become batches"),
}
_BOUNDS = {"minimum": "at least", "maximum": "at most", "above": "above"}


def describe(catalogue: "Catalogue", kind: Kind, component: "Component") -> str:
    """Return everything that an author of experiments needs to know about a component."""
    plugin = catalogue.plugin_of(kind.name, component.name)
    lines = [
        f'{kind.header} use = "{component.name}"',
        *hanging("  ", component.summary),
        *hanging("  ", f"from plugin {plugin}"),
    ]
    if component.extra:
        lines.append(f"  needs the extra {component.extra!r}: pip install '{plugin.distribution}[{component.extra}]'")
    lines += [f"  {name}: {_fact(value)}" for name, value in component.facts.items()]
    config = catalogue.config_class(kind.name, component.name)
    rows = [("use", "string", f'"{component.name}"', "Selects this component.")]
    rows += list(settings(CacheSettings)) if kind.section == "cache" else []
    rows += list(settings(config))
    lines += ["", "settings", *table(("key", "type", "default", "meaning"), rows)]
    arrays = list(_arrays(catalogue, kind, component, config))
    if arrays:
        lines += ["", "arrays", *table(("key", "dims", "dtype", "unit", "frame", "meaning"), arrays)]
    return "\n".join(lines)


def _fact(value: Any) -> str:
    """Return what a component promises of itself as a line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(sorted(map(str, value))) if isinstance(value, set | frozenset | tuple | list) else str(value)


def describe_core(name: str) -> str:
    """Return what a table of the core takes."""
    cls, header = OF_THE_CORE[name]
    return "\n".join([header, "", "settings", *table(("key", "type", "default", "meaning"), list(settings(cls)))])


def settings(cls: type, prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Yield key, type, default and meaning of every setting; those of nested tables by dotted key."""
    hints = hints_of(cls)
    for key, field in fields_of(cls).items():
        hint = hints[field.name]
        bounds = _bounds(field)
        meaning = field.metadata.get("help", "")
        meaning = f"{meaning.rstrip('.')}; {bounds}." if meaning and bounds else meaning or bounds
        yield f"{prefix}{key}", words(hint), _default(field), meaning
        for member in scalars.members(hint):
            nested, many = _nested(member)
            if nested is not None:
                yield from settings(nested, f"{prefix}{key}{'[]' if many else ''}.")


def _nested(hint: Any) -> tuple[type | None, bool]:
    if isinstance(hint, type) and attrs.has(hint):
        return hint, False
    arguments = getattr(hint, "__args__", ())
    items = scalars.members(arguments[0]) if arguments and getattr(hint, "__origin__", None) in scalars.ARRAYS else []
    return next(((item, True) for item in items if isinstance(item, type) and attrs.has(item)), (None, False))


def words(hint: Any) -> str:
    """Return a type in TOML's words, without an article."""
    text = scalars.describe(hint)
    for article in ("an ", "a "):
        text = text.removeprefix(article)
    return text.replace(" or a ", " or ").replace(" or an ", " or ")


def _default(field: "attrs.Attribute[Any]") -> str:
    if field.default is attrs.NOTHING:
        return "(required)"
    default: Any = field.default
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # attrs' stubs call the class a function
        default = None if default.takes_self else default.factory()
    if default is None:
        return "-"
    return "(table)" if attrs.has(type(default)) else write_value(plain(default))


def _bounds(field: "attrs.Attribute[Any]") -> str:
    found = [
        f"{text} {write_value(field.metadata[key])}" for key, text in _BOUNDS.items() if field.metadata.get(key) is not None
    ]
    choices = field.metadata.get("choices")
    return ", ".join([*found, *([f"one of {', '.join(map(write_value, choices))}"] if choices else [])])


def _arrays(
    catalogue: "Catalogue", kind: Kind, component: "Component", config: type
) -> Iterator[tuple[str, str, str, str, str, str]]:
    """Yield a row for each array that a builder gives with its default settings."""
    if component.provides is None:
        return
    provides = catalogue.resolve(component.provides, "`provides`", catalogue.plugin_of(kind.name, component.name))
    try:
        spec = provides(config())
    except (TypeError, PlutoError):  # a setting has no default: the arrays depend on it
        return
    for key, array in spec.items():
        dtype = f"{array.dtype} ({array.at_rest} on disk)" if array.at_rest else array.dtype
        yield key, array.describe_dims(), dtype, array.unit or "-", array.frame or "-", array.summary
