"""Small trainings: a job for a trainer, made of the small parts, with batches that see what a trainer does with them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch

from pluto_core.component import Context
from pluto_core.filters import ScenarioFilter
from pluto_core.jobs import SampleBatch, TrainingJob
from pluto_core.listing import Listing
from pluto_core.pipeline.loader import BatchLoader
from pluto_core.protocols import Augmentation, BatchSource
from pluto_core.samples import Sample
from pluto_core.scene import ScenarioId
from pluto_core.settings import LoaderSettings
from pluto_core.testing.config import FakeAgentsConfig, FakeSourceConfig, FakeTruthConfig
from pluto_core.testing.fake_samples import FakeAgents, FakeTruth
from pluto_core.testing.fakes import FakeSource
from pluto_lightning.testing.config import FakeModelConfig, FakeObjectiveConfig
from pluto_lightning.testing.fakes import make_model
from pluto_lightning.testing.fakes import make_objective as make_loss

_LOADING = LoaderSettings(batch_size=4, poison=True)
_RATE = 0.01


@attrs.frozen
class MemoryReader:
    """Gives samples that are built when they are asked for."""

    source: FakeSource = attrs.field(factory=lambda: FakeSource(FakeSourceConfig(logs=3, scenarios=6)))
    builders: tuple[Any, ...] = (FakeAgents(FakeAgentsConfig()), FakeTruth(FakeTruthConfig()))

    def get_many(self, keys: Sequence[str]) -> list[Sample]:
        """Return samples in the order of `keys`."""
        return [self._sample(ScenarioId.from_key(key)) for key in keys]

    def _sample(self, scenario: ScenarioId) -> Sample:
        sample: Sample = {}
        for builder in self.builders:
            sample |= builder.build(self.source.load(scenario, builder.window))
        return sample

    def loader(self, part: str, logs: Sequence[int], *, augmentations: Sequence[Augmentation] = ()) -> BatchLoader:
        """Return the batches of some logs; their buffers are overwritten before they are used again."""
        listing: Listing = self.source.list(ScenarioFilter(log_names=tuple(f"fake-{log:02d}" for log in logs)))
        spec = {key: array for builder in self.builders for key, array in builder.spec.items()}
        return BatchLoader(self, listing, spec=spec, settings=_LOADING, part=part, seed=0, augmentations=augmentations, slots=2)


@attrs.define
class Watched:
    """Batches that note the epochs they were asked for, and interrupt one of them, as a user would."""

    source: BatchSource
    interrupt_at: int | None = None
    asked: list[int] = attrs.field(factory=list)

    @property
    def sample_spec(self) -> Any:
        """Return the spec of the batches."""
        return self.source.sample_spec

    def batch_size(self, *, world: int = 1) -> int:
        """Return the number of samples in a batch of a rank."""
        return self.source.batch_size(world=world)

    def count(self, *, world: int = 1) -> int:
        """Return the number of batches."""
        return self.source.count(world=world)

    def batches(self, epoch: int, *, rank: int = 0, world: int = 1, skip: int = 0) -> Iterator[SampleBatch]:
        """Yield the batches of an epoch.

        Raises:
            KeyboardInterrupt: It is the epoch to interrupt, after its first batch.
        """
        self.asked.append(epoch)
        for number, batch in enumerate(self.source.batches(epoch, rank=rank, world=world, skip=skip)):
            if epoch == self.interrupt_at and number == 1:
                raise KeyboardInterrupt
            yield batch


class ConstantRate:
    """Makes a schedule that changes nothing."""

    def __call__(self, optimizer: Any, *, epochs: int, steps_per_epoch: int) -> tuple[Any, str]:
        """Return the schedule."""
        del epochs, steps_per_epoch
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _epoch: 1.0), "epoch"


class Adam:
    """Makes Adam."""

    def __call__(self, module: Any, *, batch_size: int) -> torch.optim.Adam:
        """Return the optimizer."""
        del batch_size
        return torch.optim.Adam(module.parameters(), lr=_RATE)


def make_job(run_dir: Path, *, make_objective: Callable[[Any], Any] | None = None, **changes: Any) -> TrainingJob:
    """Return a training of the small model on scenes made in memory: 12 scenarios to learn from, 6 to judge by."""
    reader = MemoryReader()
    settings: dict[str, Any] = {
        "run_dir": run_dir,
        "seed": 0,
        "resolved": "",
        "make_model": _model,
        "make_objective": make_objective or _objective,
        "make_optimizer": Adam,
        "make_schedule": ConstantRate,
        "parts": {"train": reader.loader("train", (0, 1)), "val": reader.loader("val", (2,))},
        "interactive": False,
    }
    return TrainingJob(**{**settings, **changes})


def _model() -> Any:
    return make_model(FakeModelConfig(), Context())


def _objective(model: Any) -> Any:
    del model
    return make_loss(FakeObjectiveConfig(), Context())
