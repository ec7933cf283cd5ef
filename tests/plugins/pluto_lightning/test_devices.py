import itertools

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from pluto_core.errors import PlutoError
from pluto_core.plan import Plan
from pluto_lightning.devices import spread_over, world_of


@pytest.fixture
def _two_processes(monkeypatch):
    """Keep the address under which Lightning's processes find each other from outliving the test."""
    for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_how_many_devices():
    """A number is itself, `auto` is what there is, at least one; nothing and less are refused."""
    assert world_of(3) == 3
    assert world_of("auto") == max(torch.cuda.device_count(), 1)
    for devices in (0, -1):
        with pytest.raises(PlutoError, match=r"trainer\.devices is"):
            world_of(devices)


def test_one_device_needs_no_processes():
    """Only several devices are spread over processes, which are forked: nothing but the training is done twice."""
    assert spread_over(1, "cpu") == {}
    assert spread_over(2, "cpu") == {"strategy": "ddp_fork", "sync_batchnorm": False}


@pytest.mark.usefixtures("_two_processes")
def test_two_processes_train_one_model(fit, world, capfd):
    """Each takes its share of every epoch, one prints; curves, numbers and the checkpoint come back.

    A second go continues, also where the size of a batch is told for all devices together.
    """
    result, folder = fit(settings={"devices": 2, "epochs": 2}, make_model=world.model)
    assert result.numbers["epochs"] == 2
    assert capfd.readouterr().out.count("epoch 2 of 2") == 1
    assert result.files["checkpoint (best)"].is_file()
    stored = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert stored["global_step"] == 2 * 16 / 4 / 2
    assert len(stored["callbacks"]["RandomState"]["ranks"]) == 2
    assert result.numbers["batch_size"] == {"of_device": 4, "devices": 2, "accumulated": 1, "samples": 8}
    parts = {part: world.loader(part, count, batch_size=8, batch_size_of="all") for part, count in (("train", 16), ("val", 6))}
    result, _ = fit(settings={"devices": 2, "epochs": 3}, make_model=world.model, parts=parts)
    assert result.numbers["batch_size"]["of_device"] == 4
    assert torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 3 * 16 / 8
    assert [row["epoch"] for row in result.numbers["curves"]] == [0, 1, 2]


@pytest.mark.usefixtures("_two_processes")
def test_a_mistake_in_a_process_is_one_message(fit, world):
    """What a forked process finds wrong is told like anywhere else, without its traceback."""
    parts = {"train": world.loader("train", 8, spoilt=True)}
    with pytest.raises(PlutoError, match=r"^the loss became NaN.*log-train/0002@2") as caught:
        fit(settings={"devices": 2}, parts=parts)
    assert "\n" not in str(caught.value)


class Steady(torch.nn.Module):
    """A linear model that draws nothing at random."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 24)

    def forward(self, batch):
        """Return trajectories (B, 8, 3)."""
        return {"trajectory": self.linear(batch["state"]).unflatten(1, (8, 3))}

    def plan(self, outputs, batch):
        """Return one mode."""
        trajectory = outputs["trajectory"].detach().numpy()[:, None]
        return Plan(trajectories=trajectory, probabilities=np.ones(trajectory.shape[:2], np.float32))


class Witness(pl.Callback):
    """Writes down which samples each process sees."""

    def make(self, run_dir):
        """Remember the folder."""
        self.run_dir = run_dir
        run_dir.mkdir(exist_ok=True)
        return self

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        """Add a line a sample."""
        with (self.run_dir / f"seen-{trainer.current_epoch}-{trainer.global_rank}.txt").open("a") as file:
            file.writelines(f"{one.token}\n" for one in batch.ids)


def mean_distance(outputs, batch, *, training):
    """Return the mean over rows, so that the mean over equal shares is the mean over all."""
    gap = outputs["trajectory"] - batch["truth"]["trajectory"]
    return {"loss": (gap**2).sum(dim=-1).mean(dim=1).mean()}


@pytest.mark.slow
@pytest.mark.usefixtures("_two_processes")
@pytest.mark.parametrize("samples", [16, 20])
def test_two_processes_are_one_with_the_global_batch(samples, fit, world):
    """Two processes end with the weights of one, by settings that say the same of both; each sample is seen once an epoch."""
    changes = {"make_model": Steady, "make_objective": lambda _model: mean_distance}
    ends = {}
    for devices in (1, 2):
        sizes = {"batch_size": 4, "batch_size_of": "all"}
        parts = {part: world.loader(part, count, **sizes) for part, count in (("train", samples), ("val", 6))}
        settings = {"epochs": 3, "devices": devices, "lr_scaling": "linear"}
        result, folder = fit(f"on-{devices}", settings=settings, parts=parts, callbacks=[Witness()], **changes)
        ends[devices] = result.numbers["curves"], world.weights(folder)
        for epoch in range(3):
            seen = [(folder / f"seen-{epoch}-{rank}.txt").read_text().split() for rank in range(devices)]
            assert len({len(each) for each in seen}) == 1
            assert sorted(itertools.chain.from_iterable(seen)) == [f"{number:04x}" for number in range(samples)]
        assert result.numbers["batch_size"]["samples"] == 4
        assert result.numbers["learning_rate"]["factor"] == 1.0
    (alone_rows, alone), (shared_rows, shared) = ends[1], ends[2]
    assert all(torch.allclose(alone[name], shared[name], rtol=1e-5, atol=1e-6) for name in alone)
    for one, other in zip(alone_rows, shared_rows, strict=True):
        assert one["train/loss"] == pytest.approx(other["train/loss"], rel=1e-5)
        assert one["val/loss"] == pytest.approx(other["val/loss"], rel=1e-5)
