import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pluto_core.errors import PlutoError
from pluto_core.plan import (
    Forecast,
    Plan,
    Truth,
    by_group,
    constant_acceleration,
    constant_velocity,
    displacement_errors,
    forecast_errors,
    mean,
)

STEPS = 4


def straight(speed: float) -> np.ndarray:
    """Return (T, 3) poses one second apart."""
    return np.stack([speed * (np.arange(STEPS) + 1.0), np.zeros(STEPS), np.zeros(STEPS)], axis=-1)


def plan_of(*modes: np.ndarray, probabilities: list[float]) -> Plan:
    return Plan(trajectories=np.stack(modes)[None], probabilities=np.asarray([probabilities]))


def truth_of(trajectory: np.ndarray, valid: list[bool] | None = None) -> Truth:
    return Truth(trajectory=trajectory[None], valid=np.asarray([valid or [True] * STEPS]))


def test_errors_of_a_plan_worked_out_by_hand() -> None:
    """Top-1 judges the most probable mode, top-6 the best one, and a miss is more than two metres at the end."""
    errors = displacement_errors(plan_of(straight(1.0), straight(2.0), probabilities=[0.4, 0.6]), truth_of(straight(1.0)))
    assert errors["ade_top1_m"][0] == pytest.approx((1 + 2 + 3 + 4) / 4)
    assert errors["fde_top1_m"][0] == pytest.approx(4.0)
    assert errors["miss_top1"][0] == 1.0
    assert errors["ade_top6_m"][0] == errors["fde_top6_m"][0] == errors["miss_top6"][0] == 0.0


def test_invalid_steps_do_not_count() -> None:
    """ADE is the mean over valid steps; without a valid last step there is no FDE, without any no ADE."""
    plan = plan_of(straight(2.0), probabilities=[1.0])
    errors = displacement_errors(plan, truth_of(straight(1.0), [True, True, False, False]))
    assert errors["ade_top1_m"][0] == pytest.approx(1.5)
    assert np.isnan(errors["fde_top1_m"][0])
    nothing = displacement_errors(plan, truth_of(straight(1.0), [False] * STEPS))
    assert np.isnan(nothing["ade_top1_m"][0])
    assert mean(nothing)["ade_top1_m"] is None


def test_modes_without_probability_do_not_help() -> None:
    """A padded mode that happens to be right does not lower top-6."""
    plan = plan_of(straight(2.0), straight(1.0), probabilities=[1.0, 0.0])
    assert displacement_errors(plan, truth_of(straight(1.0)))["fde_top6_m"][0] == pytest.approx(4.0)


def forecast_of(speeds: list[float], known: list[list[bool]]) -> Forecast:
    """Return one row of agents that are expected to stand and drive straight on at these speeds."""
    recorded = np.stack([straight(speed) for speed in speeds])[None]
    mask = np.asarray(known, np.bool_)[None]
    return Forecast(trajectories=np.zeros_like(recorded), exists=mask.any(axis=2), recorded=recorded, known=mask)


def test_errors_of_a_forecast_worked_out_by_hand() -> None:
    """An agent counts over its known steps, at the end if its last step is known, and not at all if nothing is."""
    every, half, nothing = [True] * STEPS, [True, True, False, False], [False] * STEPS
    errors = forecast_errors(forecast_of([1.0, 4.0, 9.0], [every, half, nothing]))
    assert errors["prediction_ade_m"][0] == pytest.approx((2.5 + (4 + 8) / 2) / 2)
    assert errors["prediction_fde_m"][0] == pytest.approx(4.0)
    assert (errors["prediction_ade_agents"][0], errors["prediction_fde_agents"][0]) == (2, 1)


def test_forecasts_are_averaged_over_agents_not_over_scenarios() -> None:
    """A crowded scenario weighs as much as it has agents, and one without agents nothing, by type as well."""
    every = [True] * STEPS
    rows = [forecast_of([1.0, 1.0, 1.0], [every] * 3), forecast_of([2.0], [every]), forecast_of([5.0], [[False] * STEPS])]
    parts = [forecast_errors(row) for row in rows]
    errors = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    assert np.isnan(errors["prediction_fde_m"][2])
    total = mean(errors)
    assert total["prediction_fde_m"] == pytest.approx((3 * 4.0 + 8.0) / 4)
    assert total["prediction_ade_m"] == pytest.approx((3 * 2.5 + 5.0) / 4)
    assert total["prediction_fde_agents"] == 4
    table = by_group(errors, ["busy", "busy", "empty"])
    assert table["busy"]["prediction_fde_m"] == pytest.approx(5.0)
    assert (table["empty"]["prediction_fde_m"], table["empty"]["prediction_fde_agents"]) == (None, 0)


