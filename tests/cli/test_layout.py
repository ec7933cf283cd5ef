from hypothesis import given
from hypothesis import strategies as st

from pluto_core.cli.layout import hanging, table

WORDS = st.lists(st.text("abcdefgh_", min_size=1, max_size=20), max_size=30).map(" ".join)


@given(WORDS, st.integers(50, 120))
def test_wrapped_text_fits_and_loses_nothing(text, width):
    """No line is wider than the terminal, words come in order, and continued lines stand below the first."""
    lines = hanging("  name  ", text, width)
    assert max(map(len, lines)) <= width
    assert " ".join(lines).split() == ["name", *text.split()]
    assert all(line.startswith(" " * 8) for line in lines[1:])


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=5), st.integers(60, 140))
def test_tables_fit_and_lose_nothing(rows, width):
    """Every cell is there, in order, whatever fits beside what; nothing but a first column alone is too wide."""
    lines = table(("key", "type", "meaning"), rows, width)
    assert " ".join(lines).split() == [
        word for row in [("key", "type", "meaning"), *rows] for cell in row for word in cell.split()
    ]
    firsts = {f"  {row[0]}" for row in rows}
    assert all(len(line) <= width or line in firsts for line in lines)


def test_a_table_takes_the_shape_that_there_is_room_for():
    """Side by side where it is wide, the meaning below where it is narrow, everything below the key where it is very narrow."""
    rows = [("a_setting_with_a_long_name", "one of several", "What it means in quite a few words, and some more.")]
    header = ("key", "type", "meaning")
    assert len(table(header, rows, 120)) == 2
    narrow = table(header, rows, 60)
    assert narrow[-1].startswith("      What it means")
    assert narrow[-2] == "  a_setting_with_a_long_name  one of several"
    wide = [(f"{'k' * 40}", "t" * 40, "Meaning.")]
    assert table(header, wide, 80)[-3:] == [f"  {'k' * 40}", f"      {'t' * 40}", "      Meaning."]
