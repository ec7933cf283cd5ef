"""`TrainerSuite`: a trainer learns, says what it did, goes on after an interrupt, and judges every sample once."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from pluto_core.errors import PlutoError
from pluto_core.jobs import Evaluated, StepResult
from pluto_core.protocols import Trainer
from pluto_core.testing.components import ComponentSuite, Recipe
from pluto_core.testing.equality import assert_same, difference
from pluto_core.testing.fake_samples import Mirror
from pluto_lightning.testing.jobs import MemoryReader, Watched, make_job

_CHECKPOINTS = ("checkpoint (best)", "checkpoint (last)")
"""What a trainer calls the file from which evaluation takes the weights; the first that there is."""


class TrainerSuite(ComponentSuite, suite=True):
    """Tests of a trainer, which it passes with a small model on scenes made in memory."""

    kinds: ClassVar[tuple[str, ...]] = ("trainers",)
    subject: ClassVar[str] = "trainer"
    epochs: ClassVar[int] = 2
    """Passes over the training part that `settings` ask for; two at least."""

    @pytest.fixture
    def settings(self) -> Mapping[str, Any]:
        """Return settings for `epochs` epochs; override it where the key has another name."""
        return {"epochs": self.epochs}

    @pytest.fixture
    def trainer(self, request: pytest.FixtureRequest) -> Trainer:
        """Return the trainer."""
        made: Trainer = self.make(request)
        return made

    @pytest.fixture
    def run_dir(self, tmp_path: Path) -> Path:
        """Return the folder of a run."""
        folder = tmp_path / "run"
        folder.mkdir()
        return folder

    def test_says_what_it_did(self, trainer: Trainer, run_dir: Path) -> None:
        """Its result holds plain numbers, and files that exist in the run's folder, a checkpoint among them."""
        result = trainer.fit(make_job(run_dir))
        assert isinstance(result, StepResult)
        json.dumps(dict(result.numbers), allow_nan=False)
        for name, path in result.files.items():
            assert path.exists(), f"{name}: there is no {path}"
            assert path.resolve().is_relative_to(run_dir.resolve()), f"{name}: {path} is not in the run's folder"
        assert _checkpoint(result).is_file()

    def test_writes_into_the_run_alone(
        self, trainer: Trainer, run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing is written into the working directory."""
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        trainer.fit(make_job(run_dir))
        assert not list(elsewhere.iterdir())

    def test_trains_as_told(self, trainer: Trainer, run_dir: Path) -> None:
        """It takes as many epochs as its settings say, in order, each once."""
        train = Watched(MemoryReader().loader("train", (0, 1)))
        trainer.fit(make_job(run_dir, parts={"train": train}))
        assert train.asked == list(range(self.epochs))

    def test_learns(self, trainer: Trainer, run_dir: Path) -> None:
        """The checkpoint is better than the untrained model, on the scenarios that it learned from and on others."""
        job = make_job(run_dir)
        checkpoint = _checkpoint(trainer.fit(job))
        for part in ("train", "val"):
            before, after = (_loss(trainer.evaluate(job, part, weights)) for weights in (None, checkpoint))
            assert after < before, f"{part}: the loss goes from {before:.4g} to {after:.4g}"

    def test_without_validation(self, trainer: Trainer, run_dir: Path) -> None:
        """It trains where there is nothing to validate on."""
        job = make_job(run_dir, parts={"train": MemoryReader().loader("train", (0, 1))})
        assert _checkpoint(trainer.fit(job)).is_file()

    def test_with_variants(self, trainer: Trainer, run_dir: Path) -> None:
        """It trains on batches whose rows are variants that an augmentation made."""
        job = make_job(run_dir, parts={"train": MemoryReader().loader("train", (0,), augmentations=[Mirror()])})
        assert _checkpoint(trainer.fit(job)).is_file()

    def test_judges_every_sample_once(self, trainer: Trainer, run_dir: Path) -> None:
        """Evaluation gives every sample of the part, in the order of its batches, with what was planned and what happened."""
        job = make_job(run_dir)
        judged = list(trainer.evaluate(job, "val", None))
        expected = [(batch.ids, _truth(batch.arrays)) for batch in make_job(run_dir).parts["val"].batches(0)]
        assert [one.ids for one in judged] == [ids for ids, _ in expected]
        for one, (ids, truth) in zip(judged, expected, strict=True):
            assert_same(_told(one), truth)
            assert len(one.plan) == len(ids)
            assert (np.diff(one.plan.probabilities, axis=1) <= 0).all(), "the modes do not stand from the best to the worst"
            assert "loss" in one.losses
            assert all(isinstance(value, float) and np.isfinite(value) for value in one.losses.values())

    def test_results_are_not_in_reused_memory(self, trainer: Trainer, run_dir: Path) -> None:
        """What evaluation gave for one batch stays, whatever becomes of the buffer from which it was made."""
        results = trainer.evaluate(make_job(run_dir), "val", None)
        first = next(results)
        kept = _plan(first), _told(first)
        list(results)
        assert_same(kept, (_plan(first), _told(first)))

    def test_same_seed_same_result(self, trainer: Trainer, recipe: Recipe, tmp_path: Path) -> None:
        """The same seed gives the same weights, another one gives others."""
        plans = []
        for number, (made, seed) in enumerate(((trainer, 0), (recipe(), 0), (recipe(), 1))):
            job = make_job(_folder(tmp_path, number), seed=seed)
            plans.append(_plans(made.evaluate(job, "val", _checkpoint(made.fit(job)))))
        assert_same(plans[0], plans[1])
        assert difference(plans[0], plans[2])

    def test_untrained_is_where_training_begins(self, trainer: Trainer, run_dir: Path) -> None:
        """Without a checkpoint it judges the model as training found it: the same one every time, and not the trained one."""
        job = make_job(run_dir)
        before = _plans(trainer.evaluate(job, "val", None))
        checkpoint = _checkpoint(trainer.fit(job))
        assert_same(before, _plans(trainer.evaluate(job, "val", None)))
        assert difference(before, _plans(trainer.evaluate(job, "val", checkpoint)))

    def test_goes_on_after_an_interrupt(self, trainer: Trainer, recipe: Recipe, tmp_path: Path) -> None:
        """An interrupt reaches the caller; started anew, it goes on after the last whole epoch, as if nothing had happened."""
        whole, broken = make_job(_folder(tmp_path, 0)), _folder(tmp_path, 1)
        expected = _plans(trainer.evaluate(whole, "val", _checkpoint(trainer.fit(whole))))
        reader, last = MemoryReader(), self.epochs - 1
        train = Watched(reader.loader("train", (0, 1)), interrupt_at=last)
        with pytest.raises(KeyboardInterrupt):
            recipe().fit(make_job(broken, parts={**whole.parts, "train": train}))
        rest = Watched(reader.loader("train", (0, 1)))
        job, other = make_job(broken, parts={**whole.parts, "train": rest}), recipe()
        found = _plans(other.evaluate(job, "val", _checkpoint(other.fit(job))))
        assert rest.asked == [last], f"it trains epochs {rest.asked} where only {last} is left"
        assert_same(expected, found)

    def test_loss_that_is_no_number(self, trainer: Trainer, run_dir: Path) -> None:
        """A loss that is NaN ends the training with one message, which names the scenarios of the batch."""
        with pytest.raises(PlutoError, match="fake-0"):
            trainer.fit(make_job(run_dir, make_objective=_make_nan))

    def test_foreign_checkpoints_are_refused(self, trainer: Trainer, run_dir: Path) -> None:
        """A file that is no checkpoint is a mistake with one message, which names the file."""
        path = run_dir / "foreign.ckpt"
        path.write_bytes(b"something else" * 100)
        with pytest.raises(PlutoError, match=path.name):
            list(trainer.evaluate(make_job(run_dir), "val", path))


def _checkpoint(result: StepResult) -> Path:
    found = [result.files[name] for name in _CHECKPOINTS if name in result.files]
    assert found, f"no file is called {' or '.join(map(repr, _CHECKPOINTS))}"
    return found[0]


def _folder(parent: Path, number: int) -> Path:
    folder = parent / f"run-{number}"
    folder.mkdir()
    return folder


def _loss(judged: Any) -> float:
    return float(np.mean([one.losses["loss"] for one in judged]))


def _plan(one: Evaluated) -> tuple[Any, Any]:
    return one.plan.trajectories.copy(), one.plan.probabilities.copy()


def _plans(judged: Any) -> list[tuple[Any, Any]]:
    return [_plan(one) for one in judged]


def _told(one: Evaluated) -> dict[str, Any]:
    told = {"trajectory": one.truth.trajectory, "speed": one.speed_mps, "acceleration": one.acceleration_mps2}
    return {**{name: np.array(value, np.float64) for name, value in told.items()}, "valid": np.array(one.truth.valid)}


def _truth(arrays: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: arrays[f"truth/{name}"].astype(np.float64) for name in ("trajectory", "speed", "acceleration")}
    return {**told, "valid": arrays["truth/valid"].copy()}


def _make_nan(_model: Any) -> Any:
    def objective(outputs: Mapping[str, Any], batch: Mapping[str, Any], *, training: bool) -> dict[str, torch.Tensor]:
        del batch, training
        return {"loss": outputs["trajectory"].sum() * float("nan")}

    return objective
