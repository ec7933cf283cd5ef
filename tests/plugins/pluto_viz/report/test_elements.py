import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluto_viz.report import charts, elements


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('data_root = "/data/nuplan"  # /home/me/a.toml:4', 'data_root = "…/nuplan"  # …/a.toml:4'),
        ("~/maps and C:\\data\\x", "…/maps and …/x"),
        ("runs/001 at 1.5 m/s", "runs/001 at 1.5 m/s"),
        ("s3://bucket/key and https://a.b/c", "s3://bucket/key and https://a.b/c"),
        ("pluto/…/x ../beside", "pluto/…/x ../beside"),
    ],
)
def test_folders_of_absolute_paths_are_not_told(text, shown):
    """What leaves the machine names files, not where somebody keeps them; relative paths, URLs and units stay."""
    assert elements.anonymous(text) == shown


@given(st.text(max_size=60))
def test_nothing_from_outside_becomes_markup(text):
    """Whatever a token, a message or a setting holds, it is text on the page."""
    made = elements.table(["a"], [[elements.words(text)]]) + elements.facts({text: text}) + elements.code(text)
    inside = re.sub(r"</?(div|table|thead|tbody|tr|th|td|button|dl|dt|dd|pre)( [a-z-]+=\"[^\"<>]*\")*>", "", made)
    assert "<" not in inside
    assert ">" not in inside


def test_unknown_numbers_sort_last_and_read_as_nothing():
    """None and NaN are a dash, and greater than every number."""
    cells = [elements.number(value) for value in (None, float("nan"), 2.5)]
    assert [cell.shown for cell in cells] == ["-", "-", "2.50"]
    assert cells[0].value > 1e300


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(-1e6, 1e6)), min_size=1, max_size=20))
def test_curves_stay_inside_their_chart(points):
    """Every point of a curve lies within the chart, whatever its values."""
    made = charts.curves("loss", [charts.Series(name="train", points=tuple((float(x), y) for x, y in points))])
    for x, y in re.findall(r'cx="([-\d.]+)" cy="([-\d.]+)"', made):
        assert 0 <= float(x) <= 360
        assert 0 <= float(y) <= 210


def test_a_histogram_counts_everything_that_is_known():
    """Heights of the bars add up to the number of finite values."""
    values = np.array([0.0, 1.0, 1.1, 50.0, np.nan])
    made = charts.histogram("FDE", values, names=("trained", ""))
    assert sum(int(count) for count in re.findall(r": (\d+)</title>", made)) == 4
    assert charts.histogram("FDE", np.array([np.nan])) == ""
