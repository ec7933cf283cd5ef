"""The pictures of a run."""

import math
from collections.abc import Mapping
from pathlib import Path

from pluto_core.moments import DrawnScenario, StepView
from pluto_viz.scenario import figure, save

COUNT = 3
_RANKS = ("best", "middle", "worst")


def draw_step(step: StepView) -> Mapping[str, Path]:
    """Draw the best, a middling and the worst scenario of an evaluation, by final displacement error.

    Returns:
        Paths of the pictures, by what they show.
    """
    pictures: dict[str, Path] = {}
    for rank, drawn in zip(_RANKS, step.scenarios(COUNT), strict=False):
        path = step.run_dir / "pictures" / f"{step.name}-{rank}-{drawn.id.token}.png"
        pictures[f"picture ({rank})"] = save(figure(drawn.sketch, drawn.plan, title=title(drawn)), path)
    return pictures


def title(drawn: DrawnScenario) -> str:
    """Return the title of a picture: token, type, log, errors."""
    ade, fde = drawn.errors["ade_top1_m"], drawn.errors["fde_top1_m"]
    judged = "no truth to compare with" if math.isnan(ade) else f"ADE {ade:.2f} m, FDE {fde:.2f} m (most probable mode)"
    return f"{drawn.id.token}  {drawn.scenario_type}\n{drawn.id.log}  {judged}"
