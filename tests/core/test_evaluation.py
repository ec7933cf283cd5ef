import numpy as np
import pytest

from pluto_core.jobs import Evaluated
from pluto_core.plan import Forecast, Plan, Truth
from pluto_core.run import evaluation
from pluto_core.run.display import Display
from pluto_core.scene import ScenarioId

STEPS = 2


def evaluated(number: int, distances: list[float], known: list[bool]) -> Evaluated:
    """Return one scenario whose agents are so far from what was expected at every step, where that is known at all."""
    agents = len(distances)
    recorded = np.zeros((1, agents, STEPS, 3))
    recorded[0, :, :, 1] = np.asarray(distances)[:, None]
    mask = np.repeat(np.asarray([known])[..., None], STEPS, axis=2)
    forecast = Forecast(
        trajectories=np.zeros_like(recorded), exists=np.ones((1, agents), np.bool_), recorded=recorded, known=mask
    )
    return Evaluated(
        ids=(ScenarioId("log", f"{number:016x}", 0),),
        plan=Plan(trajectories=np.zeros((1, 1, STEPS, 3)), probabilities=np.ones((1, 1)), forecast=forecast),
        truth=Truth(trajectory=np.zeros((1, STEPS, 3)), valid=np.ones((1, STEPS), np.bool_)),
        speed_mps=np.zeros(1),
        acceleration_mps2=np.zeros(1),
        losses={"loss": 1.0},
    )


BATCHES = (
    evaluated(1, [1.0, 2.0, 3.0], [True, True, True]),
    evaluated(2, [6.0], [True]),
    evaluated(3, [9.0], [False]),
)


def test_predictions_of_agents_are_judged_over_all_and_by_type() -> None:
    """Means are over agents, by type as well; baselines expect nothing of others; plans are kept without what was expected."""
    judged = evaluation.judge(BATCHES, 0.1)
    numbers = evaluation.summary(judged, None, ["busy", "busy", "empty"])
    assert numbers["metrics"]["planner"]["prediction_ade_m"] == pytest.approx((1 + 2 + 3 + 6) / 4)
    assert numbers["metrics"]["planner"]["prediction_ade_agents"] == 4
    assert "prediction_ade_m" not in numbers["metrics"]["constant_velocity"]
    assert numbers["by_type"]["busy"]["prediction_fde_m"] == pytest.approx(3.0)
    assert numbers["by_type"]["empty"]["prediction_fde_m"] is None
    assert all(plan.forecast is None for plan in judged.plans)


def test_predictions_of_agents_stand_below_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    """One line each for what was trained and what was not, and none where nothing is expected of others."""
    untrained = evaluation.judge((*BATCHES[1:], BATCHES[1]), 0.1, baselines=False)
    numbers = evaluation.summary(evaluation.judge(BATCHES, 0.1), untrained, ["a"] * 3)
    Display(progress=False).table("validate", numbers)
    said = capsys.readouterr().out
    assert "predictions, trained: ADE 3.00 m, FDE 3.00 m (4 agents)" in said
    assert "predictions, untrained: ADE 6.00 m, FDE 6.00 m (2 agents)" in said
    del numbers["metrics"]["planner"], numbers["metrics"]["untrained"]
    Display(progress=False).table("validate", numbers)
    assert "predictions" not in capsys.readouterr().out
