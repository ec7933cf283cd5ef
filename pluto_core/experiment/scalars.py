"""Single values: which annotation takes which, in TOML's words."""

import enum
import math
import operator
import pathlib
import types
import typing
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any, Literal

import attrs

from pluto_core.component import suggestion
from pluto_core.experiment.tomltext import kind_of, write_value

ARRAYS: dict[Any, Callable[[list[Any]], Any]] = {
    tuple: tuple,
    list: list,
    set: set,
    frozenset: frozenset,
    Sequence: tuple,
    Iterable: tuple,
}
TABLES = (dict, Mapping, MutableMapping)

_WORDS = {str: "string", int: "integer", float: "number", bool: "boolean", pathlib.Path: "string"}
_LONGEST = 60
_BOUNDS = (
    ("minimum", "at least", operator.ge),
    ("maximum", "at most", operator.le),
    ("above", "above", operator.gt),
)


def bare(hint: Any) -> Any:
    """Return an annotation without `Annotated`, `NewType` and names of types."""
    while True:
        if typing.get_origin(hint) is typing.Annotated:
            hint = typing.get_args(hint)[0]
        elif isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        elif type(hint).__name__ == "TypeAliasType":
            hint = hint.__value__
        else:
            return hint


def is_union(hint: Any) -> bool:
    """Return whether an annotation is a union."""
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def members(hint: Any) -> list[Any]:
    """Return the members of a union without None (TOML has none), or the annotation itself."""
    hint = bare(hint)
    if is_union(hint):
        return [member for argument in typing.get_args(hint) if argument is not type(None) for member in members(argument)]
    return [hint]


def is_enum(hint: Any) -> bool:
    """Return whether an annotation is an enumeration."""
    return isinstance(hint, type) and issubclass(hint, enum.Enum)


def choices_of(hint: Any) -> list[Any] | None:
    """Return the values that a `Literal` or an enumeration allows; None for other annotations."""
    if typing.get_origin(hint) is Literal:
        return list(typing.get_args(hint))
    return [member.value for member in hint] if is_enum(hint) else None


def is_scalar(hint: Any) -> bool:
    """Return whether an annotation takes one plain value."""
    return hint in _WORDS or hint is type(None) or choices_of(hint) is not None


def takes_strings(hint: Any) -> bool:
    """Return whether an annotation takes some strings."""
    return any(_is_string(member) for member in members(hint))


def only_strings(hint: Any) -> bool:
    """Return whether an annotation takes nothing but strings."""
    return all(_is_string(member) for member in members(hint))


def _is_string(hint: Any) -> bool:
    choices = choices_of(hint)
    return hint in (str, pathlib.Path) if choices is None else all(isinstance(choice, str) for choice in choices)


def fits(value: Any, hint: Any) -> bool:
    """Return whether an annotation takes this sort of TOML value."""
    hint = bare(hint)
    choices = choices_of(hint)
    if choices is not None:
        return any(type(value) is type(choice) for choice in choices)
    if hint in (str, pathlib.Path, int, bool, float):
        return _fits_plain(value, hint)
    if (typing.get_origin(hint) or hint) in ARRAYS:
        return isinstance(value, list)
    return hint is Any or hint is object or (isinstance(value, dict) and hint is not type(None))


def _fits_plain(value: Any, hint: Any) -> bool:
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is hint or (hint is pathlib.Path and isinstance(value, str))


def fits_exactly(value: Any, hint: Any) -> bool:
    """Return whether a value needs no widening; of two members of a union, this one goes first."""
    return not (bare(hint) is float and isinstance(value, int))


def read(value: Any, hint: Any) -> tuple[Any, str | None]:
    """Return a plain value as its annotation wants it, or what is wrong with it."""
    choices = choices_of(hint)
    if choices is not None:
        return _choice(value, choices, hint)
    if not fits(value, hint):
        return None, wrong(value if not isinstance(value, list | dict) else plain_sort(value), hint)
    if isinstance(value, float) and not math.isfinite(value):
        return None, f"must be a finite number, not {value}"
    if isinstance(value, str) and (problem := _unwritable(value)):
        return None, problem
    if hint is float:
        return _as_float(value)
    return (pathlib.Path(value) if hint is pathlib.Path else value), None


