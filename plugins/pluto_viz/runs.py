"""The pictures of a run."""

import traceback
from collections.abc import Mapping
from pathlib import Path

from pluto_core.moments import StepView
from pluto_core.places.names import file_name
from pluto_viz.captions import title
from pluto_viz.scenario import figure, save

COUNT = 3
_RANKS = ("best", "middle", "worst")


def draw_step(step: StepView) -> Mapping[str, Path]:
    """Draw the best, a middling and the worst scenario of an evaluation, by final displacement error.

    A drawing that fails is one note to the user: what was evaluated stays.

    Returns:
        Paths of the pictures, by what they show; none where nothing was evaluated.
    """
    pictures: dict[str, Path] = {}
    try:
        for rank, drawn in zip(_RANKS, step.scenarios(COUNT), strict=False):
            path = step.run_dir / "pictures" / f"{step.name}-{rank}-{file_name(drawn.id.token)}.png"
            picture = figure(drawn.sketch, drawn.plan, title=title(drawn, f"{rank} of {step.name}"))
            pictures[f"picture ({rank})"] = save(picture, path)
    except Exception as error:  # noqa: BLE001 -- a drawing that fails must not cost the evaluation that is done
        step.note(f"pictures could not be drawn: {_account(error)}")
    return pictures


def _account(error: Exception) -> str:
    """Return what failed and where, in one line."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {' '.join(str(error).split())} ({Path(last.filename).name}, line {last.lineno})"
