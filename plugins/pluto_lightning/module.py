"""The model, the objective and the optimizer as one LightningModule."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from pluto_core.errors import PlutoError
from pluto_core.jobs import TrainingJob
from pluto_core.plan import displacement_errors
from pluto_lightning.batches import TensorBatch, truth_of
from pluto_lightning.checkpoints import EXPERIMENT

_JUDGED = ("ade_top1_m", "fde_top1_m", "ade_top6_m", "fde_top6_m", "miss_top6")


class PlannerModule(pl.LightningModule):
    """What Lightning trains."""

    def __init__(self, job: TrainingJob, *, epochs: int, steps_per_epoch: int, batch_size: int, compiled: bool) -> None:
        """Build the model and its objective; the seed must be set before."""
        super().__init__()
        self.model = job.make_model()
        self._objective: Callable[..., Any] = job.make_objective(self.model)
        self._job = job
        self._epochs, self._steps_per_epoch, self._batch_size = epochs, steps_per_epoch, batch_size
        if compiled:
            self.model.compile()  # in place, so that names in checkpoints stay

    def training_step(self, batch: TensorBatch, batch_idx: int) -> torch.Tensor:
        """Return the loss of a batch."""
        del batch_idx
        terms = self._objective(self.model(batch.tensors), batch.tensors, training=True)
        self._log_terms("train", terms, batch.size)
        loss: torch.Tensor = terms["loss"]
        self._require_finite(loss, batch)
        return loss

    def validation_step(self, batch: TensorBatch, batch_idx: int) -> None:
        """Log losses and displacement errors of a batch."""
        del batch_idx
        outputs = self.model(batch.tensors)
        self._log_terms("val", self._objective(outputs, batch.tensors, training=False), batch.size)
        errors = displacement_errors(self.model.plan(outputs, batch.tensors), truth_of(batch))
        for name in _JUDGED:
            known = errors[name][np.isfinite(errors[name])]
            if len(known):
                self.log(f"val/{name}", float(known.mean()), on_epoch=True, batch_size=len(known), sync_dist=True)

    def _require_finite(self, loss: torch.Tensor, batch: TensorBatch) -> None:
        """Stop before a loss that is no number reaches the weights."""
        if not torch.isfinite(loss):
            keys = ", ".join(one.key for one in batch.ids)
            message = f"the loss became NaN or infinite in epoch {self.current_epoch}; the scenarios of its batch: {keys}"
            raise PlutoError(message)

    def _log_terms(self, part: str, terms: Any, size: int) -> None:
        for name, value in terms.items():
            total = name == "loss"
            self.log(
                f"{part}/{name}",
                value.detach(),
                on_step=total and part == "train",
                on_epoch=True,
                batch_size=size,
                sync_dist=part == "val",
                prog_bar=total,
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the resolved experiment beside the weights, so that a checkpoint says what it is."""
        checkpoint[EXPERIMENT] = self._job.resolved

    def configure_optimizers(self) -> Any:
        """Return optimizer and schedule of the experiment."""
        optimizer = self._job.make_optimizer()(self.model, batch_size=self._batch_size)
        make_schedule = self._job.make_schedule()
        schedule, interval = make_schedule(optimizer, epochs=self._epochs, steps_per_epoch=self._steps_per_epoch)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": interval}}

    def transfer_batch_to_device(self, batch: TensorBatch, device: torch.device, dataloader_idx: int) -> TensorBatch:
        """Return the batch on the device; on the CPU it keeps sharing the loader's memory."""
        del dataloader_idx
        return batch if device.type == "cpu" else batch.to(device)
