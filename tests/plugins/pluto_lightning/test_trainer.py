import itertools
import json
import os
import random
import shutil
import signal
import threading
import traceback

import attrs
import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_lightning.config import LightningConfig, OneCycleConfig, TensorBoardConfig, WarmupCosineConfig
from pluto_lightning.loggers import TensorBoard
from pluto_lightning.schedules import make_onecycle, make_warmup_cosine
from pluto_lightning.trainer import LightningTrainer


class Interruption(pl.Callback):
    """Ends the process of training as Ctrl-C does, in the middle of an epoch."""

    def __init__(self, epoch, batch):
        self.epoch, self.batch = epoch, batch

    def make(self, _run_dir):
        """Return itself."""
        return self

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        """Interrupt."""
        if (trainer.current_epoch, batch_idx) == (self.epoch, self.batch):
            raise KeyboardInterrupt


class Counter(pl.Callback):
    """Counts batches."""

    batches = 0

    def make(self, _run_dir):
        """Return itself."""
        return self

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        """Count."""
        self.batches += 1


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_the_same_seed_gives_the_same_weights(fit, world):
    """Two trainings of one job end with equal weights; another seed gives others; the loss falls."""
    result, first = fit("first")
    _, second = fit("second")
    _, other = fit("other", seed=8)
    assert same(world.weights(first), world.weights(second))
    assert not same(world.weights(first), world.weights(other))
    curve = [row["train/loss"] for row in result.numbers["curves"]]
    assert curve[-1] < curve[0]


@pytest.mark.parametrize("moment", [(1, 0), (2, 1), (2, 3)])
def test_an_interrupted_training_ends_like_an_undisturbed_one(moment, fit, world, tmp_path):
    """Ctrl-C between or within epochs, and a second go, give bit for bit the weights and curves of one go."""
    settings = {"epochs": 4}
    calm, calm_dir = fit("calm", settings=settings)
    with pytest.raises(KeyboardInterrupt):
        fit("wild", settings=settings, callbacks=[Interruption(*moment)])
    torch.manual_seed(99)
    wild, wild_dir = fit("wild", settings=settings)
    assert same(world.weights(calm_dir), world.weights(wild_dir))
    assert calm.numbers["curves"] == wild.numbers["curves"]
    assert calm.numbers["epochs"] == 4


@pytest.mark.parametrize("moment", [(0, 3), (1, 0), (1, 2), (2, 1)])
@pytest.mark.parametrize(("every", "accumulate"), [(1, 1), (2, 1), (1, 2)])
def test_a_training_goes_on_within_an_epoch(moment, every, accumulate, fit, world):
    """With `save_every`, what was done of an epoch is not done again, and the weights are those of one go, bit for bit."""
    settings = {"epochs": 3, "save_every": every, "accumulate": accumulate}
    changes = {"settings": settings, "make_schedule": lambda: make_onecycle(OneCycleConfig(), Context())}
    _, calm_dir = fit("calm", **changes)
    with pytest.raises(KeyboardInterrupt):
        fit("wild", callbacks=[Interruption(*moment)], **changes)
    counter = Counter()
    wild, wild_dir = fit("wild", callbacks=[counter], **changes)
    assert same(world.weights(calm_dir), world.weights(wild_dir))
    epoch, batch = moment
    assert counter.batches == 4 * (3 - epoch) - batch // (every * accumulate) * every * accumulate
    assert wild.numbers["epochs"] == 3
    assert wild.numbers["share_waiting"] < 1