def _unwritable(text: str) -> str | None:
    """Return why a text can stand in no file, or name none; bytes that are no text reach Python as halves of characters."""
    if "\0" in text:
        return "must not hold the character NUL"
    return "must be UTF-8 text" if any("\ud800" <= sign <= "\udfff" for sign in text) else None


def _as_float(value: float) -> tuple[float | None, str | None]:
    try:
        return float(value), None
    except OverflowError:
        return None, "is too large"


def plain_sort(value: Any) -> Any:
    """Return an empty value of the same sort."""
    return [] if isinstance(value, list) else {}


def _choice(value: Any, choices: Sequence[Any], hint: Any) -> tuple[Any, str | None]:
    for choice in choices:
        if type(choice) is type(value) and choice == value:
            return (hint(choice) if is_enum(hint) else choice), None
    shown_value = shown(value if not isinstance(value, list | dict) else plain_sort(value))
    close = suggestion(value, [choice for choice in choices if isinstance(choice, str)]) if isinstance(value, str) else ""
    return None, f"must be {describe(hint)}, not {shown_value}{close}"


def wrong(value: Any, hint: Any) -> str:
    """Return that a value is of the wrong sort."""
    return f"must be {describe(hint)}, not {shown(value)}"


def shown(value: Any) -> str:
    """Return a value as mistakes name it: sort and text, shortened."""
    if isinstance(value, list | tuple | Mapping):
        return kind_of(value)
    return f"the {kind_of(value).partition(' ')[2]} {_short(value)}"


def _short(value: Any) -> str:
    text = write_value(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def describe(hint: Any) -> str:
    """Return what an annotation takes, with its article."""
    words = dict.fromkeys(_describe_one(member) for member in members(hint))
    if "a number" in words:
        words.pop("an integer", None)  # a number may be whole
    return " or ".join(words)


def _describe_one(hint: Any) -> str:
    choices = choices_of(hint)
    if choices is not None:
        texts = [write_value(choice) for choice in choices]
        return texts[0] if len(texts) == 1 else f"one of {', '.join(texts)}"
    if hint in _WORDS:
        return f"{'an' if hint is int else 'a'} {_WORDS[hint]}"
    if (typing.get_origin(hint) or hint) in ARRAYS:
        return _describe_array(hint)
    return "anything" if hint is Any or hint is object else "a table"


def _describe_array(hint: Any) -> str:
    arguments = typing.get_args(hint)
    if not arguments or bare(arguments[0]) is Any:
        return "an array"
    item = members(arguments[0])[0]
    length = f" of {len(arguments)}" if typing.get_origin(hint) is tuple and Ellipsis not in arguments else " of"
    if item in _WORDS:
        return f"an array{length} {_WORDS[item]}s"
    if choices_of(item) is not None:
        return f"an array{length} strings"
    is_table = (isinstance(item, type) and attrs.has(item)) or (typing.get_origin(item) or item) in TABLES
    return f"an array{length} {'tables' if is_table else 'arrays'}"


def out_of_bounds(value: Any, bounds: Mapping[Any, Any]) -> str | None:
    """Return what is wrong with a value, or its items, by `minimum`, `maximum`, `above`, `choices` of its setting."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return next((problem for item in value if (problem := out_of_bounds(item, bounds))), None)
    choices = bounds.get("choices")
    if choices is not None and isinstance(value, str | int | float) and value not in choices:
        close = suggestion(value, [choice for choice in choices if isinstance(choice, str)]) if isinstance(value, str) else ""
        return f"must be one of {', '.join(write_value(choice) for choice in choices)}, not {shown(value)}{close}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    for name, words, comparison in _BOUNDS:
        if bounds.get(name) is not None and not comparison(value, bounds[name]):
            return f"must be {words} {write_value(bounds[name])}, not {_short(value)}"
    return None
