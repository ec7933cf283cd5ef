"""The model, the objective and the optimizer as one LightningModule."""

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch

from pluto_core.jobs import TrainingJob
from pluto_core.plan import displacement_errors, mean, weights
from pluto_lightning.batches import TensorBatch, truth_of
from pluto_lightning.checkpoints import EXPERIMENT, LEARNING_RATE, SKIPPED
from pluto_lightning.lr_scaling import Scaling
from pluto_lightning.step_guard import StepGuard

_JUDGED = ("ade_top1_m", "fde_top1_m", "ade_top6_m", "fde_top6_m", "miss_top6", "prediction_ade_m", "prediction_fde_m")


class PlannerModule(pl.LightningModule):
    """What Lightning trains."""

    def __init__(
        self,
        job: TrainingJob,
        *,
        epochs: int,
        steps_per_epoch: int,
        scaling: Scaling,
        guard: StepGuard,
        compiled: bool = False,
    ) -> None:
        """Build the model and its objective; the seed must be set before.

        Args:
            job: What is trained.
            epochs: Of the whole training.
            steps_per_epoch: Steps of the optimizer in one.
            scaling: How the learning rate follows the samples of a step.
            guard: What happens to steps that are no numbers.
            compiled: Whether to compile the model.
        """
        super().__init__()
        self.model = job.make_model()
        self._objective: Callable[..., Any] = job.make_objective(self.model)
        self._job = job
        self._epochs, self._steps_per_epoch, self._scaling = epochs, steps_per_epoch, scaling
        self.guard = guard
        self.learning_rate: dict[str, Any] = {}
        """What the rule made of the optimizer's settings, for the results; known when training has begun."""
        if compiled:
            self.model.compile()  # in place, so that names in checkpoints stay

    def training_step(self, batch: TensorBatch, batch_idx: int) -> dict[str, Any]:
        """Return the loss of a batch, and all `terms` of `counted` samples, of which `Curves` makes the means of an epoch."""
        del batch_idx
        self.guard.begin(self.model)
        terms = self._objective(self.model(batch.tensors), batch.tensors, training=True)
        self.log("train/loss_step", terms["loss"].detach(), batch_size=batch.size, prog_bar=True)
        loss: torch.Tensor = terms["loss"]
        keys = [one.key for one in batch.ids]
        if not self.guard.accepts(loss, keys, epoch=self.current_epoch, step=self.global_step):
            # NaN in every gradient, so that all ranks see it.
            return {
                "loss": loss * math.nan,
                "terms": {name: torch.zeros_like(value) for name, value in terms.items()},
                "counted": 0,
            }
        return {"loss": loss, "terms": {name: value.detach() for name, value in terms.items()}, "counted": batch.size}

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by the norm of all gradients together; one that is no number never reaches the weights."""
        del gradient_clip_algorithm
        parameters = [one for group in optimizer.param_groups for one in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, gradient_clip_val or math.inf)
        if not self.guard.allows(norm, epoch=self.current_epoch, step=self.global_step):
            optimizer.zero_grad(set_to_none=True)  # a step without gradients changes neither weights nor moments
        self.log("train/gradient_norm", norm)

    def validation_step(self, batch: TensorBatch, batch_idx: int) -> None:
        """Log losses and displacement errors of a batch."""
        del batch_idx
        outputs = self.model(batch.tensors)
        for name, value in self._objective(outputs, batch.tensors, training=False).items():
            self.log(f"val/{name}", value, batch_size=batch.size, sync_dist=True, prog_bar=name == "loss")
        errors = displacement_errors(self.model.plan(outputs, batch.tensors), truth_of(batch))
        for name, value in mean(errors).items():
            if name in _JUDGED and value is not None:
                count = int(weights(errors, name).sum())
                self.log(f"val/{name}", value, on_epoch=True, batch_size=count, sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the resolved experiment beside the weights, so that a checkpoint says what it is."""
        checkpoint[EXPERIMENT] = self._job.resolved
        checkpoint[LEARNING_RATE] = self.learning_rate
        checkpoint[SKIPPED] = self.guard.skipped

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on counting the steps that were left out."""
        self.guard.skipped = list(checkpoint.get(SKIPPED, ()))

    def configure_optimizers(self) -> Any:
        """Return optimizer and schedule of the experiment."""
        optimizer = self._job.make_optimizer()(self.model, batch_size=self._scaling.samples)
        self._scaling.apply(optimizer)
        self.learning_rate = self._scaling.numbers(optimizer)
        make_schedule = self._job.make_schedule()
        schedule, interval = make_schedule(optimizer, epochs=self._epochs, steps_per_epoch=self._steps_per_epoch)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": interval}}

    def transfer_batch_to_device(self, batch: TensorBatch, device: torch.device, dataloader_idx: int) -> TensorBatch:
        """Return the batch on the device; on the CPU it keeps sharing the loader's memory."""
        del dataloader_idx
        return batch if device.type == "cpu" else batch.to(device)
