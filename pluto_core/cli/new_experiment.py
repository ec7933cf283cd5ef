"""The text of a new experiment: every setting of the components it selects, explained, at its default."""

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pluto_core.cli import describe
from pluto_core.errors import PlutoError
from pluto_core.experiment.tomltext import write_value
from pluto_core.filters import ScenarioFilter
from pluto_core.kinds import BY_SECTION, KINDS
from pluto_core.settings import CacheSettings, LoaderSettings, TopLevel

if TYPE_CHECKING:
    from pluto_core.plugins import Catalogue

Row = tuple[str, str, str, str]
"""Key, type, default and meaning of a setting."""

_WIDTH = 110
_HEAD = """\
# An experiment of pluto.
#
#   pluto check {file}    finds every mistake
#   pluto show {file}     prints every setting, and where it comes from
#   pluto run {file}      does it
#
# Lines such as `#lr = 0.001` show defaults: take the `#` away to set another value. `<integer>` and the like: unset by default.
"""
_TABLES = ("source", "splitter", "model", "objective", "optimizer", "schedule", "trainer", "cache", "worker")
_START = {"filter.num_scenarios_per_type": "20", "trainer.epochs": "5"}
"""Values to begin with, so that the first run takes minutes."""
_REQUIRED = "(required)"
_GUESSES = {"integer": "1", "number": "1.0", "boolean": "false", "array": "[]", "table": "{}"}
"""Values of settings without a default, by the beginning of their type."""


def write_experiment(file: Path, source: str, model: str, catalogue: "Catalogue", modules: Sequence[str]) -> None:
    """Write an experiment.

    Raises:
        PlutoError: The file exists or cannot be written, or there is no such source or model.
    """
    text = experiment_text(file, source, model, catalogue, modules)
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise PlutoError(f"{file} exists; nothing was written. Name another file") from None
    except OSError as error:
        raise PlutoError(f"cannot write {file}: {error.strerror or error}") from error


def experiment_text(file: Path, source: str, model: str, catalogue: "Catalogue", modules: Sequence[str] = ()) -> str:
    """Return the text of an experiment that takes scenarios from `source` and trains `model`."""
    chosen = {"source": source, "model": model, "splitter": _splitter_of(source, catalogue)}
    parts = [_HEAD.format(file=file), "\n".join(_top(file.stem, modules))]
    for section in _TABLES:
        kind = BY_SECTION[section]
        use = chosen.get(section) or (model if section == "objective" else kind.default)
        if use is not None and (use == chosen.get(section) or catalogue.has(kind.name, use)):
            parts.append("\n".join(_component(catalogue, section, use)))
        if section == "source":
            parts.append("\n".join(["# Which scenarios to take.", *_table("filter", list(describe.settings(ScenarioFilter)))]))
        if section == "trainer":
            parts.append(
                "\n".join(["# How samples become batches.", *_table("loader", list(describe.settings(LoaderSettings)))])
            )
    parts.append("\n".join(_lists(catalogue)))
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _splitter_of(source: str, catalogue: "Catalogue") -> str | None:
    """Return a splitter that comes with the source, where there is one."""
    own = catalogue.plugin_of("sources", source)
    return next(
        (one.name for one in catalogue.components("splitters") if catalogue.plugin_of("splitters", one.name) == own), None
    )


def _top(name: str, modules: Sequence[str]) -> Iterator[str]:
    given = {"name": write_value(name), "plugins": write_value(list(modules)) if modules else None}
    for row in describe.settings(TopLevel):
        yield from _setting(row, given.get(row[0]) or (row[2] if row[0] in {"seed", "steps"} else None))


def _component(catalogue: "Catalogue", section: str, use: str) -> Iterator[str]:
    """Yield the table of a component, and those nested in it."""
    kind = BY_SECTION[section]
    others = [other.name for other in catalogue.components(kind.name) if other.name != use]
    rows = list(describe.settings(CacheSettings)) if section == "cache" else []
    rows += describe.settings(catalogue.config_class(kind.name, use))
    header, *settings = _table(section, rows)
    yield from _comment(f"{kind.summary} {use}: {catalogue.component(kind.name, use).summary}")
    yield header
    yield f"use = {write_value(use)}" + (f"  # or: {', '.join(others)}" if others else "")
    if section == "model":
        yield from _comment("It asks for the features and targets that it reads; [[features]] and [[targets]] name others.")
    yield from settings


def _table(header: str, rows: Sequence[Row], *, off: bool = False) -> Iterator[str]:
    """Yield a table and those nested in it, as comments where it is off; arrays of tables are left to the documentation."""
    inner: dict[str, list[Row]] = {key.partition(".")[0]: [] for key, *_ in rows if "." in key and "[]" not in key}
    yield f"#[{header}]" if off else f"[{header}]"
    for key, kind, default, meaning in rows:
        owner, dot, rest = key.partition(".")
        if dot and owner in inner:
            inner[owner].append((rest, kind, default, meaning))
        elif not dot and key not in inner:
            shown = "-" if off and default == _REQUIRED else default
            yield from _setting((key, kind, shown, meaning), _START.get(f"{header}.{key}"))
    for key, nested in inner.items():
        default, meaning = next((default, meaning) for name, _, default, meaning in rows if name == key)
        yield ""
        yield from _comment(meaning)
        # What has a default of its own, and asks for settings once it is there, is for its author to switch on.
        asks = default != _REQUIRED and any(told == _REQUIRED for _, _, told, _ in nested)
        yield from _table(f"{header}.{key}", nested, off=off or asks)


def _setting(row: Row, value: str | None) -> Iterator[str]:
    """Yield the meaning of a setting and its line: `value`, its default as a comment, or a guess where it has none."""
    key, kind, default, meaning = row
    yield from _comment(meaning)
    if value is not None:
        yield f"{key} = {value}"
    elif default == _REQUIRED:
        yield f"{key} = {_guess(key, kind)}"
    else:
        yield f"#{key} = {f'<{kind}>' if default == '-' else default}"


def _guess(key: str, kind: str) -> str:
    """Return a value for a setting that has no default; a text comes from the environment."""
    word = kind.split(maxsplit=1)[0]
    return _GUESSES.get(word, write_value(f"${{PLUTO_{key.upper()}}}"))


def _lists(catalogue: "Catalogue") -> Iterator[str]:
    """Yield what there is for the sections that may occur several times and need not."""
    for kind in KINDS:
        names = ", ".join(component.name for component in catalogue.components(kind.name))
        if kind.many and kind.section not in {"features", "targets"} and names:
            default = f" ({kind.default} where none is named)" if kind.default else ""
            yield from _comment(f"{kind.header}: {kind.summary} There are: {names}{default}.")


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
