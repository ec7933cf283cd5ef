"""A small world of training in this process: samples made by rule, a model that learns them in a second."""

import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pluto_core.arrays import ArraySpec, SampleSpec
from pluto_core.component import Context
from pluto_core.jobs import TrainingJob
from pluto_core.listing import Listing
from pluto_core.pipeline.loader import BatchLoader
from pluto_core.plan import Plan
from pluto_core.scene import ScenarioId
from pluto_core.settings import LoaderSettings
from pluto_lightning import optimizers, schedules
from pluto_lightning.config import AdamWConfig, ConstantConfig, LightningConfig
from pluto_lightning.trainer import LightningTrainer

STEPS, INTERVAL_S = 8, 0.5

SPEC = {
    "state": ArraySpec(dims=(3,), dtype="float32", unit="m/s, m/s^2, rad/s"),
    "truth/trajectory": ArraySpec(dims=(STEPS, 3), dtype="float32", unit="m, m, rad", frame="ego"),
    "truth/valid": ArraySpec(dims=(STEPS,), dtype="bool"),
    "truth/speed": ArraySpec(dims=(), dtype="float32", unit="m/s"),
    "truth/acceleration": ArraySpec(dims=(), dtype="float32", unit="m/s^2"),
}


def make_sample(number: int) -> dict[str, np.ndarray]:
    """Return a car on a circle; speed and turn follow from the number."""
    speed, turn = 2.0 + number % 7, 0.05 * (number % 5 - 2)
    angle = turn * np.arange(1, STEPS + 1) * INTERVAL_S
    way = speed * np.arange(1, STEPS + 1) * INTERVAL_S
    trajectory = np.column_stack([way * np.cos(angle / 2), way * np.sin(angle / 2), angle])
    valid = np.ones(STEPS, bool)
    valid[STEPS - number % 2 :] = False
    return {
        "state": np.array([speed, 0.0, turn], np.float32),
        "truth/trajectory": trajectory.astype(np.float32),
        "truth/valid": valid,
        "truth/speed": np.asarray(speed, np.float32),
        "truth/acceleration": np.asarray(0.0, np.float32),
    }


class Reader:
    """Samples by key, from memory."""

    def __init__(self, samples: Mapping[str, dict[str, np.ndarray]]) -> None:
        self.samples = samples

    def get_many(self, keys: list[str]) -> list[dict[str, np.ndarray]]:
        """Return samples in the order of `keys`."""
        return [self.samples[key] for key in keys]


def make_loader(
    part: str,
    count: int,
    *,
    sample: Callable[[int], dict[str, np.ndarray]] = make_sample,
    spec: SampleSpec = SPEC,
    spoilt: bool = False,
    seed: int = 0,
    **settings: Any,
) -> BatchLoader:
    """Return batches of made-up samples; `spoilt` ones hold a NaN in the third."""
    listing = Listing.of([(ScenarioId(f"log-{part}", f"{number:04x}", number), "cruise", "town") for number in range(count)])
    samples = {one.key: sample(number) for number, one in enumerate(listing.ids())}
    if spoilt:
        samples[listing.id(2).key]["state"][0] = np.nan
    loader = LoaderSettings(**{"batch_size": 4, **settings})
    return BatchLoader(Reader(samples), listing, spec=spec, settings=loader, part=part, seed=seed)


class ToyModel(torch.nn.Module):
    """A linear layer and dropout, so that training draws from torch's generator."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = torch.nn.Dropout(0.2)
        self.linear = torch.nn.Linear(3, STEPS * 3)

    def forward(self, batch: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """Return trajectories (B, T, 3)."""
        return {"trajectory": self.linear(self.dropout(batch["state"])).reshape(-1, STEPS, 3)}

    def plan(self, outputs: Mapping[str, torch.Tensor], batch: Mapping[str, Any]) -> Plan:
        """Return one mode."""
        trajectory = outputs["trajectory"].detach().cpu().numpy()[:, None]
        return Plan(trajectories=trajectory, probabilities=np.ones(trajectory.shape[:2], np.float32))


def toy_objective(outputs: Mapping[str, Any], batch: Mapping[str, Any], *, training: bool) -> dict[str, torch.Tensor]:
    """Return the mean squared distance over valid steps."""
    gap = ((outputs["trajectory"] - batch["truth"]["trajectory"]) ** 2).sum(dim=-1)
    valid = batch["truth"]["valid"]
    return {"loss": (gap * valid).sum() / valid.sum().clamp(min=1)}


def make_job(run_dir: Path, **changes: Any) -> TrainingJob:
    """Return a job on the toy model and made-up samples."""
    context = Context()
    job = {
        "run_dir": run_dir,
        "seed": 7,
        "resolved": 'name = "toy"\n',
        "make_model": ToyModel,
        "make_objective": lambda _model: toy_objective,
        "make_optimizer": lambda: optimizers.make_adamw(AdamWConfig(lr=0.02), context),
        "make_schedule": lambda: schedules.make_constant(ConstantConfig(), context),
        "parts": {"train": make_loader("train", 16), "val": make_loader("val", 6)},
        "interactive": False,
    }
    return TrainingJob(**{**job, **changes})


def make_trainer(**settings: Any) -> LightningTrainer:
    """Return the trainer on the CPU."""
    return LightningTrainer(LightningConfig(**{"accelerator": "cpu", "epochs": 2, "log_every": 1, **settings}), Context())


@pytest.fixture
def wandb_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep what W&B writes beside a run, and the address of its helper process, from outliving the test."""
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path.parent / "wandb"))
    monkeypatch.setenv("WANDB_SERVICE", "")
    monkeypatch.delenv("WANDB_SERVICE")


@pytest.fixture(scope="session")
def world() -> types.SimpleNamespace:
    """Return the makers of this file."""
    return types.SimpleNamespace(
        job=make_job,
        trainer=make_trainer,
        loader=make_loader,
        sample=make_sample,
        spec=SPEC,
        model=ToyModel,
        objective=toy_objective,
        weights=read_weights,
    )


def read_weights(run_dir: Path, name: str = "last.ckpt") -> dict[str, torch.Tensor]:
    """Return the weights of a checkpoint, read as the only safe way allows."""
    return torch.load(run_dir / "checkpoints" / name, weights_only=True)["state_dict"]


@pytest.fixture
def fit(tmp_path: Path) -> Callable[..., Any]:
    """Return a function that trains the toy model in a folder of its own and returns (result, folder)."""

    def call(name: str = "run", *, settings: Mapping[str, Any] | None = None, **changes: Any) -> tuple[Any, Path]:
        folder = tmp_path / name
        return make_trainer(**(settings or {})).fit(make_job(folder, **changes)), folder

    return call