@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_curves_of_an_interrupted_epoch_have_its_learning_rates(interval, fit):
    """With a logger, rows of a training that goes on within an epoch are those of one go, rates of the last step included."""
    make_schedule = lambda: make_warmup_cosine(WarmupCosineConfig(warmup_epochs=1, interval=interval), Context())  # noqa: E731
    settings = {"epochs": 3, "save_every": 1}
    changes = {"settings": settings, "make_schedule": make_schedule, "loggers": [TensorBoard(TensorBoardConfig(), Context())]}
    calm, _ = fit("calm", **changes)
    with pytest.raises(KeyboardInterrupt):
        fit("wild", callbacks=[Interruption(1, 2)], **changes)
    wild, _ = fit("wild", **changes)
    assert calm.numbers["curves"] == wild.numbers["curves"]
    rates = [row["lr-AdamW/pg1"] for row in wild.numbers["curves"]]
    assert rates[0] >= rates[1] > rates[2] > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_training_killed_at_random_moments_ends_like_an_undisturbed_one(seed, fit, world):
    """SIGKILL again and again, wherever it hits, and the same call anew: weights and curves of one go, bit for bit."""
    settings = {"epochs": 20, "save_every": 1, "validate_every_batches": 3}
    changes = {"settings": settings, "make_schedule": lambda: make_onecycle(OneCycleConfig(), Context())}
    calm, calm_dir = fit("calm", **changes)
    chance = random.Random(seed)  # noqa: S311 -- moments, no secrets
    kills = 0
    while True:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                fit("wild", **changes)
                code = 0
            finally:
                if code:
                    traceback.print_exc()
                os._exit(code)
        killer = threading.Timer(chance.uniform(0.05, 0.3 + 0.1 * kills), os.kill, (child, signal.SIGKILL))
        killer.start()
        _, status = os.waitpid(child, 0)
        killer.cancel()
        killer.join()
        if not os.WIFSIGNALED(status):
            break
        kills += 1
    assert os.waitstatus_to_exitcode(status) == 0
    assert kills
    wild, wild_dir = fit("wild", **changes)
    assert same(world.weights(calm_dir), world.weights(wild_dir))
    assert calm.numbers["curves"] == wild.numbers["curves"]
    whole = [torch.load(path, weights_only=True)["state_dict"] for path in (wild_dir / "checkpoints").glob("*.ckpt")]
    assert len(whole) > 1


def test_an_interrupt_leaves_ctrl_c_as_it_was(fit):
    """After an interrupt the program's own handler is in place again."""
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(callbacks=[Interruption(0, 1)])
    assert signal.getsignal(signal.SIGINT) is before


def test_a_finished_training_is_not_trained_again(fit, world):
    """A second go on a complete run changes no weight and gives the same curves."""
    first, folder = fit()
    before = world.weights(folder)
    second, _ = fit()
    assert same(before, world.weights(folder))
    assert first.numbers["curves"] == second.numbers["curves"]


def test_the_result_names_numbers_and_files_that_exist(fit):
    """Every file is there, the numbers are plain and finite, the best checkpoint is that of the least loss."""
    result, folder = fit(settings={"epochs": 3, "save_top_k": 1})
    assert {"checkpoint (best)", "checkpoint (last)"} <= result.files.keys()
    assert all(path.exists() for path in result.files.values())
    assert json.loads(json.dumps(result.numbers, allow_nan=False)) == result.numbers
    losses = [row["val/loss"] for row in result.numbers["curves"]]
    assert f"={min(losses):.3f}" in result.files["checkpoint (best)"].name
    assert len(list((folder / "checkpoints").iterdir())) == 2
    assert result.numbers["parameters"] == 3 * 24 + 24
    assert "3 epochs, 96 parameters" in result.numbers["summary"]


def test_a_checkpoint_holds_weights_once_and_says_what_made_it(fit):
    """Loaded with weights_only, it has the model's tensors under `model.` and nothing twice, and the experiment's text."""
    _, folder = fit()
    stored = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert sorted(stored["state_dict"]) == ["model.linear.bias", "model.linear.weight"]
    assert stored["experiment"] == 'name = "toy"\n'


def test_values_of_validation_stand_only_where_it_ran(fit):
    """With validation every second epoch, the rows between have no `val/` values instead of old ones."""
    result, _ = fit(settings={"epochs": 5, "validate_every": 2})
    validated = ["val/loss" in row for row in result.numbers["curves"]]
    assert validated == [False, True, False, True, False]
    names = result.numbers["curves"][1]
    assert {"epoch", "train/loss", "val/loss", "val/ade_top1_m", "val/fde_top1_m"} <= names.keys()
    assert not [name for name in names if name.endswith(("_step", "_epoch"))]


def test_without_validation_the_last_checkpoint_is_the_only_one(fit, world):
    """A part `val` that is not there is no mistake."""
    result, folder = fit(parts={"train": world.loader("train", 8)})
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["last.ckpt"]
    assert "checkpoint (best)" not in result.files


