import csv

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_lightning.config import CsvConfig, TensorBoardConfig, WandbConfig
from pluto_lightning.loggers import Csv, CsvFile, TensorBoard
from pluto_lightning.wandb_runs import Wandb


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_tensorboard_holds_the_curves_of_a_training(fit):
    """The event file has losses by step and epoch, errors of validation and the learning rate; the result names its folder."""
    result, folder = fit(loggers=[TensorBoard(TensorBoardConfig(), Context())])
    assert result.files["TensorBoard log"] == folder / "tensorboard"
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert {"train/loss_step", "train/loss", "val/loss", "val/fde_top1_m", "epoch"} <= tags
    assert any(tag.startswith("lr-") for tag in tags)
    assert len(events.Scalars("train/loss_step")) == 8
    last = events.Scalars("train/loss")[-1].value
    assert last == pytest.approx(result.numbers["curves"][-1]["train/loss"], rel=1e-5)


def test_csv_holds_the_curves_of_a_training(fit):
    """`metrics.csv` has a row a step and a column a value."""
    result, folder = fit(loggers=[Csv(CsvConfig(folder="table"), Context())])
    assert result.files["Csv log"] == folder / "table"
    rows = read(folder / "table" / "metrics.csv")
    assert [int(row["step"]) for row in rows] == sorted({int(row["step"]) for row in rows})
    assert sum(bool(row["train/loss_step"]) for row in rows) == 8
    epochs = [float(row["val/loss"]) for row in rows if row["val/loss"]]
    assert epochs == pytest.approx([row["val/loss"] for row in result.numbers["curves"]], rel=1e-5)


def test_a_continued_csv_keeps_what_was_and_repeats_nothing(tmp_path):
    """A second logger in the same folder goes on: later rows of before give way to those that come again."""
    first = CsvFile(tmp_path)
    for step in range(5):
        first.log_metrics({"loss": 10.0 - step}, step)
    first.save()
    again = CsvFile(tmp_path)
    again.log_metrics({"loss": 1.0}, 3)
    again.log_metrics({"extra": 2.5}, 3)
    again.finalize("success")
    rows = read(tmp_path / "metrics.csv")
    assert [row["step"] for row in rows] == ["0", "1", "2", "3"]
    assert [row["loss"] for row in rows] == ["10.0", "9.0", "8.0", "1.0"]
    assert [row["extra"] for row in rows] == ["", "", "", "2.5"]


def test_a_csv_without_values_is_no_file(tmp_path):
    """Nothing logged, nothing written."""
    logger = CsvFile(tmp_path / "curves")
    logger.finalize("failed")
    assert not (tmp_path / "curves").exists()
    assert (logger.name, logger.version) == ("curves", "")
    logger.log_hyperparams({"lr": 1.0})


def test_loggers_go_on_where_a_run_was_interrupted(fit):
    """Curves of two goes stand in one table, each step once."""
    maker = Csv(CsvConfig(), Context())
    fit(settings={"epochs": 3, "max_steps": 8}, loggers=[maker])
    _, folder = fit(settings={"epochs": 3}, loggers=[maker])
    steps = [int(row["step"]) for row in read(folder / "curves" / "metrics.csv") if row["train/loss_step"]]
    assert steps == sorted(set(steps))
    assert len(steps) == 12


@pytest.mark.usefixtures("wandb_alone")
def test_wandb_goes_on_with_the_run_of_its_folder(fit):
    """Offline, a training leaves what can be sent; a second go in the folder has the same id, another folder another one."""
    maker = Wandb(WandbConfig(mode="offline", project="roads", name="first", tags=("night",)), Context())
    result, folder = fit(settings={"epochs": 1}, loggers=[maker])
    assert result.files["Wandb log"] == folder / "wandb"
    fit(settings={"epochs": 2}, loggers=[maker])
    sent = sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))
    own = maker.make(folder, "train").version
    assert len(sent) == 2
    assert {path.name for path in sent} == {f"run-{own}.wandb"}
    assert all(path.stat().st_size for path in sent)
    assert maker.make(folder.parent / "other", "train").version != own
    text = b"".join(path.read_bytes() for path in sent)
    assert all(word in text for word in (b"roads", b"first", b"night", b"train/loss", b"val/fde_top1_m"))


@pytest.mark.usefixtures("wandb_alone")
def test_wandb_disabled_writes_nothing(fit):
    """`disabled` neither sends nor writes."""
    _, folder = fit(settings={"epochs": 1}, loggers=[Wandb(WandbConfig(mode="disabled"), Context())])
    assert not list(folder.glob("wandb/*run-*"))


@pytest.mark.usefixtures("wandb_alone")
def test_what_wandb_refuses_is_one_message(fit, monkeypatch, tmp_path):
    """Where nobody is logged in, the way out is named."""
    for name, value in {"WANDB_API_KEY": "", "HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc")}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(PlutoError, match=r'^logger wandb: .*log in.*mode = "offline"') as caught:
        fit(loggers=[Wandb(WandbConfig(mode="online"), Context())])
    assert "\n" not in str(caught.value)
