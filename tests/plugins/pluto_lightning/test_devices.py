import pytest
import torch

from pluto_core.errors import PlutoError
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
    """Each takes its share of every epoch, one prints; curves, numbers and the checkpoint come back; a second go continues."""
    result, folder = fit(settings={"devices": 2, "epochs": 2}, make_model=world.model)
    assert result.numbers["epochs"] == 2
    assert capfd.readouterr().out.count("epoch 2 of 2") == 1
    assert result.files["checkpoint (best)"].is_file()
    stored = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert stored["global_step"] == 2 * 16 / 4 / 2
    assert len(stored["callbacks"]["RandomState"]["ranks"]) == 2
    result, _ = fit(settings={"devices": 2, "epochs": 3}, make_model=world.model)
    assert [row["epoch"] for row in result.numbers["curves"]] == [0, 1, 2]


@pytest.mark.usefixtures("_two_processes")
def test_a_mistake_in_a_process_is_one_message(fit, world):
    """What a forked process finds wrong is told like anywhere else, without its traceback."""
    parts = {"train": world.loader("train", 8, spoilt=True)}
    with pytest.raises(PlutoError, match=r"^the loss became NaN.*log-train/0002@2") as caught:
        fit(settings={"devices": 2}, parts=parts)
    assert "\n" not in str(caught.value)
