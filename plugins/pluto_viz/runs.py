"""The pictures of a run."""

import math
import traceback
from collections.abc import Mapping
from pathlib import Path

from pluto_core.moments import DrawnScenario, StepView
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
            path = step.run_dir / "pictures" / f"{step.name}-{rank}-{drawn.id.token}.png"
            picture = figure(drawn.sketch, drawn.plan, title=title(drawn, f"{rank} of {step.name}"))
            pictures[f"picture ({rank})"] = save(picture, path)
    except Exception as error:  # noqa: BLE001 -- a drawing that fails must not cost the evaluation that is done
        step.note(f"pictures could not be drawn: {_account(error)}")
    return pictures


def title(drawn: DrawnScenario, rank: str = "") -> str:
    """Return the title of a picture: what it is and how good the plan was, then type, log and token."""
    ade, fde = drawn.errors["ade_top1_m"], drawn.errors["fde_top1_m"]
    judged = "no truth to compare with" if math.isnan(ade) else f"FDE {fde:.2f} m, ADE {ade:.2f} m (most probable mode)"
    if not math.isnan(ade) and math.isnan(fde):
        judged = f"ADE {ade:.2f} m (most probable mode; the last pose is not known)"
    headline = f"{rank}: {judged}" if rank else judged
    return f"{headline}\n{drawn.scenario_type}   log {drawn.id.log}   token {drawn.id.token}"


def _account(error: Exception) -> str:
    """Return what failed and where, in one line."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {' '.join(str(error).split())} ({Path(last.filename).name}, line {last.lineno})"
