"""The scanner that says on which line a key stands, against tomllib."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluto_core.experiment.lines import line_of_each
from pluto_core.experiment.tomltext import tomllib, write_key, write_value

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
SCALARS = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | TEXT
    | st.sampled_from([dt.date(2026, 1, 2), dt.datetime(2026, 1, 2, 3, 4, 5), dt.time(1, 2, 3)])  # noqa: DTZ001
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8
)
TREES = st.dictionaries(TEXT, VALUES | st.lists(st.dictionaries(TEXT, VALUES, max_size=3), min_size=1, max_size=3), max_size=4)


def paths(value, path=()):
    """Return the paths of all keys and elements of plain values."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = list(enumerate(value))
    else:
        return set()
    return {(*path, key) for key, _ in items} | {found for key, item in items for found in paths(item, (*path, key))}


class Writer:
    """Writes a tree in one of the many ways that TOML allows, and remembers on which line each key came."""

    def __init__(self, data):
        self.data = data
        self.lines = []

    def blank(self):
        """Add what does not count."""
        self.lines += self.data.draw(st.lists(st.sampled_from(["", "  ", "# a = 1", "\t# [x]"]), max_size=2))

    def table(self, tree, path):
        """Write the plain keys of a table, then its tables."""
        later = []
        for key, value in tree.items():
            tables = isinstance(value, list) and value and all(isinstance(item, dict) for item in value)
            if isinstance(value, dict) and self.data.draw(st.booleans()):
                later.append((key, value, False))
            elif tables and self.data.draw(st.booleans()):
                later.append((key, value, True))
            else:
                self.assignment(key, value)
        for key, value, many in later:
            for item in value if many else [value]:
                self.blank()
                name = ".".join(write_key(part) for part in (*path, key))
                self.lines.append(f"[[ {name} ]] # x" if many else f"[{name}]")
                self.table(item, (*path, key))

    def assignment(self, key, value):
        """Write one key, over several lines where it is an array or a text with line breaks."""
        self.blank()
        space = self.data.draw(st.sampled_from(["", " ", "\t"]))
        if isinstance(value, list) and self.data.draw(st.booleans()):
            items = [f"  {write_value(item)}, # ]" for item in value]
            self.lines += [f"{write_key(key)}{space}= [", *items, "]"]
        elif isinstance(value, str) and value.isalnum() and self.data.draw(st.booleans()):
            quotes = self.data.draw(st.sampled_from(['"""', "'''"]))
            if quotes == "'''" or "\\" not in value:
                self.lines += [f"{write_key(key)} = {quotes}", f"{value}{quotes}"]
        else:
            self.lines.append(f"{space}{write_key(key)}{space}={space}{write_value(value)}{space}# [a] = {{")


@given(st.data(), TREES)
def test_same_keys_as_tomllib(data, tree):
    """Whatever TOML tomllib reads, the scanner finds the same keys and elements, on lines that exist."""
    writer = Writer(data)
    writer.table(tree, ())
    text = "\n".join(writer.lines)
    try:
        expected = tomllib.loads(text)
    except tomllib.TOMLDecodeError:  # the writer reopened a table, or chose digits that are no text
        return
    found = line_of_each(text)
    assert found.keys() == paths(expected)
    assert all(1 <= line <= text.count("\n") + 1 for line in found.values())


@given(TREES)
def test_written_values_read_back(tree):
    """What `write_value` writes, tomllib reads as the same value."""
    text = "".join(f"{write_key(key)} = {write_value(value)}\n" for key, value in tree.items())
    assert tomllib.loads(text) == tree


@given(st.lists(st.sampled_from("ab.=\"'[]{}#,\n 1\\-_"), max_size=30).map("".join))
def test_any_valid_text(text):
    """No valid text, however odd, makes the scanner fail or disagree."""
    try:
        expected = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert line_of_each(text).keys() == paths(expected)


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("a = 1\n\n[b]\nc = 2\n", ("b", "c"), 4),
        ("[[a]]\n[[a]]\nx = 1\n", ("a", 1, "x"), 3),
        ("[[a]]\n[[a.b]]\n[[a.b]]\ny = 1", ("a", 0, "b", 1, "y"), 4),
        ('a = """\n[x]\n""""\nb = 1', ("b",), 4),
        ("a = [\n 1,\n {b = 1},\n]", ("a", 1, "b"), 3),
        ("a.b.c = 1\r\na.b.d = 2\r\n", ("a", "b", "d"), 2),
        ("\"a.b\" = 1\n'c d' = 2", ("c d",), 2),
        ("d = 1979-05-27 07:32:00 # x\ne = 1", ("e",), 2),
    ],
)
def test_line(text, path, line):
    """Every way to write a key has its line."""
    tomllib.loads(text)
    assert line_of_each(text)[path] == line