def test_max_steps_and_accumulation_count_steps_of_the_optimizer(fit):
    """`max_steps` ends training inside an epoch; `accumulate` makes one step of several batches."""
    _, folder = fit("few", settings={"epochs": 5, "max_steps": 6})
    assert torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 6
    _, folder = fit("joined", settings={"accumulate": 3})
    assert torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 4


def test_a_nan_is_one_message_that_names_the_scenarios(fit, world):
    """A loss that is no number stops training before it reaches the weights."""
    parts = {"train": world.loader("train", 4, spoilt=True)}
    with pytest.raises(PlutoError, match=r"loss became NaN.*epoch 0.*log-train/0002@2") as caught:
        fit(parts=parts)
    assert "\n" not in str(caught.value)


def test_a_gradient_that_is_no_number_is_told_before_it_reaches_the_weights(fit, world):
    """A finite loss with an infinite slope stops training, names the samples of the step, and leaves the weights."""

    def steep(outputs, batch, *, training):
        total = world.objective(outputs, batch, training=training)["loss"]
        return {"loss": total + (outputs["trajectory"] * 0.0).abs().sum().sqrt()}

    made = []

    def make_model():
        made.append(world.model())
        return made[-1]

    parts = {"train": world.loader("train", 8, shuffle=False)}
    with pytest.raises(PlutoError, match=r"^a gradient became NaN.*epoch 0.*log-train/0000@0.*log-train/0003@3$"):
        fit(make_objective=lambda _model: steep, make_model=make_model, parts=parts)
    assert all(torch.isfinite(one).all() for one in made[0].parameters())


@pytest.mark.parametrize("moment", [(1, 1), (1, 2), (1, 3)])
def test_validation_within_epochs(moment, fit, world):
    """Every so many batches there are values of validation; an interrupted training still ends like an undisturbed one."""
    settings = {"epochs": 3, "validate_every_batches": 2, "save_every": 1, "save_top_k": 9}
    calm, calm_dir = fit("calm", settings=settings)
    names = [path.name for path in (calm_dir / "checkpoints").iterdir() if path.name != "last.ckpt"]
    assert len(names) == 3 * 2
    with pytest.raises(KeyboardInterrupt):
        fit("wild", settings=settings, callbacks=[Interruption(*moment)])
    wild, wild_dir = fit("wild", settings=settings)
    assert same(world.weights(calm_dir), world.weights(wild_dir))
    assert calm.numbers["curves"] == wild.numbers["curves"]


def test_training_ends_when_its_time_is_up(fit):
    """`max_hours` ends a training before its epochs do, and the last checkpoint is there."""
    result, folder = fit(settings={"epochs": 10_000, "max_hours": 1e-4})
    assert 0 < result.numbers["epochs"] < 10_000
    assert (folder / "checkpoints" / "last.ckpt").is_file()


def test_modules_are_listed_before_training(world, tmp_path):
    """The summary names modules and their parameters; depth 0 leaves it out."""
    notes = []
    for depth in (1, 0):
        config = LightningConfig(accelerator="cpu", epochs=1, summary_depth=depth)
        LightningTrainer(config, Context(note=notes.append)).fit(world.job(tmp_path / str(depth)))
    assert [("ToyModel" in note, "96" in note) for note in notes if not note.startswith("batches of")] == [(True, True)]


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"monitor": "val/los"}, "val/los"), ({"devices": 3, "accelerator": "gpu"}, "gpu|GPU|CUDA|MPS")],
)
def test_settings_that_lightning_refuses_are_one_message(settings, words, fit):
    """A value to monitor that does not exist, or a device, is the user's mistake and told as such."""
    if settings.get("accelerator") == "gpu" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(PlutoError, match=words):
        fit(settings=settings)


def test_evaluation_plans_for_every_scenario_in_order(fit, world, tmp_path):
    """Batches come in the order of the part, with truth and speeds; the trained model beats the untrained one."""
    _, folder = fit(settings={"epochs": 6})
    trainer, job = world.trainer(), world.job(tmp_path / "evaluation")

    def fde(checkpoint):
        found = list(trainer.evaluate(job, "val", checkpoint))
        keys = [one.token for batch in found for one in batch.ids]
        assert keys == [f"{number:04x}" for number in range(6)]
        assert all(set(batch.losses) == {"loss"} for batch in found)
        return np.mean([np.hypot(*(b.plan.trajectories[:, 0, :, :2] - b.truth.trajectory[..., :2]).T).mean() for b in found])

    assert fde(folder / "checkpoints" / "last.ckpt") < fde(None)