def test_a_plan_is_judged_with_its_forecast() -> None:
    """The forecast stays with the most probable modes, and its errors stand beside those of the plan."""
    plan = Plan(
        trajectories=np.stack([straight(1.0), straight(2.0)])[None],
        probabilities=np.asarray([[0.4, 0.6]]),
        forecast=forecast_of([1.0], [[True] * STEPS]),
    )
    errors = displacement_errors(plan.top(1), truth_of(straight(2.0)))
    assert (errors["fde_top1_m"][0], errors["prediction_fde_m"][0]) == (0.0, pytest.approx(4.0))
    assert "prediction_fde_m" not in displacement_errors(plan_of(straight(1.0), probabilities=[1.0]), truth_of(straight(1.0)))


@given(arrays(np.float64, (3, 5), elements=st.floats(0, 1, allow_subnormal=False)))
def test_top_orders_by_probability_and_keeps_pairs_together(probabilities: np.ndarray) -> None:
    """`top` returns the most probable modes, best first, each with its own trajectory."""
    trajectories = np.broadcast_to(probabilities[..., None, None], (3, 5, 2, 3)).copy()
    best = Plan(trajectories=trajectories, probabilities=probabilities).top(3)
    assert (np.diff(best.probabilities, axis=1) <= 0).all()
    np.testing.assert_array_equal(best.trajectories[..., 0, 0], best.probabilities)
    np.testing.assert_array_equal(best.probabilities, -np.sort(-probabilities, axis=1)[:, :3])


def test_plans_with_different_numbers_of_modes_are_joined() -> None:
    """Joining pads with modes of probability 0 and keeps every row's errors."""
    one = plan_of(straight(1.5), probabilities=[1.0])
    two = plan_of(straight(1.5), straight(3.0), probabilities=[0.9, 0.1])
    joined = Plan.concatenated([one, two])
    assert joined.probabilities.tolist() == [[1.0, 0.0], [0.9, 0.1]]
    truth = Truth(trajectory=np.stack([straight(1.0)] * 2), valid=np.ones((2, STEPS), np.bool_))
    errors = displacement_errors(joined, truth)
    assert errors["fde_top6_m"][0] == displacement_errors(one, truth_of(straight(1.0)))["fde_top6_m"][0]


def test_arrays_that_do_not_fit_are_refused() -> None:
    """A plan says which shapes it takes."""
    with pytest.raises(PlutoError, match=r"\(B, K, T, 3\)"):
        Plan(trajectories=np.zeros((1, 2, 4, 2)), probabilities=np.zeros((1, 2)))


def test_forecasts_that_do_not_fit_are_refused() -> None:
    """Masks must be those of the trajectories."""
    ways = np.zeros((1, 2, 4, 3))
    with pytest.raises(PlutoError, match="a forecast holds"):
        Forecast(trajectories=ways, exists=np.ones((1, 3), np.bool_), recorded=ways, known=np.ones((1, 2, 4), np.bool_))


def test_means_by_group_count_rows() -> None:
    """Every group has its own means and its number of rows."""
    table = by_group({"fde_top1_m": np.array([1.0, 3.0, np.nan])}, ["a", "a", "b"])
    assert table == {"a": {"count": 2.0, "fde_top1_m": 2.0}, "b": {"count": 1.0, "fde_top1_m": None}}


@example(speed=30.0, braking=-2.2e-311)
@given(speed=st.floats(0, 30), braking=st.floats(-6, 3))
def test_baselines_never_reverse(speed: float, braking: float) -> None:
    """Constant acceleration covers vt + at^2/2 until the speed reaches zero, and goes nowhere after."""
    plan = constant_acceleration(np.array([speed]), np.array([braking]), 80, 0.1)
    x = plan.trajectories[0, 0, :, 0]
    assert (np.diff(x) >= -1e-9).all()
    times = (np.arange(80) + 1) * 0.1
    driving = speed + braking * times > 0
    np.testing.assert_allclose(x[driving], (speed * times + 0.5 * braking * times**2)[driving], atol=1e-9)
    if braking < 0 < speed:
        assert x[-1] <= speed**2 / (-2 * braking) + 1e-9


def test_constant_velocity_is_the_straight_line() -> None:
    """Without acceleration the distance is speed times time."""
    np.testing.assert_allclose(constant_velocity(np.array([10.0]), 3, 0.5).trajectories[0, 0, :, 0], [5.0, 10.0, 15.0])
