"""Whatever stands in a file or behind `--set`: an experiment or a list of mistakes, never a traceback."""

import copy
import enum
from pathlib import Path
from typing import Literal

import attrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pluto_core.errors import ExperimentError
from pluto_core.experiment import read
from pluto_core.experiment.nodes import Node, Origin, build, merge
from pluto_core.experiment.resolved import plain
from pluto_core.experiment.structure import FAILED, Structurer
from pluto_core.experiment.tomltext import tomllib, write_key, write_value

GOOD = {
    "name": "x",
    "seed": 1,
    "steps": ["cache"],
    "source": {"use": "toy", "data_root": "logs", "inner": {"alpha": 1}, "parts": [{"alpha": 1}], "weights": {"a": 1.0}},
    "filter": {"limit_total_scenarios": 5, "log_names": ["a"]},
    "loader": {"batch_size": 4},
    "cache": {"path": "c"},
    "features": [{"use": "toy"}],
    "model": {"use": "toy", "needs": ["agent/position"]},
}
WORDS = st.sampled_from(
    ["toy", "use", "preset", "name", "source", "toy-few", "toy-odd", "${A}", "${", "${A:b}", "preset:toy-whole", ""]
)
TEXT = WORDS | st.text(max_size=6)
ANYTHING = st.recursive(
    st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
QUICK = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def places(value, path=()):
    """Return the paths of everything in a tree."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [path]
    for key, item in items:
        found += places(item, (*path, key))
    return found


@st.composite
def spoiled(draw):
    """Return the good experiment with some values replaced, removed or added."""
    tree = copy.deepcopy(GOOD)
    for _ in range(draw(st.integers(0, 4))):
        path = draw(st.sampled_from([found for found in places(tree) if found]))
        parent = tree
        for key in path[:-1]:
            parent = parent[key]
        what = draw(st.sampled_from(["replace", "remove", "add"]))
        if what == "remove":
            del parent[path[-1]]
        elif what == "add" and isinstance(parent, dict):
            parent[draw(TEXT)] = draw(ANYTHING)
        else:
            parent[path[-1]] = draw(ANYTHING)
    return tree


def _read(path, toys, **options):
    try:
        return read(path, catalogue=toys, environment={"A": "a"}, **options)
    except ExperimentError as caught:
        mistakes = caught.mistakes
    assert mistakes
    assert all(mistake.where and mistake.problem for mistake in mistakes)
    return None


@QUICK
@given(tree=spoiled())
def test_spoiled_experiments(tree, tmp_path, toys):
    """A spoiled file is an experiment or a list of mistakes; one that reads, resolves to itself."""
    path = tmp_path / "x.toml"
    path.write_text("".join(f"{write_key(key)} = {write_value(value)}\n" for key, value in tree.items()), encoding="utf-8")
    experiment = _read(path, toys)
    if experiment is not None and not experiment.unset:
        again = tmp_path / "again.toml"
        again.write_text(experiment.resolved, encoding="utf-8")
        repeated = _read(again, toys)
        assert repeated is not None
        assert repeated.settings == experiment.settings


PIECES = st.sampled_from(['"', "'", "[", "]", "{", "}", "=", "\n", "a", "1", ".", ",", "#", "\\", "source", "é"])
ODD_LINES = st.sampled_from(
    [
        f"{'a.' * 300}a = 1",
        f"name = {'[' * 150}{']' * 150}",
        f"seed = {'9' * 5000}",
        f"seed = 0x{'f' * 5000}",
        "seed = 2020-01-01",
        'name = "a\\u0000b\\u001b"',
        '"a\\nb" = 1',
        'extends = "~nobody-at-all/a.toml"',
        'extends = "a\\u0000.toml"',
        f'extends = "{"a" * 300}"',
        'extends = "${NOWHERE}"',
        'plugins = ["", ".", "a b"]',
        "[[source]]",
        "[source.a.b]",
    ]
)
"""Lines that are TOML, and that nobody writes."""


@QUICK
@given(lines=st.lists(ODD_LINES, max_size=3, unique=True))
def test_odd_lines(lines, tmp_path, toys):
    """Numbers without end, keys by hundreds of dots, names that no file can have: a list of mistakes."""
    path = tmp_path / "x.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    _read(path, toys)


@QUICK
@given(text=st.lists(PIECES).map("".join))
def test_any_text(text, tmp_path, toys):
    """Any text at all is an experiment or a list of mistakes."""
    path = tmp_path / "x.toml"
    path.write_text(text, encoding="utf-8")
    _read(path, toys)


@QUICK
@given(content=st.binary(max_size=40))
def test_any_bytes(content, tmp_path, toys):
    """Any bytes at all are an experiment or a list of mistakes."""
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    _read(path, toys)


KEYS = st.sampled_from([".".join(map(str, path)) for path in places(GOOD) if path]) | st.text(max_size=8)


@QUICK
@given(options=st.lists(st.tuples(KEYS, TEXT | ANYTHING.map(repr)).map("=".join) | st.text(max_size=8), max_size=4))
def test_any_settings(options, tmp_path, toys):
    """Anything behind `--set` is applied or a mistake."""
    path = tmp_path / "x.toml"
    path.write_text("".join(f"{write_key(key)} = {write_value(value)}\n" for key, value in GOOD.items()), encoding="utf-8")
    _read(path, toys, settings=options)


@given(st.dictionaries(TEXT, ANYTHING, max_size=4), st.dictionaries(TEXT, ANYTHING, max_size=4))
def test_merge(lower, upper):
    """Merging: tables by key, everything else from above; every value keeps the origin of its layer."""
    merged = merge(build(lower, lambda _path: Origin("lower")), build(upper, lambda _path: Origin("upper")))
    assert repr(merged.plain()) == repr(_merged(lower, upper))
    _check_origins(merged, lower, upper)


def _merged(lower, upper):
    if not (isinstance(lower, dict) and isinstance(upper, dict)):
        return upper
    both = {key: _merged(value, upper[key]) if key in upper else value for key, value in lower.items()}
    return {**both, **{key: value for key, value in upper.items() if key not in lower}}


def _check_origins(node: Node, lower, upper):
    for key, child in node.value.items():
        if key not in upper:
            assert child.origin.source == "lower"
        else:
            assert child.origin.source == "upper"
            if child.is_table and isinstance(lower.get(key), dict) and isinstance(upper[key], dict):
                _check_origins(child, lower[key], upper[key])


class Colour(enum.Enum):
    RED = "red"
    BLUE = "toy"


@attrs.frozen(kw_only=True)
class Inner:
    alpha: int = 1
    name: str | None = None


SIMPLE = st.sampled_from([int, float, str, bool, Path, Literal["toy", 3, True], Colour, Inner, int | float, str | None])
HINTS = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        inner.map(lambda hint: tuple[hint, ...]),
        inner.map(lambda hint: list[hint]),
        inner.map(lambda hint: dict[str, hint]),
        inner.map(lambda hint: hint | None),
        st.tuples(inner, inner).map(lambda pair: tuple[pair]),
        st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1]),
    ),
    max_leaves=4,
)


@QUICK
@given(hint=HINTS, value=ANYTHING | st.lists(st.dictionaries(st.just("alpha"), st.integers()), max_size=2))
def test_any_type(hint, value):
    """Any value for any type is taken or a mistake, never both; what is taken reads back as itself."""
    structurer = Structurer()
    found = structurer.value(build(value, lambda _path: Origin("x", 1)), hint, ("key",))
    assert (found is FAILED) == bool(structurer.mistakes)
    if found is not FAILED:
        again = Structurer().value(build(plain(found), lambda _path: Origin("x", 1)), hint, ("key",))
        assert repr(again) == repr(found)


def test_good_is_good(tmp_path, toys):
    """The experiment that the others spoil is one."""
    text = "".join(f"{write_key(key)} = {write_value(value)}\n" for key, value in GOOD.items())
    assert tomllib.loads(text) == GOOD
    path = tmp_path / "x.toml"
    path.write_text(text, encoding="utf-8")
    assert read(path, catalogue=toys, environment={}).seed == 1
