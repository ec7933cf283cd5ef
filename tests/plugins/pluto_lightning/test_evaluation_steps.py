"""What validate and test judge and write, on small whole runs; the trained one is shared."""

import csv
import json

import pytest
import torch

from pluto_core.errors import PlutoError
from pluto_core.experiment import read
from pluto_core.run import execute
from pluto_core.run.workspace import Workspace

EXPERIMENT = """
name = "judged"
steps = ["cache", "train", "validate", "test"]
plugins = ["pluto_core.testing.plugin", "pluto_lightning_test_parts"]
output_dir = "{folder}/runs"

[source]
use = "fake"
logs = 8
scenarios = 4

[splitter]
use = "by_log"
train = 0.5
val = 0.25
test = 0.25
salt = "2"

[model]
use = "ego_mlp"
width = 16

[optimizer]
use = "momentum"
rate = 0.001

[schedule]
use = "halving"

[trainer]
use = "lightning"
epochs = 2
accelerator = "cpu"
save_top_k = 1
monitor = "val/fde_top1_m"

[loader]
batch_size = 4

[cache]
path = "{folder}/cache"

[[loggers]]
use = "lines"

[[callbacks]]
use = "count"
"""
PARTS = '''
"""An optimizer, a schedule, a logger and a callback as somebody else would write them."""

import attrs
import torch
from pytorch_lightning import Callback
from pytorch_lightning.loggers.logger import DummyLogger

from pluto_core import Component, hookimpl


@attrs.frozen(kw_only=True)
class Momentum:
    rate: float = 0.1


@attrs.frozen(kw_only=True)
class Nothing:
    pass


def made(kind, name, config="Nothing"):
    return [Component(name, factory=f"{__name__}:{kind}", config=f"{__name__}:{config}", summary="A part.")]


@hookimpl
def pluto_register_optimizers():
    return made("optimizer", "momentum", "Momentum")


@hookimpl
def pluto_register_schedules():
    return made("schedule", "halving")


@hookimpl
def pluto_register_loggers():
    return made("Lines", "lines")


@hookimpl
def pluto_register_callbacks():
    return made("Count", "count")


def optimizer(config, context):
    return lambda module, batch_size: torch.optim.SGD(module.parameters(), lr=config.rate, momentum=0.5)


def schedule(config, context):
    return lambda optimizer, epochs, steps_per_epoch: (torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5), "epoch")


class Part:
    def __init__(self, config, context):
        pass


class Lines(Part):
    def make(self, run_dir, name):
        class Logger(DummyLogger):
            def log_metrics(self, metrics, step=None):
                with (run_dir / "lines.txt").open("a") as file:
                    file.write(" ".join(metrics) + chr(10))
        return Logger()


class Count(Part):
    def make(self, run_dir):
        class Counter(Callback):
            def on_train_epoch_end(self, trainer, pl_module):
                rate = trainer.optimizers[0].param_groups[0]["lr"]
                with (run_dir / "epochs.txt").open("a") as file:
                    file.write(f"{rate:g}" + chr(10))
        return Counter()
'''


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return the folder of a finished run."""
    folder = tmp_path_factory.mktemp("judged")
    (folder / "pluto_lightning_test_parts.py").write_text(PARTS)
    (folder / "judged.toml").write_text(EXPERIMENT.format(folder=folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLUTO_CACHE_HOME", str(folder / "home"))
        patch.syspath_prepend(folder)
        assert execute(read(folder / "judged.toml"), progress=False) == 0
    return folder


@pytest.fixture(autouse=True)
def _found(monkeypatch, place):
    """Let this process find the parts, and keep what is computed out of the user's folders."""
    monkeypatch.setenv("PLUTO_CACHE_HOME", str(place / "home"))
    monkeypatch.syspath_prepend(place)


def results(folder, run="001"):
    return json.loads((folder / "runs" / run / "results.json").read_text())["steps"]


def again(place, *settings, **options):
    return execute(read(place / "judged.toml", settings=list(settings)), progress=False, **options)


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_parts_of_others_train(place):
    """An optimizer, a schedule, a logger and a callback of a module that the experiment names do their part."""
    run = place / "runs" / "001"
    assert results(place)["train"]["learning_rate"]["lr"] == 0.001
    stored = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert stored["optimizer_states"][0]["param_groups"][0]["momentum"] == 0.5
    assert stored["lr_schedulers"][0]["_last_lr"] == [0.00025]
    assert [float(line) for line in (run / "epochs.txt").read_text().split()] == [0.0005, 0.00025]
    assert "val/fde_top1_m" in (run / "lines.txt").read_text()


def test_file_names_hold_the_metric(place):
    """The best checkpoint is named by epoch and monitored value, the one that is judged where nothing else is asked."""
    steps = results(place)
    best = steps["train"]["files"]["checkpoint (best)"]
    value = min(row["val/fde_top1_m"] for row in steps["train"]["curves"])
    assert best.endswith(f"-val_fde_top1_m={value:.3f}.ckpt")
    assert steps["validate"]["checkpoint"] == steps["test"]["checkpoint"] == best


