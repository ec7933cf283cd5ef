"""The trainer `lightning`."""

import logging
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint, RichProgressBar

from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_core.jobs import Evaluated, StepResult, TrainingJob
from pluto_lightning.batches import EpochBatches, TensorBatch, as_tensors, truth_of
from pluto_lightning.callbacks import Curves, RandomState
from pluto_lightning.config import LightningConfig
from pluto_lightning.module import PlannerModule

_LAST = "last.ckpt"
_KEPT_MODES = 6


class LightningTrainer:
    """Fits and evaluates planner models with PyTorch Lightning."""

    def __init__(self, config: LightningConfig, context: Context) -> None:
        """Keep the settings."""
        self._config = config
        self._note = context.note
        # Lightning advertises services and repeats what we print.
        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    def fit(self, job: TrainingJob) -> StepResult:
        """Train, or go on from the run's last checkpoint.

        Raises:
            PlutoError: The loss became NaN; the scenarios of the batch are named.
            KeyboardInterrupt: The user stopped it; the last checkpoint is kept.
        """
        pl.seed_everything(job.seed, verbose=False)
        train = job.parts["train"]
        steps = -(-train.count(world=self._world) // self._config.accumulate)
        module = PlannerModule(
            job,
            epochs=self._config.epochs,
            steps_per_epoch=max(steps, 1),
            batch_size=train.batch_size * self._world * self._config.accumulate,
            compiled=self._config.compile,
        )
        curves, best = Curves(lines=not job.interactive), self._checkpoints(job)
        trainer = self._trainer(job, [curves, *best])
        last = job.run_dir / "checkpoints" / _LAST
        if last.is_file():
            self._note(f"training goes on from {last.name}")
        began = time.monotonic()
        self._fit(trainer, module, job, last if last.is_file() else None)
        curves.seconds += time.monotonic() - began
        return self._result(job, module, curves, best[0] if len(best) > 1 else None, last)

    def _fit(self, trainer: pl.Trainer, module: PlannerModule, job: TrainingJob, checkpoint: Path | None) -> None:
        def batches(part: str) -> EpochBatches:
            return EpochBatches(
                job.parts[part], lambda: trainer.current_epoch, rank=lambda: trainer.global_rank, world=self._world
            )

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", category=UserWarning)  # Lightning's advice on loaders does not fit ours
            warnings.simplefilter("ignore", category=FutureWarning)
            warnings.simplefilter("ignore", category=DeprecationWarning)
            try:
                trainer.fit(
                    module,
                    batches("train"),
                    batches("val") if "val" in job.parts else None,
                    ckpt_path=checkpoint,
                    weights_only=True,
                )
            except SystemExit:
                # Lightning turns Ctrl-C into exit(1); the run has to know what it was.
                if trainer.interrupted:
                    raise KeyboardInterrupt from None
                raise
        if trainer.interrupted:
            raise KeyboardInterrupt

    @property
    def _world(self) -> int:
        return self._config.devices if isinstance(self._config.devices, int) else max(torch.cuda.device_count(), 1)

    def _checkpoints(self, job: TrainingJob) -> list[pl.Callback]:
        folder = job.run_dir / "checkpoints"
        last = ModelCheckpoint(
            folder, filename="last", save_top_k=1, enable_version_counter=False, save_on_train_epoch_end=True
        )
        if "val" not in job.parts or self._config.save_top_k == 0:
            return [last]
        monitor = self._config.monitor
        best = ModelCheckpoint(
            folder,
            filename="epoch={epoch:03d}-" + monitor.replace("/", "_") + "={" + monitor + ":.3f}",
            monitor=monitor,
            mode=self._config.monitor_mode,
            save_top_k=self._config.save_top_k,
            auto_insert_metric_name=False,
            enable_version_counter=False,
        )
        return [best, last]

    def _trainer(self, job: TrainingJob, callbacks: list[pl.Callback]) -> pl.Trainer:
        config = self._config
        loggers = [maker.make(job.run_dir, "train") for maker in job.loggers]
        extra: list[pl.Callback] = [RandomState(), *(maker.make(job.run_dir) for maker in job.callbacks)]
        if loggers:
            extra.append(LearningRateMonitor())
        if job.interactive:
            extra.append(RichProgressBar(leave=False))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pl.Trainer(
                accelerator=config.accelerator,
                devices=config.devices,
                precision=config.precision,
                max_epochs=config.epochs,
                max_steps=config.max_steps or -1,
                gradient_clip_val=config.gradient_clip,
                accumulate_grad_batches=config.accumulate,
                check_val_every_n_epoch=config.validate_every,
                num_sanity_val_steps=0,
                log_every_n_steps=config.log_every,
                logger=loggers or False,
                callbacks=[*extra, *callbacks],
                enable_progress_bar=job.interactive,
                enable_model_summary=False,
                use_distributed_sampler=False,
                default_root_dir=job.run_dir,
                benchmark=False,
            )

    def _result(self, job: TrainingJob, module: PlannerModule, curves: Curves, best: Any, last: Path) -> StepResult:
        first, final = curves.rows[0], curves.rows[-1]
        parameters = sum(parameter.numel() for parameter in module.model.parameters())
        files = {"checkpoint (last)": last}
        if best is not None and best.best_model_path:
            files = {"checkpoint (best)": Path(best.best_model_path), **files}
        files |= {
            f"{type(maker).__name__} log": job.run_dir / maker.make(job.run_dir, "train").version for maker in job.loggers
        }
        rate = curves.samples / max(curves.seconds, 1e-9)
        text = f"{len(curves.rows)} epochs, {parameters:,} parameters, {rate:.1f} samples/s, loss {first['train/loss']:.3f} -> "
        numbers = {
            "summary": text + f"{final['train/loss']:.3f}",
            "epochs": len(curves.rows),
            "parameters": parameters,
            "samples_per_s": round(rate, 2),
            "share_waiting": round(curves.waited_s / max(curves.seconds, 1e-9), 4),
            "curves": [{name: round(value, 6) for name, value in row.items()} for row in curves.rows],
        }
        return StepResult(numbers=numbers, files=files)

    def evaluate(self, job: TrainingJob, part: str, checkpoint: Path | None) -> Iterator[Evaluated]:
        """Plan for every sample of a part; see `pluto_core.protocols.Trainer`.

        Raises:
            PlutoError: The checkpoint does not fit the model.
        """
        pl.seed_everything(job.seed, verbose=False)
        model = job.make_model()
        objective = job.make_objective(model)
        if checkpoint is not None:
            load_weights(model, checkpoint)
        device = torch.device("cuda" if torch.cuda.is_available() and self._config.accelerator != "cpu" else "cpu")
        model.to(device).eval()
        with torch.inference_mode():
            for arrays in job.parts[part].batches(0):
                yield _evaluated(model, objective, as_tensors(arrays).to(device))


def _evaluated(model: Any, objective: Any, batch: TensorBatch) -> Evaluated:
    outputs = model(batch.tensors)
    terms = objective(outputs, batch.tensors, training=False)
    told = batch.tensors["truth"]
    return Evaluated(
        ids=batch.ids,
        plan=model.plan(outputs, batch.tensors).top(_KEPT_MODES),
        truth=truth_of(batch),
        speed_mps=told["speed"].cpu().double().numpy().copy(),
        acceleration_mps2=told["acceleration"].cpu().double().numpy().copy(),
        losses={name: float(value) for name, value in terms.items()},
    )


def load_weights(model: torch.nn.Module, checkpoint: Path) -> None:
    """Load the weights of a checkpoint of ours into a model.

    Raises:
        PlutoError: The file is no checkpoint, or its weights are not this model's.
    """
    try:
        stored = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    except Exception as error:
        message = f"{checkpoint} cannot be read as a checkpoint: {error}"
        raise PlutoError(message) from error
    weights = {name.removeprefix("model."): value for name, value in stored.items() if name.startswith("model.")}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        message = f"{checkpoint} holds weights of another model: {error}"
        raise PlutoError(message) from None


def make(config: LightningConfig, context: Context) -> LightningTrainer:
    """Return the trainer."""
    return LightningTrainer(config, context)
