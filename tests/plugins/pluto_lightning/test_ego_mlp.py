import math

import numpy as np
import pytest
import torch

from pluto_basics import schema
from pluto_basics.config import EgoHistoryConfig, EgoTrajectoryConfig
from pluto_core.component import Context
from pluto_core.experiment import read
from pluto_core.plan import Plan, Truth, constant_velocity, displacement_errors
from pluto_lightning import needs
from pluto_lightning.config import AdamWConfig, EgoMlpConfig, EgoMlpObjectiveConfig
from pluto_lightning.ego_mlp import make, make_objective
from pluto_lightning.optimizers import make_adamw

CONFIG = EgoMlpConfig(history_s=2.0, horizon_s=4.0, interval_s=0.5, modes=3, width=32)
HISTORY = schema.ego_history(EgoHistoryConfig(history_s=2.0, interval_s=0.5))


@pytest.fixture(autouse=True)
def _same_weights():
    torch.manual_seed(0)


def history(speed, turn, steps=5, interval_s=0.5):
    """Return the past of a car on a circle."""
    time = np.arange(-steps + 1, 1) * interval_s
    angle, way = turn * time, speed * time
    arrays = {
        "position": np.column_stack([way * np.cos(angle / 2), way * np.sin(angle / 2)]),
        "heading": angle,
        "velocity": np.tile([speed, 0.0], (steps, 1)),
        "acceleration": np.zeros((steps, 2)),
    }
    found = {f"ego_history/{name}": array.astype(np.float32) for name, array in arrays.items()}
    return {**found, "ego_history/valid": np.ones(steps, bool)}


def batch(speeds=(1.0, 5.0, 9.0), turns=(0.0, 0.1, -0.2)):
    """Return a batch of such cars that drive on as they did."""
    rows = [history(speed, turn) for speed, turn in zip(speeds, turns, strict=True)]
    time = np.arange(1, 9) * 0.5
    truth = np.stack(
        [
            np.column_stack([v * time * np.cos(w * time / 2), v * time * np.sin(w * time / 2), w * time])
            for v, w in zip(speeds, turns, strict=True)
        ]
    )
    nested = {
        name: torch.from_numpy(np.stack([row[f"ego_history/{name}"] for row in rows]))
        for name in ("position", "heading", "velocity", "acceleration", "valid")
    }
    return {
        "ego_history": nested,
        "truth": {"trajectory": torch.from_numpy(truth).float(), "valid": torch.ones(len(rows), 8, dtype=torch.bool)},
    }


def test_outputs_become_a_plan_of_all_modes():
    """Every mode has T poses, probabilities sum to one, and a single row gives what it gives in a batch."""
    model, whole = make(CONFIG, Context()).eval(), batch()
    outputs = model(whole)
    plan = model.plan(outputs, whole)
    assert plan.trajectories.shape == (3, 3, 8, 3)
    np.testing.assert_allclose(plan.probabilities.sum(axis=1), 1.0, rtol=1e-6)
    alone = batch(speeds=(5.0,), turns=(0.1,))
    np.testing.assert_allclose(model.plan(model(alone), alone).trajectories[0], plan.trajectories[1], atol=1e-5)


def test_without_corrections_it_keeps_its_velocity():
    """The layers only correct: with nothing to add, every mode is constant velocity."""
    model, whole = make(CONFIG, Context()), batch()
    torch.nn.init.zeros_(model.corrections.weight)
    torch.nn.init.zeros_(model.corrections.bias)
    plan = model.plan(model(whole), whole)
    expected = constant_velocity(np.array([1.0, 5.0, 9.0]), 8, 0.5).trajectories
    np.testing.assert_allclose(plan.trajectories, np.repeat(expected, 3, axis=1), rtol=1e-6)


def test_ways_are_smooth_and_begin_at_the_ego():
    """Whatever the layers say, a way is a polynomial in time through the origin: its fourth differences vanish."""
    model, whole = make(CONFIG, Context()).double().eval(), batch()
    inputs = {name: value.double() if value.is_floating_point() else value for name, value in whole["ego_history"].items()}
    ways = model({"ego_history": inputs})["trajectory"].detach().numpy()
    from_origin = np.concatenate([np.zeros_like(ways[:, :, :1]), ways], axis=2)
    assert np.abs(np.diff(from_origin, axis=2)).max() > 0.1
    np.testing.assert_allclose(np.diff(from_origin, n=4, axis=2), 0.0, atol=1e-6)


def test_rows_that_were_not_recorded_do_not_count():
    """Whatever stands where the history is not valid changes nothing."""
    model, whole = make(CONFIG, Context()).eval(), batch()
    whole["ego_history"]["valid"][:, :2] = False
    before = model(whole)["trajectory"]
    for name in ("position", "heading", "velocity", "acceleration"):
        whole["ego_history"][name][:, :2] = 99.0
    assert torch.equal(model(whole)["trajectory"], before)