@pytest.mark.parametrize(("step", "part"), [("validate", "val"), ("test", "test")])
def test_every_scenario_has_a_row(step, part, place):
    """The table has each scenario once, with log and type; its columns have the means of results.json, for every planner."""
    told = results(place)[step]
    table = rows(place / "runs" / "001" / f"scenarios_{part}.csv")
    assert told["files"][f"scenarios ({part})"].endswith(f"scenarios_{part}.csv")
    assert len({(row["token"], row["start_us"]) for row in table}) == len(table) == told["count"]
    assert {row["log_name"] for row in table}
    for planner, metrics in told["metrics"].items():
        column = ("" if planner == "planner" else f"{planner}/") + "fde_top1_m"
        values = [float(row[column]) for row in table if row[column]]
        assert sum(values) / len(values) == pytest.approx(metrics["fde_top1_m"], rel=1e-4)
    assert {"untrained", "constant_velocity", "constant_acceleration"} <= told["metrics"].keys()


def test_types_have_the_errors_of_every_planner(place):
    """`by_type_of` holds each planner's means by type, which the rows of the table give."""
    told = results(place)["validate"]
    table = rows(place / "runs" / "001" / "scenarios_val.csv")
    assert told["by_type_of"].keys() == told["metrics"].keys()
    assert told["by_type_of"]["planner"] == told["by_type"]
    for name, means in told["by_type_of"]["constant_velocity"].items():
        own = [float(row["constant_velocity/ade_top1_m"]) for row in table if row["scenario_type"] == name]
        assert means["count"] == len(own)
        assert means["ade_top1_m"] == pytest.approx(sum(own) / len(own), rel=1e-4)


def test_the_last_checkpoint_or_a_path_can_be_judged(place):
    """`last`, a file and the folder of a run are judged in place of the best; results say which it was."""
    own = place / "runs" / "001"
    for wanted, found in (
        ("last", own / "checkpoints" / "last.ckpt"),
        (str(own / "checkpoints" / "last.ckpt"), own / "checkpoints" / "last.ckpt"),
        (str(own), results(place)["train"]["files"]["checkpoint (best)"]),
    ):
        assert again(place, only=["validate"], checkpoint=wanted) == 0
        assert results(place)["validate"]["checkpoint"] == str(found)


def test_an_experiment_without_training_judges_another_run(place):
    """With the key `checkpoint`, an experiment of one step judges what another one trained: the same numbers."""
    settings = ['steps=["validate"]', f'checkpoint="{place}/runs/001"', f'output_dir="{place}/others"']
    assert again(place, *settings) == 0
    alone = json.loads((place / "others" / "001" / "results.json").read_text())["steps"]
    assert again(place, only=["validate"]) == 0
    assert alone["validate"]["metrics"] == results(place)["validate"]["metrics"]


@pytest.mark.parametrize("wanted", ["best", "nowhere.ckpt"])
def test_nothing_is_computed_for_a_checkpoint_that_is_not_there(wanted, place, tmp_path):
    """The mistake is told at once: which checkpoint is missing, and what to do."""
    settings = [f'output_dir="{tmp_path}/runs"', f'cache.path="{tmp_path}/cache"']
    with pytest.raises(PlutoError, match=r"no checkpoint .*(name a file|--checkpoint)"):
        again(place, *settings, only=["validate"], checkpoint=wanted)
    assert not (tmp_path / "cache").exists()


def test_training_caches_what_the_listing_lacks(place, tmp_path, capsys):
    """`train` alone on a cache that holds a part of the listing first computes the rest."""
    own = [f'cache.path="{tmp_path}/cache"', f'output_dir="{tmp_path}/runs"']
    assert again(place, *own, "filter.limit_total_scenarios=16", only=["cache"]) == 0
    capsys.readouterr()
    assert again(place, *own, only=["train"]) == 0
    said = capsys.readouterr()
    assert "16 of 32 scenarios were there; 16 computed" in said.out
    assert "train: 2 epochs" in said.out


def test_a_few_samples_are_learned_by_heart(place, tmp_path):
    """With `overfit_samples`, all parts are the same few of the training samples, drawn by the seed."""

    def parts(*settings):
        made = Workspace(read(place / "judged.toml", settings=list(settings)), lambda _text: None)
        return {part: [made.stored.id(row).key for row in made.split[part]] for part in ("train", "val", "test")}

    whole, few = parts(), parts("loader.overfit_samples=3")
    assert few["train"] == few["val"] == few["test"]
    assert len(few["train"]) == 3
    assert set(few["train"]) < set(whole["train"])
    assert parts("loader.overfit_samples=3") == few
    assert {tuple(parts("loader.overfit_samples=3", f"seed={seed}")["train"]) for seed in range(1, 6)} != {tuple(few["train"])}
    settings = ["loader.overfit_samples=3", f'output_dir="{tmp_path}/runs"']
    assert again(place, *settings, only=["train", "test"]) == 0
    assert results(tmp_path)["test"]["count"] == 3
