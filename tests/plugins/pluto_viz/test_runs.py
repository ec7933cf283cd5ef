import types

import attrs
import matplotlib.colors
import matplotlib.image
import numpy as np
import pytest

from pluto_core.moments import StepReport
from pluto_core.plan import Plan
from pluto_core.scene import ScenarioId
from pluto_core.sketch import Box, Line, Role, Sketch
from pluto_viz import hooks
from pluto_viz.captions import title
from pluto_viz.palette import LIGHT
from pluto_viz.runs import draw_step

REPORT = StepReport(numbers={}, files={}, seconds=1.0)
NAN = float("nan")


def drawn(number, *, fde=1.0, ade=0.5):
    """Return one evaluated scenario: a road, a car, a truth and two modes."""
    x = np.linspace(0, 30, 20)
    truth = np.column_stack([x, 0.002 * x**2])
    sketch = Sketch(
        lines=(
            Line(points=np.array([[-60.0, -4.0], [60.0, -4.0]]), role=Role.BOUNDARY),
            Line(points=truth, role=Role.FUTURE),
        ),
        boxes=(Box(center=np.array([1.5, 0.0]), heading_rad=0.0, length_m=5.0, width_m=2.0, role=Role.EGO),),
    )
    trajectories = np.stack([np.column_stack([x, -0.1 * x, 0 * x]), np.column_stack([x / 2, 0.2 * x, 0 * x])])
    plan = Plan(trajectories=trajectories[None], probabilities=np.array([[0.7, 0.3]]))
    identity = ScenarioId("some-log", f"token{number}", number)
    errors = {"ade_top1_m": ade, "fde_top1_m": fde}
    return types.SimpleNamespace(id=identity, scenario_type="cruise", sketch=sketch, plan=plan, errors=errors)


@attrs.define
class Step:
    """A step of a run, with scenarios to draw or an error in their place."""

    run_dir: object
    found: object = ()
    name: str = "validate"
    notes: list = attrs.field(factory=list)

    def scenarios(self, count):
        """Return what there is to draw."""
        if isinstance(self.found, Exception):
            raise self.found
        return list(self.found)[:count]

    def note(self, text):
        """Keep the line."""
        self.notes.append(text)


def near(picture, color):
    """Return how many pixels have a colour, but for the rounding of eight bits."""
    return int((np.abs(picture[..., :3] - matplotlib.colors.to_rgb(color)).max(axis=-1) < 0.02).sum())


@pytest.mark.parametrize("name", ["validate", "test"])
def test_an_evaluation_leaves_three_pictures(name, tmp_path):
    """Best, middle and worst are PNG files of one size, in which ego, truth and plan can be seen, and the hook names them."""
    step = Step(tmp_path, [drawn(number) for number in range(5)], name)
    pictures = hooks.pluto_after_step(step=step, report=REPORT)
    assert list(pictures) == ["picture (best)", "picture (middle)", "picture (worst)"]
    assert sorted(pictures.values()) == sorted((tmp_path / "pictures").iterdir())
    assert pictures["picture (best)"].name == f"{name}-best-token0.png"
    for path in pictures.values():
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        picture = matplotlib.image.imread(path)
        assert picture.shape[:2] == (936, 792)
        for role in (Role.EGO, Role.FUTURE, Role.PLAN):
            assert near(picture, LIGHT.styles[role].color) > 100, role
    assert not step.notes


@pytest.mark.parametrize("name", ["cache", "train", "validate"])
def test_without_predictions_nothing_happens(name, tmp_path):
    """A step that evaluated nothing leaves no file, no folder and no word."""
    step = Step(tmp_path, (), name)
    assert hooks.pluto_after_step(step=step, report=REPORT) == {}
    assert not list(tmp_path.iterdir())
    assert not step.notes


def test_steps_that_do_not_evaluate_are_not_asked(tmp_path):
    """Training and caching are over before anything is drawn."""
    step = Step(tmp_path, ValueError("must not be asked"), "train")
    assert hooks.pluto_after_step(step=step, report=REPORT) == {}
    assert not step.notes


def test_a_builder_whose_sketch_breaks_is_one_note(tmp_path):
    """The evaluation stays; the user reads in one line what failed and where."""
    step = Step(tmp_path, IndexError("index 7 is\nout of bounds"))
    assert draw_step(step) == {}
    (note,) = step.notes
    assert note.startswith("pictures could not be drawn: IndexError: index 7 is out of bounds (test_runs.py, line ")
    assert "\n" not in note


def test_a_sketch_that_cannot_be_drawn_keeps_the_pictures_before_it(tmp_path):
    """Points of the wrong shape are one note; what was drawn before is there and named."""
    wrong = drawn(1)
    wrong.sketch = Sketch(lines=(Line(points=np.zeros((3, 5)), role=Role.LANE),))
    step = Step(tmp_path, [drawn(0), wrong, drawn(2)])
    pictures = draw_step(step)
    assert [path.name for path in pictures.values()] == ["validate-best-token0.png"]
    assert len(step.notes) == 1


@pytest.mark.parametrize(
    ("fde", "ade", "words"),
    [(3.0, 1.5, "FDE 3.00 m, ADE 1.50 m"), (NAN, 1.5, "ADE 1.50 m"), (NAN, NAN, "no truth")],
)
def test_the_title_says_what_how_good_and_which(fde, ade, words):
    """Rank and errors, then type, log and token; unknown errors are words, not `nan`."""
    headline, *rest = title(drawn(3, fde=fde, ade=ade), "best of validate").splitlines()
    assert headline.startswith("best of validate: ")
    assert words in headline
    assert "nan" not in headline
    assert all(word in " ".join(rest) for word in ("cruise", "some-log", "token3"))
    assert title(drawn(3)).startswith("FDE")
