import matplotlib.colors
import numpy as np
import pytest

from pluto_core.plan import Plan
from pluto_core.sketch import Area, Box, Line, Raster, Role, Sketch
from pluto_viz.palette import LIGHT
from pluto_viz.scenario import figure, save

STYLES, OTHERS_FUTURE = LIGHT.styles, LIGHT.others_future
WAY = np.array([[0.0, 0.0], [10.0, 1.0], [20.0, 4.0]])
PLAN = Plan(trajectories=np.zeros((1, 8, 4, 3)), probabilities=np.array([[0.5, 0.3, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0]]))


def box(role):
    return Box(center=np.array([5.0, 5.0]), heading_rad=0.3, length_m=4.0, width_m=2.0, role=role)


def words(picture):
    (legend,) = picture.legends
    return [text.get_text() for text in legend.get_texts()]


def lines(picture):
    """Return the colours and points of every line, those of collections too."""
    (axes,) = picture.axes
    found = [(matplotlib.colors.to_hex(line.get_color()), line.get_xydata()) for line in axes.lines]
    for collection in axes.collections:
        colors = collection.get_edgecolor()
        for number, segment in enumerate(path.vertices for path in collection.get_paths()):
            if len(colors):
                found.append((matplotlib.colors.to_hex(colors[number % len(colors)]), segment))
    return found


def test_every_role_can_be_drawn_and_explained(tmp_path):
    """Each role has a style; what is in the picture and has words stands in the legend, once, and nothing else."""
    assert set(STYLES) == set(Role)
    sketch = Sketch(
        lines=tuple(Line(points=WAY, role=role) for role in Role if role is not Role.PLAN),
        boxes=tuple(box(role) for role in Role),
        areas=(Area(points=np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0]]), role=Role.CROSSWALK),),
        raster=Raster(values=np.random.default_rng(0).normal(size=(20, 20)), extent_m=(-60, 60, -60, 60), label="distance"),
    )
    picture = figure(sketch, PLAN)
    expected = [style.legend for style in STYLES.values() if style.legend]
    expected[expected.index("planned")] = "planned (50%, 30%, 20%)"
    assert words(picture) == [*expected, "distance (dark: low)"]
    assert save(picture, tmp_path / "new" / "all.png").stat().st_size > 10_000


def test_the_legend_names_only_what_is_there():
    """A bare sketch explains the ego alone; lane lines need no words."""
    assert words(figure(Sketch(lines=(Line(points=WAY, role=Role.LANE),)))) == ["ego"]
    assert words(figure(Sketch(lines=(Line(points=WAY, role=Role.GOAL),)))) == ["ego", "goal"]


def test_the_egos_truth_is_told_from_what_others_did():
    """A future from the origin is the truth, bold and last in place; others' are thin and have words of their own."""
    sketch = Sketch(lines=(Line(points=WAY, role=Role.FUTURE), Line(points=WAY + 8.0, role=Role.FUTURE)))
    picture = figure(sketch)
    assert words(picture) == ["ego", STYLES[Role.FUTURE].legend, OTHERS_FUTURE.legend]
    drawn = {color for color, points in lines(picture) if len(points) == 3}
    assert drawn == {STYLES[Role.FUTURE].color, OTHERS_FUTURE.color}
    assert STYLES[Role.FUTURE].width > 2 * OTHERS_FUTURE.width
    assert STYLES[Role.FUTURE].color not in {style.color for role, style in STYLES.items() if role is not Role.FUTURE}


def test_truth_and_plan_end_in_a_mark_each():
    """Standing still is seen: the last pose of the truth and of the most probable mode is a dot above the ego."""
    still = Sketch(lines=(Line(points=np.zeros((4, 2)), role=Role.FUTURE),), boxes=(box(Role.EGO),))
    (axes,) = figure(still, PLAN).axes
    marks = {matplotlib.colors.to_hex(line.get_color()): line for line in axes.lines if line.get_marker() == "o"}
    assert set(marks) == {STYLES[Role.FUTURE].color, STYLES[Role.PLAN].color}
    assert all(mark.get_zorder() > STYLES[Role.EGO].order for mark in marks.values())


def test_modes_begin_at_the_ego_and_fade_with_their_probability():
    """Modes are drawn from the origin, the most probable one on top and opaque, impossible ones not at all."""
    trajectories = np.cumsum(np.ones((1, 8, 4, 3)), axis=2) * np.arange(1, 9)[None, :, None, None]
    plan = Plan(trajectories=trajectories, probabilities=PLAN.probabilities)
    (axes,) = figure(Sketch(boxes=(box(Role.EGO),)), plan).axes
    color = STYLES[Role.PLAN].color
    modes = [line for line in axes.lines if line.get_color() == color and len(line.get_xydata()) == 5]
    modes.sort(key=lambda line: line.get_zorder())
    assert [line.get_alpha() for line in modes] == pytest.approx([0.15 + 0.85 * share for share in (0.4, 0.6, 1.0)])
    assert all(not line.get_xydata()[0].any() for line in modes)
    np.testing.assert_allclose(modes[-1].get_xydata()[1:], trajectories[0, 0, :, :2])


def test_a_meter_is_a_meter_in_both_directions():
    """The square shows the sketch's radius around the ego with equal axes, and a bar of 20 m."""
    picture = figure(Sketch(radius_m=80.0))
    (axes,) = picture.axes
    assert axes.get_xlim() == axes.get_ylim() == (-80.0, 80.0)
    assert axes.get_aspect() == 1.0
    (bar,) = [line for line in axes.lines if len(line.get_xydata()) == 2]
    assert np.ptp(bar.get_xydata()[:, 0]) == pytest.approx(20.0)
    assert any(text.get_text() == "20 m" for text in axes.texts)


def test_a_sketch_without_an_ego_still_shows_where_it_is():
    """Builders that draw no boxes get an arrow at the origin."""
    (axes,) = figure(Sketch(lines=(Line(points=WAY, role=Role.FUTURE),))).axes
    assert [line.get_xydata().tolist() for line in axes.lines if line.get_marker() == ">"] == [[[0.0, 0.0]]]
    (axes,) = figure(Sketch(boxes=(box(Role.EGO),))).axes
    assert not [line for line in axes.lines if line.get_marker() == ">"]


def test_words_stay_inside_the_picture():
    """Long titles of two lines, and the longest legend, are neither cut off nor over the drawing."""
    sketch = Sketch(lines=tuple(Line(points=WAY, role=role) for role in Role), boxes=tuple(box(role) for role in Role))
    picture = figure(
        sketch, PLAN, title="worst of validate: FDE 12.34 m\nstarting_straight_traffic_light_intersection_traversal"
    )
    picture.canvas.draw()
    height = picture.bbox.height
    for words_at in [*(text.get_window_extent() for text in picture.texts), picture.legends[0].get_window_extent()]:
        assert words_at.x0 >= 0
        assert words_at.y0 >= -1
        assert words_at.y1 <= height
        assert words_at.x1 <= picture.bbox.width
    frame = picture.axes[0].get_window_extent()
    assert picture.legends[0].get_window_extent().y1 <= frame.y0 + 2
    assert min(text.get_window_extent().y0 for text in picture.texts) >= frame.y1
