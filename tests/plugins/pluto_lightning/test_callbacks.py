import types

import pytest
import torch

from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_lightning.callbacks import Curves, EarlyStopping
from pluto_lightning.config import EarlyStoppingConfig


def test_training_stops_when_a_value_no_longer_gets_better(fit):
    """With a value that should grow but falls, training ends after the first validation plus the patience."""
    stopping = EarlyStopping(EarlyStoppingConfig(monitor="val/loss", mode="max", patience=2), Context())
    result, _ = fit(settings={"epochs": 20}, callbacks=[stopping])
    assert result.numbers["epochs"] == 3


def test_training_goes_on_while_the_value_gets_better(fit):
    """A falling loss is no reason to stop."""
    stopping = EarlyStopping(EarlyStoppingConfig(patience=1), Context())
    result, _ = fit(settings={"epochs": 3}, callbacks=[stopping])
    assert result.numbers["epochs"] == 3


def test_a_value_that_does_not_exist_is_one_message(fit):
    """A misspelt value to watch is told with those that there are."""
    stopping = EarlyStopping(EarlyStoppingConfig(monitor="val/lss"), Context())
    with pytest.raises(PlutoError, match=r"early_stopping: there is no value 'val/lss'.*val/loss"):
        fit(callbacks=[stopping])


def trainer(epoch, **values):
    return types.SimpleNamespace(current_epoch=epoch, max_epochs=4, is_global_zero=True, world_size=1, callback_metrics=values)


class Module:
    """Takes what is logged."""

    def __init__(self):
        self.logged = {}

    def log_dict(self, values):
        """Keep it."""
        self.logged |= values


def test_rows_hold_what_is_fresh(capsys):
    """Old values of validation, values that Lightning repeats and those that are no numbers stay out."""
    curves = Curves(lines=True)
    values = {"train/loss": 1.0, "train/loss_step": 1.1, "train/loss_epoch": 1.0, "val/loss": 2.0, "lr": float("nan")}
    module = Module()
    curves.on_train_epoch_start(None, None)
    curves.on_train_epoch_end(trainer(0, **values), module)
    curves.on_train_epoch_start(None, None)
    curves.on_validation_end(None, None)
    curves.on_train_epoch_end(trainer(1, **values), module)
    curves.on_train_epoch_start(None, None)
    curves.on_train_epoch_end(trainer(2, **values), module)
    assert curves.rows == [
        {"epoch": 0.0, "train/loss": 1.0},
        {"epoch": 1.0, "train/loss": 1.0, "val/loss": 2.0},
        {"epoch": 2.0, "train/loss": 1.0},
    ]
    assert capsys.readouterr().out.splitlines()[1] == "epoch 2 of 4: train/loss 1.000, val/loss 2.000"


def test_curves_go_on_after_an_interruption():
    """Rows, samples and times of earlier processes count, as many goes as there were."""
    first = Curves(lines=False)
    first.load_state_dict({"rows": [{"epoch": 0.0}], "samples": 5, "seconds": 2.0, "waited_s": 1.0})
    first.on_train_start(None, None)
    first.on_train_epoch_start(None, None)
    sgd = torch.optim.SGD([torch.zeros(1)], lr=0.25)
    first.on_train_batch_start(types.SimpleNamespace(optimizers=[sgd]), None, None, 0)
    outputs = {"terms": {"loss": torch.tensor(4.0)}, "counted": 3}
    first.on_train_batch_end(types.SimpleNamespace(world_size=2), None, outputs, types.SimpleNamespace(size=3), 0)
    first.on_train_epoch_end(trainer(1), Module())
    first.on_train_end(None, None)
    assert first.seconds == first.state_dict()["seconds"]
    again = Curves(lines=False)
    again.load_state_dict(first.state_dict())
    assert again.rows == [{"epoch": 0.0}, {"epoch": 1.0, "train/loss": 4.0, "lr-SGD": 0.25}]
    assert again.samples == 5 + 2 * 3
    assert again.seconds == first.seconds > 2.0
    assert again.waited_s >= 1.0


def test_means_of_an_epoch_survive_an_interruption_within_it():
    """Losses are weighted by samples, and those of before the interruption count."""

    def step(curves, loss, size):
        batch, outputs = types.SimpleNamespace(size=size), {"terms": {"loss": torch.tensor(loss)}, "counted": size}
        curves.on_train_batch_end(trainer(0), None, outputs, batch, 0)

    first, again, module = Curves(lines=False), Curves(lines=False), Module()
    step(first, 1.0, 4)
    again.load_state_dict(first.state_dict())
    step(again, 4.0, 2)
    again.on_train_epoch_end(trainer(0), module)
    step(again, 7.0, 2)
    again.on_train_epoch_end(trainer(1), module)
    assert [row["train/loss"] for row in again.rows] == [2.0, 7.0]
    assert module.logged == {"train/loss": 7.0}
