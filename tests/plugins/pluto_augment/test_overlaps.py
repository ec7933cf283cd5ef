import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from pluto_augment.overlaps import touches
from pluto_planner.features.boxes import polygons

PLACES = st.floats(-6, 6, width=32)
ANGLES = st.floats(-4, 4, width=32)
SIDES = st.floats(0.25, 6, width=32)


@settings(deadline=None, max_examples=100)
@given(st.tuples(ANGLES, SIDES, SIDES), st.lists(st.tuples(PLACES, PLACES, ANGLES, SIDES, SIDES), max_size=6))
def test_as_polygons_do(one, others):
    """Boxes touch where their polygons do, but for those that just about do."""
    box = (np.zeros(2), one[0], np.array(one[1:]))
    rows = np.array(others).reshape(-1, 5)
    found = touches(*box, rows[:, :2], rows[:, 2], rows[:, 3:])
    mine = polygons(box[0][None], np.array([one[0]]), box[2][None])[0]
    theirs = polygons(rows[:, :2], rows[:, 2], rows[:, 3:])
    gap = shapely.distance(mine, theirs)
    depth = shapely.area(shapely.intersection(mine, theirs))
    clear = (gap > 1e-6) | (depth > 1e-6)
    assert (found == (gap == 0))[clear].all()


def test_contact_counts():
    """Boxes side by side touch; a hair apart they do not."""
    others = np.array([[0.0, 2.0], [0.0, 2.001], [4.0, 0.0], [4.0, 2.0]])
    found = touches(np.zeros(2), 0.0, np.array([2.0, 4.0]), others, np.zeros(4), np.tile([2.0, 4.0], (4, 1)))
    assert found.tolist() == [True, False, True, True]


def test_no_boxes():
    """Nothing is touched where there is nothing."""
    assert touches(np.zeros(2), 0.0, np.ones(2), np.zeros((0, 2)), np.zeros(0), np.zeros((0, 2))).tolist() == []
