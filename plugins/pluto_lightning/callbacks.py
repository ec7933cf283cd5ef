"""What the trainer calls while it trains."""

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from pluto_core.component import Context
from pluto_lightning.config import EarlyStoppingConfig

_SHOWN = ("train/loss", "val/loss", "val/fde_top1_m")


class EarlyStopping:
    """Makes Lightning's early stopping."""

    def __init__(self, config: EarlyStoppingConfig, _context: Context) -> None:
        """Keep the settings."""
        self._config = config

    def make(self, _run_dir: Path) -> pl.callbacks.EarlyStopping:
        """Return the callback of a run."""
        return pl.callbacks.EarlyStopping(self._config.monitor, patience=self._config.patience, mode=self._config.mode)


class RandomState(pl.Callback):
    """Keeps torch's random state in checkpoints, so that a continued run draws what an undisturbed one would."""

    def __init__(self) -> None:
        """Start without a state to restore."""
        self._restored: torch.Tensor | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the state at this moment."""
        return {"torch": torch.get_rng_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the state until training starts; what happens before must not change it."""
        self._restored = state_dict["torch"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the state."""
        del trainer, pl_module
        if self._restored is not None:
            torch.set_rng_state(self._restored.cpu())
            self._restored = None


class Curves(pl.Callback):
    """Collects one row an epoch, times the steps, and prints plain lines where there is no progress bar."""

    def __init__(self, *, lines: bool) -> None:
        """Say whether to print a line an epoch."""
        self._lines = lines
        self.rows: list[dict[str, float]] = []
        self.samples = 0
        self.seconds = 0.0
        self.waited_s = 0.0
        self._since = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Return the curves so far."""
        return {"rows": self.rows, "samples": self.samples, "seconds": self.seconds, "waited_s": self.waited_s}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where an earlier process stopped."""
        self.rows = list(state_dict["rows"])
        self.samples, self.seconds = int(state_dict["samples"]), float(state_dict["seconds"])
        self.waited_s = float(state_dict["waited_s"])

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        del trainer, pl_module
        self._since = time.monotonic()

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        """Count the time spent waiting for data."""
        del trainer, pl_module, batch, batch_idx
        self.waited_s += time.monotonic() - self._since

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count samples and time."""
        del trainer, pl_module, outputs, batch_idx
        now = time.monotonic()
        self.samples += batch.size
        self._since = now

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the epoch's values."""
        del pl_module
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.rows.append({"epoch": float(trainer.current_epoch), **values})
        if self._lines:
            shown = ", ".join(
                f"{name} {values[name]:.3f}" for name in ("train/loss", "val/loss", "val/fde_top1_m") if name in values
            )
            print(f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}: {shown}", flush=True)  # noqa: T201
