"""Types of settings that config classes may use, and what their values become."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NewType

import attrs
import pytest

from pluto_core import setting
from pluto_core.experiment.documents import given
from pluto_core.experiment.nodes import Origin, build
from pluto_core.experiment.scalars import describe
from pluto_core.experiment.structure import FAILED, Structurer
from pluto_core.plugins import PluginBugError

Metres = NewType("Metres", float)


@attrs.frozen(kw_only=True)
class Circle:
    """One shape."""

    shape: Literal["circle"] = "circle"
    radius: float = 1.0


@attrs.frozen(kw_only=True)
class Box:
    """Another shape."""

    shape: Literal["box"] = "box"
    width: float = 1.0


def structured(value, hint):
    """Return a value as `hint` wants it, and the problems."""
    structurer = Structurer()
    found = structurer.value(build(value, lambda _path: Origin("f", 1)), hint, ("k",))
    return found, [(mistake.key, mistake.problem) for mistake in structurer.mistakes]


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        ([1, 2], list[int], [1, 2]),
        ([1, 2], tuple[float, ...], (1.0, 2.0)),
        (["a"], Sequence[str], ("a",)),
        (["a", "a"], frozenset[str], frozenset("a")),
        ([], tuple[int, ...], ()),
        ([[1, 2], [3]], tuple[tuple[int, ...], ...], ((1, 2), (3,))),
        ({"a": [1]}, Mapping[str, list[int]], {"a": [1]}),
        ({"a": 1}, dict, {"a": 1}),
        (3, Metres, 3.0),
        (3, Annotated[int, "metres"], 3),
        (3, int | None, 3),
        ({"any": [1, "a"]}, Any, {"any": [1, "a"]}),
        ({"shape": "box", "width": 3}, Circle | Box, Box(width=3.0)),
        ({"radius": 3}, Circle | Box, Circle(radius=3.0)),
        ({"width": 3}, Circle | Box, Box(width=3.0)),
        ({"width": 3}, Box | None, Box(width=3.0)),
        (1, float | int, 1),
        (2, Literal[1, 2], 2),
        (True, bool | int, True),
    ],
)
def test_fits(value, hint, expected):
    """Values that fit arrive as their annotation says, of exactly that type."""
    found, problems = structured(value, hint)
    assert problems == []
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "hint", "key", "problem"),
    [
        (True, int, "k", "must be an integer, not the boolean true"),
        (1.0, int, "k", "must be an integer, not the float 1.0"),
        ("1", float, "k", 'must be a number, not the string "1"'),
        (1, bool, "k", "must be a boolean, not the integer 1"),
        (True, Literal[1, 2], "k", "must be one of 1, 2, not the boolean true"),
        ("x" * 100, int, "k", f'must be an integer, not the string "{"x" * 56}...'),
        ([1, "a"], tuple[int, ...], "k.1", 'must be an integer, not the string "a"'),
        ({"a": 1}, tuple[int, ...], "k", "must be an array of integers, not a table"),
        ({"a": "b"}, dict[str, int], "k.a", 'must be an integer, not the string "b"'),
        ({"shape": "disc"}, Circle | Box, "k.shape", 'must be "circle", not the string "disc"'),
        ({"with": 3}, Box | None, "k.with", "unknown key; did you mean 'width'?"),
        ({"shape": "box", "radius": 3}, Circle | Box | None, "k.radius", "unknown key; there are shape, width"),
        (float("nan"), float, "k", "must be a finite number, not nan"),
        (float("inf"), float, "k", "must be a finite number, not inf"),
        ([1.0, float("-inf")], tuple[float, ...], "k.1", "must be a finite number, not -inf"),
        (10**400, float, "k", "is too large"),
    ],
)
def test_does_not_fit(value, hint, key, problem):
    """Values that do not fit are one problem each, at the innermost key, in TOML's words."""
    found, problems = structured(value, hint)
    assert found is FAILED
    assert problems == [(key, problem)]


def test_every_field_is_looked_at():
    """All fields of a table are reported, validators of the good ones too."""

    def refuse(_owner, _attribute, value):
        raise ValueError(f"not {value}")

    @attrs.frozen(kw_only=True)
    class Config:
        first: int = 1
        second: int = attrs.field(default=2, validator=refuse)
        third: int = setting(3, "Third.", maximum=5)

    _, problems = structured({"first": "x", "second": 7, "third": 9, "fourth": 1}, Config)
    assert sorted(key for key, _ in problems) == ["k.first", "k.fourth", "k.second", "k.third"]


def test_whole_table_refused():
    """A message that an `__attrs_post_init__` raises stands at the table."""

    @attrs.frozen(kw_only=True)
    class Config:
        low: int = 1
        high: int = 2

        def __attrs_post_init__(self):
            if self.low > self.high:
                message = "low lies above high"
                raise ValueError(message)

    assert structured({"low": 5}, Config)[1] == [("k", "low lies above high")]


def test_unresolvable_annotation():
    """An annotation that names nothing is a bug of the plugin."""

    @attrs.frozen(kw_only=True)
    class Config:
        size: "NoSuchThing" = 1  # noqa: F821

    with pytest.raises(PluginBugError, match=r"annotations of .*Config cannot be resolved"):
        structured({}, Config)


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (str | tuple[str, ...], "a string or an array of strings"),
        (int | float | None, "a number"),
        (tuple[int, int], "an array of 2 integers"),
        (tuple[Circle, ...], "an array of tables"),
        (list[list[int]], "an array of arrays"),
        (Literal["a", "b"] | None, 'one of "a", "b"'),
    ],
)
def test_words(hint, words):
    """Annotations are named in TOML's words."""
    assert describe(hint) == words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4", 4),
        ("auto", "auto"),
        ("[0, 1]", 'must be an integer or "auto", not an array'),
        ("many", 'must be an integer or "auto", not the string "many"'),
    ],
)
def test_text_of_a_setting(text, expected):
    """What `--set` gives is read as its type asks; where it fits no type, the mistake names what was written."""
    structurer = Structurer()
    found = structurer.value(given(text, Origin("--set")), int | Literal["auto"], ("k",))
    problems = [mistake.problem for mistake in structurer.mistakes]
    assert problems == [expected] if found is FAILED else (found, problems) == (expected, [])
