import pytest
import torch

from pluto_core.component import Context
from pluto_lightning.config import AdamWConfig, LightningConfig
from pluto_lightning.lr_scaling import Scaling
from pluto_lightning.optimizers import make_adamw
from pluto_lightning.trainer import LightningTrainer


def adamw(lr=0.1):
    return torch.optim.AdamW([torch.nn.Parameter(torch.zeros(2))], lr=lr, betas=(0.9, 0.99))


@pytest.mark.parametrize(("rule", "factor"), [("none", 1.0), ("equal_variance", 4.0), ("linear", 16.0)])
def test_rules(rule, factor):
    """With sixteen times the samples, rates grow by the rule and betas are raised to the same power."""
    scaling, optimizer = Scaling(rule=rule, samples=128, meant_for=8), adamw()
    scaling.apply(optimizer)
    assert scaling.factor == pytest.approx(factor)
    (group,) = optimizer.param_groups
    assert group["lr"] == pytest.approx(0.1 * factor)
    assert group["betas"] == pytest.approx((0.9**factor, 0.99**factor))
    told = scaling.numbers(optimizer)
    assert (told["rule"], told["samples_per_step"], told["meant_for"]) == (rule, 128, 8)
    assert told["lr"] == group["lr"]


def test_an_optimizer_without_betas():
    """Other optimizers keep what they have besides the rate."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=0.5, momentum=0.9)
    scaling = Scaling(rule="linear", samples=4, meant_for=8)
    scaling.apply(optimizer)
    assert optimizer.param_groups[0]["lr"] == 0.25
    assert optimizer.param_groups[0]["momentum"] == 0.9
    assert "betas" not in scaling.numbers(optimizer)


def test_a_training_prints_and_stores_it(world, tmp_path):
    """Accumulated batches count as samples of a step; rule and rate are told, stood in the results and in the checkpoint."""
    notes = []
    config = LightningConfig(accelerator="cpu", epochs=1, accumulate=4, lr_scaling="equal_variance")
    trainer = LightningTrainer(config, Context(note=notes.append))
    made = make_adamw(AdamWConfig(lr=0.01), Context())
    result = trainer.fit(world.job(tmp_path, make_optimizer=lambda: made))
    assert any("learning rate times 2 (equal_variance): 16 samples a step, settings are for 4" in note for note in notes)
    assert "batches of 4 samples, 4 batches to a step: 16 samples a step" in notes
    assert result.numbers["batch_size"] == {"of_device": 4, "devices": 1, "accumulated": 4, "samples": 16}
    told = result.numbers["learning_rate"]
    assert (told["factor"], told["lr"]) == (2.0, pytest.approx(0.02))
    stored = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert stored["learning_rate"] == told
    assert stored["optimizer_states"][0]["param_groups"][0]["lr"] == pytest.approx(0.02)


def test_as_it_is_by_default(fit):
    """Without a rule nothing is scaled, whatever the batch."""
    result, _ = fit(settings={"accumulate": 2, "lr_batch_size": 1})
    assert result.numbers["learning_rate"]["factor"] == 1.0
    assert result.numbers["learning_rate"]["lr"] == pytest.approx(0.02)
