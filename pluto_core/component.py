"""Components: names that plugins register, and how a name becomes an object.

A plugin hands over import strings, never objects, so that listing, checking and `--help` import nothing heavy. This is
the one place that imports by name.
"""

import importlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pluggy

from pluto_core.errors import PlutoError

if TYPE_CHECKING:
    from pluto_core.arrays import SampleSpec

hookspec = pluggy.HookspecMarker("pluto")
hookimpl = pluggy.HookimplMarker("pluto")


@attrs.frozen
class Component:
    """One thing that an experiment can select with `use = "NAME"`."""

    name: str
    """What stands behind `use`; lower case, digits and underscores."""
    factory: str = attrs.field(kw_only=True)
    """`package.module:callable`, called as `factory(config, context)` when an experiment selects it."""
    config: str = attrs.field(kw_only=True)
    """`package.config:Class`, a frozen keyword-only attrs class that costs nothing to import."""
    summary: str = attrs.field(kw_only=True)
    """One sentence for `pluto plugins`."""
    requires: str | None = attrs.field(kw_only=True, default=None)
    """`package.schema:function`, called as `requires(config) -> Requirement`; imports neither numpy nor torch."""
    provides: str | None = attrs.field(kw_only=True, default=None)
    """Builders: `package.schema:function`, called as `provides(config) -> SampleSpec`; as cheap as `requires`."""
    extra: str | None = attrs.field(kw_only=True, default=None)
    """The extra of the distribution that installs what the factory imports, if it is not a plain dependency."""
    facts: Mapping[str, Any] = attrs.field(kw_only=True, factory=dict[str, Any], hash=False)
    """Attributes of what the factory returns that `check` asks before it is made, such as `{"shared": False}`; each kind
    says which it takes (`Kind.facts`). One that turns out to be false is a bug of the plugin."""


@attrs.frozen
class Requirement:
    """What a component needs of the samples it is given."""

    keys: tuple[str, ...] = ()
    """Keys that a sample must hold, such as `agent/position`."""
    features: tuple[Mapping[str, Any], ...] = ()
    """`[[features]]` tables to take where the experiment names none, such as `{"use": "pluto"}`."""
    targets: tuple[Mapping[str, Any], ...] = ()
    """`[[targets]]` tables, likewise."""
    dims: Mapping[str, int] = attrs.field(factory=dict[str, int])
    """Sizes that must agree, such as `{"agent/position:1": 101}` (key, colon, axis)."""


def _say_nothing(_text: str) -> None:
    """Stand in for a user who is not there; a named function, so that a context can be pickled."""


@attrs.frozen(kw_only=True)
class Context:
    """What a factory learns about the run; its settings are in its config and nowhere else."""

    seed: int = 0
    run_dir: Path | None = None
    """Folder of this run, or None where nothing is to be written."""
    cache_home: Path | None = None
    """The user's cache folder for what is built once and reused (maps, synthetic data); None: the default."""
    sample_spec: "SampleSpec | None" = None
    """Specs of the arrays that the chosen builders give; None before they are built."""
    shared: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    """Already built components by kind, for those that need another one (the objective: `model`)."""
    note: Callable[[str], None] = _say_nothing
    """Says one line to the user, above any progress bar."""


def setting(default: Any = attrs.NOTHING, help: str = "", **options: Any) -> Any:  # noqa: A002 -- attrs' own words
    """Declare one key of a config class, with the text that `pluto plugins show` prints.

    Args:
        default: The value where the file is silent; without one the key must be given.
        help: What the key means, with its unit.
        options: `minimum`, `maximum` (inclusive), `above` (exclusive), `choices`, and whatever `attrs.field` takes. With
            `code=True` the value names code to run, or is handed to it: it is taken from experiments, never from a cache.
    """
    told: dict[str, Any] = {"help": help}
    told |= {key: options.pop(key) for key in ("minimum", "maximum", "above", "choices", "code") if key in options}
    return attrs.field(default=default, metadata=told, **options)


def load(import_string: str) -> Any:
    """Return the object that `package.module:name` names.

    Raises:
        PlutoError: The string has no colon, or the module has no such name.
        ImportError: The module cannot be imported.
    """
    module_name, colon, attribute = import_string.partition(":")
    if not colon or not attribute:
        message = f"{import_string!r} is no import string; write 'package.module:name'"
        raise PlutoError(message)
    found = importlib.import_module(module_name)
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            message = f"module {module_name!r} has no {attribute!r}"
            raise PlutoError(message) from None
    return found


def suggestion(word: str, choices: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the closest choice, or an empty string."""
    import difflib  # only who misspells a name waits for it

    close = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
