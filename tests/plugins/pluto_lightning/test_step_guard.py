import pytest
import torch

from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_lightning.config import LightningConfig
from pluto_lightning.trainer import LightningTrainer

BATCH = [f"log-train/{number:04x}@{number}" for number in range(4)]
"""The batch that holds the sample that is no number, where batches are not shuffled."""


@pytest.fixture
def _two_processes(monkeypatch):
    """Keep the address under which Lightning's processes find each other from outliving the test."""
    for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def normed(world):
    """Return a maker of models whose norm keeps means of what it sees, and which draw nothing."""

    def make():
        model = world.model()
        model.dropout = torch.nn.BatchNorm1d(3)
        return model

    return make


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_a_skipped_step_never_was(fit, world, normed):
    """A batch with a NaN leaves weights, moments and the means of norms as they were, bit for bit; the results name it."""
    changes = {"settings": {"epochs": 2, "on_nan": "skip"}, "make_model": normed}
    spoilt = {"train": world.loader("train", 16, spoilt=True, shuffle=False)}
    result, folder = fit("spoilt", parts=spoilt, **changes)
    rest = {"train": world.loader("train", 12, sample=lambda number: world.sample(number + 4), shuffle=False)}
    other, calm = fit("rest", parts=rest, **changes)
    assert same(world.weights(folder), world.weights(calm))
    told = [(one["epoch"], one["step"], one["what"], one["scenarios"]) for one in result.numbers["skipped_steps"]]
    assert told == [(0, 0, "the loss", BATCH), (1, 4, "the loss", BATCH)]
    assert result.numbers["summary"].endswith(", 2 steps skipped")
    assert [row["train/loss"] for row in result.numbers["curves"]] == [row["train/loss"] for row in other.numbers["curves"]]
    assert "skipped_steps" not in other.numbers


def test_accumulated_batches_are_skipped_together(fit, world, normed):
    """A step of two batches is left out as a whole, and the batch that spoilt it is named."""
    parts = {"train": world.loader("train", 16, spoilt=True, shuffle=False)}
    result, folder = fit(settings={"epochs": 1, "on_nan": "skip", "accumulate": 2}, parts=parts, make_model=normed)
    assert [one["scenarios"] for one in result.numbers["skipped_steps"]] == [BATCH]
    rest = {"train": world.loader("train", 8, sample=lambda number: world.sample(number + 8), shuffle=False)}
    _, calm = fit("rest", settings={"epochs": 1, "accumulate": 2}, parts=rest, make_model=normed)
    assert same(world.weights(folder), world.weights(calm))


def test_a_gradient_that_is_no_number_is_skipped(fit, world):
    """Where the loss is finite, all scenarios of the step are named; what is skipped too often ends training."""

    def steep(outputs, batch, *, training):
        total = world.objective(outputs, batch, training=training)["loss"]
        return {"loss": total + (outputs["trajectory"] * 0.0).abs().sum().sqrt()}

    changes = {"make_objective": lambda _model: steep, "parts": {"train": world.loader("train", 16, shuffle=False)}}
    with pytest.raises(PlutoError, match=r"^a gradient became NaN .* step 3; .*; 3 steps were skipped before") as caught:
        fit(settings={"on_nan": "skip", "max_skipped_steps": 3}, **changes)
    assert "log-train/000c@12, log-train/000d@13, log-train/000e@14, log-train/000f@15;" in str(caught.value)


def test_a_loss_that_is_no_number_though_its_gradient_is_one(fit, world):
    """A term without a slope does not reach the weights either."""

    def once(outputs, batch, *, training):
        total = world.objective(outputs, batch, training=training)["loss"]
        return {"loss": total + (torch.nan if training and not batch["state"][0, 2] + 0.1 else 0.0)}

    settings = {"epochs": 1, "on_nan": "skip"}
    parts = {"train": world.loader("train", 8, shuffle=False)}
    result, _ = fit(settings=settings, parts=parts, make_objective=lambda _model: once)
    assert [one["scenarios"] for one in result.numbers["skipped_steps"]] == [BATCH]


def test_an_epoch_of_nothing_else_ends_training(fit, world):
    """There is no mean loss of an epoch whose every batch was skipped."""
    parts = {"train": world.loader("train", 4, spoilt=True)}
    with pytest.raises(PlutoError, match="every batch of epoch 0 was skipped"):
        fit(settings={"on_nan": "skip"}, parts=parts)


def test_counting_goes_on_where_training_does(fit, world):
    """Steps that were skipped before an interruption count."""
    parts = {"train": world.loader("train", 16, spoilt=True)}
    settings = {"on_nan": "skip", "max_skipped_steps": 2}
    result, _ = fit(settings={**settings, "epochs": 1}, parts=parts)
    assert len(result.numbers["skipped_steps"]) == 1
    with pytest.raises(PlutoError, match=r"epoch 2, step .*; 2 steps were skipped before"):
        fit(settings={**settings, "epochs": 3}, parts=parts)


def test_scaled_arithmetic_leaves_steps_out_by_itself(fit, world):
    """With 16-mixed a gradient that overflows is nothing to tell, a loss that is no number is."""
    parts = {"train": world.loader("train", 16, spoilt=True, shuffle=False)}
    settings = {"epochs": 2, "on_nan": "skip", "precision": "16-mixed"}
    result, folder = fit(settings=settings, parts=parts)
    assert [one["scenarios"] for one in result.numbers["skipped_steps"]] == [BATCH, BATCH]
    assert all(torch.isfinite(one).all() for one in world.weights(folder).values())


@pytest.mark.usefixtures("_two_processes")
def test_all_processes_skip_a_step_that_one_cannot_take(fit, world):
    """A NaN on the second of two ranks leaves the step out on both; they end with the weights of one process."""

    def steady():
        model = world.model()
        model.dropout.p = 0.0
        return model

    ends = []
    for devices, named in ((1, BATCH), (2, BATCH[2:])):
        parts = {"train": world.loader("train", 16, spoilt=True, shuffle=False, batch_size_of="all")}
        settings = {"epochs": 2, "on_nan": "skip", "devices": devices}
        result, folder = fit(f"on-{devices}", settings=settings, parts=parts, make_model=steady)
        assert [one["scenarios"] for one in result.numbers["skipped_steps"]] == [named, named]
        ends.append(world.weights(folder))
    assert all(torch.allclose(one, ends[1][name], rtol=1e-5, atol=1e-6) for name, one in ends[0].items())


@pytest.mark.usefixtures("_two_processes")
def test_norms_of_all_processes_are_as_before_a_skipped_step(world, normed, tmp_path):
    """No mean of a norm keeps the NaN of a rank, and one process tells of it."""
    told = tmp_path / "told.txt"

    def note(text):
        with told.open("a") as file:
            file.write(f"{text}\n")

    config = LightningConfig(accelerator="cpu", epochs=1, on_nan="skip", devices=2)
    parts = {"train": world.loader("train", 16, spoilt=True, shuffle=False)}
    LightningTrainer(config, Context(note=note)).fit(world.job(tmp_path / "run", parts=parts, make_model=normed))
    assert all(torch.isfinite(one).all() for one in world.weights(tmp_path / "run").values())
    assert told.read_text().count("skipped: the loss became NaN or infinite in epoch 0, step 0") == 1
