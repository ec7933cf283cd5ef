import numpy as np
import pytest
import torch

from pluto_core.component import Context
from pluto_core.plan import Truth, constant_velocity, displacement_errors
from pluto_lightning import needs
from pluto_lightning.config import ConstantConfig, ConstantVelocityConfig
from pluto_lightning.constant_velocity import make, make_objective

CONFIG = ConstantVelocityConfig(horizon_s=4.0, interval_s=0.5)


def test_it_trains_and_evaluates_like_any_other_model(fit, world, tmp_path):
    """Through the trainer, end to end: training leaves it as it is, evaluation gives the core's baseline."""
    parts = {
        "make_model": lambda: make(CONFIG, Context()),
        "make_objective": lambda _model: make_objective(ConstantConfig(), Context()),
    }
    _, folder = fit(**parts)
    assert world.weights(folder)["model.scale"] == 1.0
    job = world.job(tmp_path / "evaluation", **parts)
    (first, *_) = world.trainer().evaluate(job, "val", folder / "checkpoints" / "last.ckpt")
    expected = constant_velocity(first.speed_mps, 8, 0.5)
    np.testing.assert_allclose(first.plan.trajectories, expected.trajectories, rtol=1e-6)
    assert first.losses["loss"] > 0


def test_the_objective_is_the_mean_distance_over_valid_steps():
    """What the log calls loss is the mean over every known step of the batch."""
    truth = np.zeros((2, 8, 3))
    truth[0, :, 1] = 3.0
    truth[1, :, 0] = 99.0
    valid = np.array([[True] * 8, [False] * 8])
    batch = {
        "truth": {
            "speed": torch.zeros(2),
            "trajectory": torch.from_numpy(truth).float(),
            "valid": torch.from_numpy(valid),
        }
    }
    model = make(CONFIG, Context())
    outputs = model(batch)
    loss = make_objective(ConstantConfig(), Context())(outputs, batch, training=False)["loss"]
    assert loss.item() == pytest.approx(3.0)
    loss.backward()
    assert model.scale.grad == 0
    errors = displacement_errors(model.plan(outputs, batch), Truth(trajectory=truth, valid=valid))
    assert errors["ade_top1_m"][0] == pytest.approx(3.0)


def test_it_asks_for_the_truth_at_its_own_horizon():
    """The requirement names the target with the model's horizon and interval, and no features."""
    wanted = needs.constant_velocity(CONFIG)
    assert wanted.targets == ({"use": "ego_trajectory", "horizon_s": 4.0, "interval_s": 0.5},)
    assert wanted.features == ()
    assert "truth/speed" in wanted.keys
