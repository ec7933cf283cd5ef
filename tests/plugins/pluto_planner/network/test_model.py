import numpy as np
import pytest
import torch

from pluto_core.component import Context
from pluto_core.plan import forecast_errors, mean
from pluto_lightning.testing.collation import mapped
from pluto_planner.config import PlutoModelConfig
from pluto_planner.model import make
from pluto_planner.objective.targets import future_states, future_valid


@pytest.fixture
def model():
    """Return a small planner in evaluation mode."""
    config = PlutoModelConfig(dim=32, num_heads=2, encoder_depth=1, decoder_depth=1, num_modes=3)
    return make(config, Context()).double().eval()


def plan_of(model, batch):
    """Return outputs and plan."""
    with torch.no_grad():
        outputs = model(batch)
    return outputs, model.plan(outputs, batch)


def test_the_forecast_is_compared_with_what_the_agents_did(model, make_batch):
    """Its errors are those of the displacements that the prediction loss compares, over known steps of existing agents."""
    batch = make_batch(double=True)
    outputs, plan = plan_of(model, batch)
    gap = outputs["prediction"][..., :2] - future_states(batch)[:, 1:, :, :2]
    known = future_valid(batch)[:, 1:]
    distance = torch.linalg.vector_norm(gap, dim=-1) * known
    counted = known.any(dim=-1)
    ade = (distance.sum(-1) / known.sum(-1).clamp(min=1))[counted].mean().item()
    fde = distance[..., -1][known[..., -1]].mean().item()
    errors = mean(forecast_errors(plan.top(1).forecast))
    assert errors["prediction_ade_m"] == pytest.approx(ade, rel=1e-4)
    assert errors["prediction_fde_m"] == pytest.approx(fde, rel=1e-4)
    assert errors["prediction_ade_agents"] == counted.sum()


def test_without_a_recorded_future_nothing_is_known(model, make_batch):
    """Live input has forecasts that cannot be judged, of the agents that are there now."""
    batch = make_batch(double=True)
    del batch["agent"]["target"]
    outputs, plan = plan_of(model, batch)
    assert not plan.forecast.known.any()
    np.testing.assert_allclose(plan.forecast.trajectories, outputs["output_prediction"][..., :3].numpy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(plan.forecast.exists, batch["agent"]["valid_mask"][:, 1:, 20].numpy())


def test_the_forecast_outlives_its_batch(model, make_batch):
    """It shares no memory with the batch, whose buffer is used again for the next one."""
    batch = make_batch(double=True)
    forecast = plan_of(model, batch)[1].forecast
    names = ("trajectories", "exists", "recorded", "known")
    before = [getattr(forecast, name).copy() for name in names]
    mapped(batch, lambda x: x.zero_())
    for name, expected in zip(names, before, strict=True):
        np.testing.assert_array_equal(getattr(forecast, name), expected)
