"""When the pictures of a run are drawn. Drawing itself is imported when there is something to draw."""

from collections.abc import Mapping
from pathlib import Path

from pluto_core import hookimpl
from pluto_core.component import load
from pluto_core.moments import StepReport, StepView

_DRAWN_STEPS = ("validate", "test")


@hookimpl
def pluto_after_step(step: StepView, report: StepReport) -> Mapping[str, Path]:
    """Draw three scenarios, from the best to the worst, after an evaluation."""
    del report
    if step.name not in _DRAWN_STEPS:
        return {}
    pictures: Mapping[str, Path] = load("pluto_viz.runs:draw_step")(step)
    return pictures
