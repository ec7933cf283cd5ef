import numpy as np

from pluto_core.sketch import Box, Line, Raster, Role, Sketch, Track, joined


def test_joined_sketches_show_what_each_of_them_shows():
    """Marks stand one builder after the other; the first raster and the greatest radius win; nothing is lost."""
    line = Line(points=np.zeros((2, 2)), role=Role.LANE)
    truth = Line(points=np.ones((2, 2)), role=Role.FUTURE)
    box = Box(center=np.zeros(2), heading_rad=0.0, length_m=4.0, width_m=2.0, role=Role.EGO)
    first, second = (Raster(values=np.zeros((2, 2)), extent_m=(0.0, 1.0, 0.0, 1.0), label=label) for label in "ab")
    both = joined(
        [
            Sketch(lines=(line,), notes=("n",)),
            Sketch(lines=(truth,), boxes=(box,), raster=first, radius_m=90.0),
            Sketch(raster=second, radius_m=30.0),
        ]
    )
    assert both.lines == (line, truth)
    assert both.boxes == (box,)
    assert both.raster is first
    assert both.radius_m == 90.0
    assert both.notes == ("n",)


def test_joined_sketches_move_as_the_first_that_moves():
    """Tracks, their present step and interval belong together and come from one builder."""
    places = np.zeros((3, 2))
    known = np.ones(3, np.bool_)
    track = Track(positions=places, headings_rad=places[:, 0], valid=known, length_m=4.0, width_m=2.0, role=Role.VEHICLE)
    first, second = (Sketch(tracks=(track,), present=present, interval_s=present / 10) for present in (1, 2))
    both = joined([Sketch(), first, second])
    assert (both.tracks, both.present, both.interval_s) == ((track,), 1, 0.1)