def objective_of(ways, truth, valid, logits, **weights):
    outputs = {"trajectory": torch.tensor(ways, dtype=torch.float32), "logits": torch.tensor(logits, dtype=torch.float32)}
    outputs["trajectory"].requires_grad_()
    outputs["logits"].requires_grad_()
    told = {"truth": {"trajectory": torch.tensor(truth, dtype=torch.float32), "valid": torch.tensor(valid)}}
    terms = make_objective(EgoMlpObjectiveConfig(**weights), Context())(outputs, told, training=True)
    terms["loss"].backward()
    return {name: term.item() for name, term in terms.items()}, outputs


def test_the_nearest_mode_learns_and_is_the_class():
    """By hand: mode 1 is 0.5 m off in x, so smooth L1 gives 0.125; equal logits give log 2; only mode 1 gets a gradient."""
    truth = np.zeros((1, 2, 3))
    ways = np.zeros((1, 2, 2, 3))
    ways[0, 0, :, 1] = 4.0
    ways[0, 1, :, 0] = 0.5
    terms, outputs = objective_of(ways, truth, [[True, True]], [[0.0, 0.0]], classification=3.0)
    assert terms["regression"] == pytest.approx(0.125)
    assert terms["classification"] == pytest.approx(math.log(2))
    assert terms["loss"] == pytest.approx(0.125 + 3 * math.log(2))
    gradient = outputs["trajectory"].grad[0]
    assert not gradient[0].any()
    assert (gradient[1, :, 0] > 0).all()
    assert outputs["logits"].grad[0, 1] < 0 < outputs["logits"].grad[0, 0]


def test_unknown_steps_and_rows_teach_nothing():
    """Steps that are not valid have no part in any term; a batch without a known step gives 0 and gradients of 0."""
    truth, ways = np.full((2, 2, 3), 50.0), np.zeros((2, 1, 2, 3))
    truth[0, 0] = 0.0
    terms, _ = objective_of(ways, truth, [[True, False], [False, False]], [[0.0], [0.0]])
    assert terms["regression"] == 0
    terms, outputs = objective_of(ways, truth, [[False, False]] * 2, [[0.0], [0.0]])
    assert terms["loss"] == 0
    assert not outputs["trajectory"].grad.any()


def test_it_learns_what_constant_velocity_cannot(fit, world, tmp_path):
    """Through the trainer: on cars that turn, its most probable mode is nearer to the truth than constant velocity."""

    def sample(number):
        known = world.sample(number)
        state = known.pop("state")
        return {**history(float(state[0]), float(state[2])), **known}

    spec = {**HISTORY, **{key: one for key, one in world.spec.items() if key != "state"}}
    parts = {name: world.loader(name, size, sample=sample, spec=spec) for name, size in (("train", 40), ("val", 35))}
    changes = {
        "make_model": lambda: make(CONFIG, Context()),
        "make_objective": lambda _model: make_objective(EgoMlpObjectiveConfig(), Context()),
        "make_optimizer": lambda: make_adamw(AdamWConfig(lr=0.005), Context()),
        "parts": parts,
    }
    result, folder = fit(settings={"epochs": 20}, **changes)
    assert {"train/regression", "train/classification", "val/loss"} <= result.numbers["curves"][-1].keys()
    job = world.job(tmp_path / "evaluation", **changes)
    found = list(world.trainer().evaluate(job, "val", folder / "checkpoints" / "last.ckpt"))
    truth = Truth(
        trajectory=np.concatenate([one.truth.trajectory for one in found]),
        valid=np.concatenate([one.truth.valid for one in found]),
    )
    speeds = np.concatenate([one.speed_mps for one in found])
    learnt = displacement_errors(Plan.concatenated([one.plan for one in found]), truth)["ade_top1_m"].mean()
    kept = displacement_errors(constant_velocity(speeds, 8, 0.5), truth)["ade_top1_m"].mean()
    assert learnt < 0.8 * kept


def test_what_it_asks_for_is_what_the_builders_give():
    """Keys and sizes of the requirement are those of the named builders with the named settings."""
    wanted = needs.ego_mlp(CONFIG)
    (features,), (targets,) = wanted.features, wanted.targets
    given = schema.ego_history(EgoHistoryConfig(**{key: one for key, one in features.items() if key != "use"}))
    given |= schema.ego_trajectory(EgoTrajectoryConfig(**{key: one for key, one in targets.items() if key != "use"}))
    assert (features["use"], targets["use"]) == ("ego_history", "ego_trajectory")
    assert set(wanted.keys) <= given.keys()
    for dim, size in wanted.dims.items():
        key, axis = dim.split(":")
        assert given[key].dims[int(axis)] == size


def test_its_experiment_is_judged_on_the_scenarios_of_sanity(repository):
    """Source, filter, splitter and seed of both experiments are the same, so that their tables can be compared."""
    both = [read(repository / "experiments" / name).settings for name in ("ego_mlp.toml", "sanity.toml")]
    for section in ("seed", "source", "filter", "splitter"):
        assert both[0][section] == both[1][section], section