def test_evaluation_uses_the_weights_that_it_is_given(fit, world, tmp_path):
    """The evaluated model has the checkpoint's weights, in evaluation mode."""
    _, folder = fit()
    made = []

    def make_model():
        made.append(world.model())
        return made[-1]

    job = attrs.evolve(world.job(tmp_path / "other"), make_model=make_model)
    list(world.trainer().evaluate(job, "val", folder / "checkpoints" / "last.ckpt"))
    assert torch.equal(made[0].linear.weight, world.weights(folder)["model.linear.weight"])
    assert not made[0].training


def test_truth_and_speeds_outlive_the_loaders_buffers(fit, world, tmp_path):
    """What evaluation hands out is still right after later batches have used the same memory."""
    parts = {"val": world.loader("val", 24, poison=True)}
    found = list(world.trainer().evaluate(world.job(tmp_path, parts=parts), "val", None))
    speeds = np.concatenate([batch.speed_mps for batch in found])
    assert speeds.tolist() == [2.0 + number % 7 for number in range(24)]
    assert all(np.isfinite(batch.truth.trajectory).all() for batch in found)
    assert all(np.isfinite(batch.plan.trajectories).all() for batch in found)


def test_lightning_never_sees_a_slot_that_is_used_again(fit, world):
    """With poisoned buffers training gives the same weights: nothing is read too late."""
    _, plain = fit("plain")
    parts = {"train": world.loader("train", 16, poison=True), "val": world.loader("val", 6, poison=True)}
    _, poisoned = fit("poisoned", parts=parts)
    assert same(world.weights(plain), world.weights(poisoned))


def test_compiling_keeps_the_names_of_weights(fit, world, monkeypatch):
    """A compiled model's checkpoint fits the plain one; the compiler itself is not what is tested here."""
    compiled = []

    def compile_nothing(self):
        compiled.append(self)

    monkeypatch.setattr(torch.nn.Module, "compile", compile_nothing)
    _, folder = fit(settings={"compile": True})
    assert [type(one) for one in compiled] == [world.model]
    assert sorted(world.weights(folder)) == ["model.linear.bias", "model.linear.weight"]


@pytest.mark.slow
@pytest.mark.timeout(600)  # the compiler takes minutes where others compute
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_training_is_the_same_within_rounding(fit, world, monkeypatch, tmp_path):
    """torch.compile changes speed alone; validation and evaluation use the same weights."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    monkeypatch.setenv("_TORCHINDUCTOR_PYOBJECT_TENSOR_DATA_PTR", "")  # the compiler sets it

    def make_model():
        model = world.model()
        model.dropout.p = 0.0  # compiled code draws other numbers
        return model

    _, plain = fit("plain", make_model=make_model)
    result, compiled = fit("compiled", make_model=make_model, settings={"compile": True})
    left, right = world.weights(plain), world.weights(compiled)
    assert all(torch.allclose(left[name], right[name], rtol=1e-4, atol=1e-5) for name in left)
    assert all(np.isfinite(row["val/fde_top1_m"]) for row in result.numbers["curves"])


def test_batches_are_asked_for_by_epoch(fit, world):
    """Every epoch asks the loader for its own order, also when training goes on."""
    asked = []

    class Watched:
        def __init__(self, source):
            self._source = source
            self.batch_size, self.sample_spec = source.batch_size, source.sample_spec

        def count(self, **options):
            return self._source.count(**options)

        def batches(self, epoch, **options):
            asked.append(epoch)
            return self._source.batches(epoch, **options)

    def parts():
        return {"train": Watched(world.loader("train", 8))}

    with pytest.raises(KeyboardInterrupt):
        fit(settings={"epochs": 4}, parts=parts(), callbacks=[Interruption(2, 0)])
    fit(settings={"epochs": 4}, parts=parts())
    assert [epoch for epoch, _ in itertools.groupby(asked)] == [0, 1, 2, 3]


def test_the_defaults_are_the_published_recipe():
    """Epochs, clipping and precision are those of the training specification."""
    config = LightningConfig()
    assert (config.epochs, config.gradient_clip, config.precision, config.validate_every) == (25, 5.0, "32", 1)
