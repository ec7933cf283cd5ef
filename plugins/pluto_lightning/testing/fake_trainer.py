"""A plain trainer: a loop over epochs and batches, that stores all it needs after each epoch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_core.jobs import Evaluated, SampleBatch, StepResult, TrainingJob
from pluto_core.plan import Truth
from pluto_core.samples import nested
from pluto_lightning.testing.config import FakeTrainerConfig

_CHECKPOINT = "checkpoint (last)"


def make(config: FakeTrainerConfig, _context: Context) -> "FakeTrainer":
    """Return the trainer `fake`."""
    return FakeTrainer(config.epochs)


class FakeTrainer:
    """Trains on the CPU, in float32, in one process."""

    def __init__(self, epochs: int) -> None:
        """Keep the number of epochs."""
        self._epochs = epochs

    def fit(self, job: TrainingJob) -> StepResult:
        """Train, or go on from the run's checkpoint.

        Raises:
            PlutoError: The loss is no number.
        """
        torch.manual_seed(job.seed)
        train, path = job.parts["train"], job.run_dir / "last.pt"
        model = job.make_model().train()
        objective = job.make_objective(model)
        optimizer = job.make_optimizer()(model, batch_size=train.batch_size())
        schedule, when = job.make_schedule()(optimizer, epochs=self._epochs, steps_per_epoch=train.count())
        parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
        done = self._restore(path, parts) if path.is_file() else 0
        for epoch in range(done, self._epochs):
            for batch in train.batches(epoch):
                _step(model, objective, optimizer, batch)
                if when == "step":
                    schedule.step()
            if when == "epoch":
                schedule.step()
            self._store(path, parts, epoch + 1, job)
        return StepResult(numbers={"epochs": self._epochs, "summary": f"{self._epochs} epochs"}, files={_CHECKPOINT: path})

    def evaluate(self, job: TrainingJob, part: str, checkpoint: Path | None) -> Iterator[Evaluated]:
        """Plan for every sample of a part.

        Raises:
            PlutoError: The checkpoint is none.
        """
        torch.manual_seed(job.seed)
        model = job.make_model().eval()
        objective = job.make_objective(model)
        if checkpoint is not None:
            self._restore(checkpoint, {"model": model})
        with torch.no_grad():
            for batch in job.parts[part].batches(0):
                yield _judged(model, objective, batch)

    def _store(self, path: Path, parts: dict[str, Any], epochs: int, job: TrainingJob) -> None:
        states = {name: part.state_dict() for name, part in parts.items()}
        job.run_dir.mkdir(parents=True, exist_ok=True)
        torch.save({**states, "epochs": epochs, "chance": torch.get_rng_state()}, path)

    def _restore(self, path: Path, parts: dict[str, Any]) -> int:
        """Give the parts their stored states, and return how many epochs were done."""
        try:
            states = torch.load(path, weights_only=True)
            for name, part in parts.items():
                part.load_state_dict(states[name])
        except Exception as error:
            message = f"{path} is no checkpoint of this model: {error}"
            raise PlutoError(message) from error
        torch.set_rng_state(states["chance"])
        return int(states["epochs"])


def _tensors(batch: SampleBatch) -> dict[str, Any]:
    return nested({key: torch.from_numpy(array) for key, array in batch.arrays.items()})


def _step(model: Any, objective: Any, optimizer: Any, batch: SampleBatch) -> None:
    tensors = _tensors(batch)
    optimizer.zero_grad()
    loss = objective(model(tensors), tensors, training=True)["loss"]
    if not torch.isfinite(loss):
        message = f"the loss is {float(loss.detach())} for {', '.join(one.key for one in batch.ids)}"
        raise PlutoError(message)
    loss.backward()
    optimizer.step()


def _judged(model: Any, objective: Any, batch: SampleBatch) -> Evaluated:
    tensors = _tensors(batch)
    outputs = model(tensors)
    told = {name: tensors["truth"][name].clone().numpy() for name in ("trajectory", "valid", "speed", "acceleration")}
    return Evaluated(
        ids=batch.ids,
        plan=model.plan(outputs, tensors).top(6),
        truth=Truth(trajectory=told["trajectory"].astype("float64"), valid=told["valid"]),
        speed_mps=told["speed"].astype("float64"),
        acceleration_mps2=told["acceleration"].astype("float64"),
        losses={name: float(value) for name, value in objective(outputs, tensors, training=False).items()},
    )
