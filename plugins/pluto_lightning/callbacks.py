"""What the trainer calls while it trains."""

import math
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_lightning.config import EarlyStoppingConfig

_SHOWN = ("train/loss", "val/loss", "val/fde_top1_m")
_VALIDATION = "val/"
_RATE = "lr-"
"""Beginning of Lightning's names for learning rates."""
_TWICE = ("_step", "_epoch")
"""Endings under which Lightning repeats a value that it also gives under its own name."""


class EarlyStopping:
    """Makes Lightning's early stopping."""

    def __init__(self, config: EarlyStoppingConfig, _context: Context) -> None:
        """Keep the settings."""
        self._config = config

    def make(self, _run_dir: Path) -> pl.callbacks.EarlyStopping:
        """Return the callback of a run."""
        config = self._config
        return _Stopping(config.monitor, min_delta=config.min_delta, patience=config.patience, mode=config.mode)


class _Stopping(pl.callbacks.EarlyStopping):
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Judge the value, and say in one line if there is none of that name."""
        if self.monitor not in trainer.callback_metrics:
            known = ", ".join(sorted(trainer.callback_metrics))
            message = f"callback early_stopping: there is no value {self.monitor!r} to monitor; there are {known}"
            raise PlutoError(message)
        super().on_validation_end(trainer, pl_module)


class KeptWithin(pl.callbacks.Checkpoint):
    """Writes the last checkpoint within epochs, where Lightning can go on exactly.

    That is not at the last batch of an epoch, whose end it would leave out, nor where validation is due, which it would leave
    out, nor between accumulated batches, whose gradients are in no checkpoint. Then the next batch that suits is taken.
    """

    def __init__(self, path: Path, *, every: int, accumulate: int, validated: int | None) -> None:
        """Remember when.

        Args:
            path: The file.
            every: Steps of the optimizer between two of them, at least.
            accumulate: Batches to a step.
            validated: Batches between two validations within an epoch.
        """
        self._path, self._every, self._accumulate, self._validated = path, every, accumulate, validated
        self._saved = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count from where training begins, or goes on."""
        del pl_module
        self._saved = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write one if it is time."""
        del pl_module, outputs, batch
        done = batch_idx + 1
        suits = done < trainer.num_training_batches and done % self._accumulate == 0
        if self._validated is not None:
            suits = suits and done % self._validated != 0
        if suits and trainer.global_step - self._saved >= self._every:
            self._saved = trainer.global_step
            trainer.save_checkpoint(self._path)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count from the end of the epoch, of which there is a checkpoint too."""
        del pl_module
        self._saved = trainer.global_step


class Bar(pl.callbacks.RichProgressBar):
    """The progress bar of a training, without what Lightning takes for the number of a version."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return the values beside the bar."""
        shown = super().get_metrics(trainer, pl_module)
        return {name: value for name, value in shown.items() if name != "v_num"}


class Curves(pl.Callback):
    """Collects one row an epoch, times the steps, and prints plain lines where there is no progress bar."""

    def __init__(self, *, lines: bool) -> None:
        """Say whether to print a line an epoch."""
        self._lines = lines
        self.rows: list[dict[str, float]] = []
        self.samples = 0
        self.waited_s = 0.0
        self._spent_s = 0.0
        self._began: float | None = None
        self._since = 0.0
        self._validated = False
        self._sums: dict[str, Tensor] = {}
        self._counted = 0
        self._rates: dict[str, float] = {}

    @property
    def seconds(self) -> float:
        """Return the time spent on training and validation, also by the processes before this one."""
        return self._spent_s + (time.monotonic() - self._began if self._began is not None else 0.0)

    def state_dict(self) -> dict[str, Any]:
        """Return the curves so far, and the sums of an epoch that is not done."""
        done = {"rows": self.rows, "samples": self.samples, "seconds": self.seconds, "waited_s": self.waited_s}
        return {**done, "sums": {name: value.cpu() for name, value in self._sums.items()}, "counted": self._counted}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where an earlier process stopped."""
        self.rows = [dict(row) for row in state_dict["rows"]]
        self.samples, self.waited_s = int(state_dict["samples"]), float(state_dict["waited_s"])
        self._spent_s = float(state_dict["seconds"])
        self._sums, self._counted = dict(state_dict.get("sums", {})), int(state_dict.get("counted", 0))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock of the whole training."""
        del trainer, pl_module
        self._began = self._since = time.monotonic()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock of the whole training."""
        del trainer, pl_module
        self._spent_s, self._began = self.seconds, None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock of the first batch."""
        del trainer, pl_module
        self._since, self._validated = time.monotonic(), False

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        """Count the time spent waiting for data, and note the rates: of an epoch that it goes on with, Lightning tells none."""
        del pl_module, batch, batch_idx
        self.waited_s += time.monotonic() - self._since
        self._rates = _rates(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count samples and time, and add up the loss terms: Lightning's own sums do not survive an interruption."""
        del pl_module, batch_idx
        self.samples += batch.size * trainer.world_size
        counted = outputs["counted"]
        self._counted += counted
        for name, value in outputs["terms"].items():
            known = self._sums.get(name)
            self._sums[name] = value.double() * counted + (0.0 if known is None else known.to(value.device))
        self._since = time.monotonic()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remember that the values of validation are of this epoch."""
        del trainer, pl_module
        self._validated = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the epoch's values; Lightning's list also holds what the last validation gave, however long ago."""
        means = self._means(trainer)
        pl_module.log_dict(means)
        values = means | self._fresh({name: float(value) for name, value in trainer.callback_metrics.items()}) | self._rates
        self.rows.append({"epoch": float(trainer.current_epoch), **values})
        if self._lines and trainer.is_global_zero:
            shown = ", ".join(f"{name} {values[name]:.3f}" for name in _SHOWN if name in values)
            print(f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}: {shown}", flush=True)  # noqa: T201

    def _means(self, trainer: pl.Trainer) -> dict[str, float]:
        """Return the means of the epoch over all ranks, and begin the sums of the next."""
        names = sorted(self._sums)
        if not names:
            return {}
        counted = torch.full_like(self._sums[names[0]], self._counted)
        sums = torch.stack([*(self._sums[name] for name in names), counted])
        if trainer.world_size > 1:
            sums = trainer.strategy.reduce(sums, reduce_op="sum")
        self._sums, self._counted = {}, 0
        if not sums[-1]:
            message = f"every batch of epoch {trainer.current_epoch} was skipped, so that nothing was learned from it"
            raise PlutoError(message)
        return {f"train/{name}": float(total / sums[-1]) for name, total in zip(names, sums, strict=False)}

    def _fresh(self, values: dict[str, float]) -> dict[str, float]:
        return {
            name: value
            for name, value in values.items()
            if math.isfinite(value)
            and not name.startswith(_RATE)
            and (self._validated or not name.startswith(_VALIDATION))
            and not any(name.endswith(end) and name.removesuffix(end) in values for end in _TWICE)
        }


def _rates(trainer: pl.Trainer) -> dict[str, float]:
    """Return the learning rate of each group of parameters, under Lightning's names."""
    return {
        f"{_RATE}{type(optimizer).__name__}" + (f"/pg{number}" if len(optimizer.param_groups) > 1 else ""): float(group["lr"])
        for optimizer in trainer.optimizers
        for number, group in enumerate(optimizer.param_groups, 1)
    }
