"""The trainer `lightning`."""

import datetime as dt
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.utilities.model_summary.model_summary import ModelSummary

from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_core.jobs import Evaluated, StepResult, TrainingJob
from pluto_lightning.batches import EpochBatches, TensorBatch, as_tensors, truth_of
from pluto_lightning.callbacks import Bar, Curves, KeptWithin
from pluto_lightning.checkpoints import (
    LEARNING_RATE,
    SKIPPED,
    CheckpointFiles,
    load_weights,
    read_checkpoint,
    require_continuable,
)
from pluto_lightning.config import LightningConfig
from pluto_lightning.devices import plain_endings, spread_over, world_of
from pluto_lightning.lr_scaling import Scaling
from pluto_lightning.module import PlannerModule
from pluto_lightning.randomness import RandomState, seed_all
from pluto_lightning.step_guard import StepGuard
from pluto_lightning.step_size import StepSize

_FOLDER, _LAST = "checkpoints", "last.ckpt"
_KEPT_MODES = 6


class LightningTrainer:
    """Fits and evaluates planner models with PyTorch Lightning."""

    def __init__(self, config: LightningConfig, context: Context) -> None:
        """Keep the settings."""
        self._config = config
        self._world = world_of(config.devices)
        self._note = context.note
        # Lightning advertises services and repeats what we print.
        for name in ("pytorch_lightning", "lightning_fabric"):
            logging.getLogger(name).setLevel(logging.ERROR)

    def fit(self, job: TrainingJob) -> StepResult:
        """Train, or go on from the run's last checkpoint.

        Raises:
            PlutoError: The loss became NaN (the scenarios of the batch are named), the last checkpoint does not fit, or
                Lightning refuses a setting.
            KeyboardInterrupt: The user stopped it; the last checkpoint is kept.
        """
        seed_all(job.seed)
        train = job.parts["train"]
        steps = -(-train.count(world=self._world) // self._config.accumulate)
        size = StepSize(of_device=train.batch_size(world=self._world), devices=self._world, accumulated=self._config.accumulate)
        scaling = self._scaling(size, train.batch_size())
        module = PlannerModule(
            job,
            epochs=self._config.epochs,
            steps_per_epoch=max(steps, 1),
            scaling=scaling,
            guard=self._guard(),
            compiled=self._config.compile,
        )
        if self._config.summary_depth:
            self._note(str(ModelSummary(module, max_depth=self._config.summary_depth)))
        self._note(size.text())
        if scaling.rule != "none":
            self._note(scaling.text())
        curves, best = Curves(lines=not job.interactive), self._best(job)
        trainer = self._trainer(job, [curves, *([best] if best else []), *self._last(job)])
        last = job.run_dir / _FOLDER / _LAST
        if last.is_file():
            require_continuable(module.model, last)
            self._note(f"training goes on from {last.name}")
        self._fit(trainer, module, job, last if last.is_file() else None)
        if self._world > 1:  # the processes that trained are gone, with their callbacks
            stored = read_checkpoint(last)
            curves.load_state_dict(stored["callbacks"][curves.state_key])
            module.learning_rate, module.guard.skipped = stored[LEARNING_RATE], stored.get(SKIPPED, [])
        files = {"checkpoint (last)": last, **_log_folders(job, trainer)}
        if best is not None and best.best_model_path:
            files = {"checkpoint (best)": Path(best.best_model_path), **files}
        return StepResult(numbers={**_numbers(module, curves), "batch_size": size.numbers()}, files=files)

    def _fit(self, trainer: pl.Trainer, module: PlannerModule, job: TrainingJob, checkpoint: Path | None) -> None:
        def batches(part: str) -> EpochBatches:
            return EpochBatches(
                job.parts[part], lambda: trainer.current_epoch, rank=lambda: trainer.global_rank, world=self._world
            )

        with plain_endings(trainer), warnings.catch_warnings():
            warnings.simplefilter("ignore", category=UserWarning)  # Lightning's advice on loaders does not fit ours
            warnings.simplefilter("ignore", category=FutureWarning)
            warnings.simplefilter("ignore", category=DeprecationWarning)
            trainer.fit(
                module,
                batches("train"),
                batches("val") if "val" in job.parts else None,
                ckpt_path=checkpoint,
                weights_only=True,
            )

    def _guard(self) -> StepGuard:
        config = self._config
        return StepGuard(
            skips=config.on_nan == "skip",
            most=config.max_skipped_steps,
            strict=not config.precision.startswith("16"),
            note=self._note,
        )

    def _scaling(self, size: StepSize, batch_size: int) -> Scaling:
        config = self._config
        return Scaling(rule=config.lr_scaling, samples=size.samples, meant_for=config.lr_batch_size or batch_size)

    def _best(self, job: TrainingJob) -> ModelCheckpoint | None:
        """Return what keeps the best checkpoints; None where nothing tells which are."""
        if "val" not in job.parts or self._config.save_top_k == 0:
            return None
        monitor = self._config.monitor
        return ModelCheckpoint(
            job.run_dir / _FOLDER,
            filename="epoch={epoch:03d}-" + monitor.replace("/", "_") + "={" + monitor + ":.3f}",
            monitor=monitor,
            mode=self._config.monitor_mode,
            save_top_k=self._config.save_top_k,
            auto_insert_metric_name=False,
            enable_version_counter=False,
        )

    def _last(self, job: TrainingJob) -> list[pl.callbacks.Checkpoint]:
        """Return what keeps the last checkpoint: after every epoch, and within where that is asked for."""
        config, folder = self._config, job.run_dir / _FOLDER
        after = ModelCheckpoint(folder, filename="last", enable_version_counter=False, save_on_train_epoch_end=True)
        if config.save_every is None:
            return [after]
        path, validated = folder / _LAST, config.validate_every_batches
        return [KeptWithin(path, every=config.save_every, accumulate=config.accumulate, validated=validated), after]

    def _trainer(self, job: TrainingJob, callbacks: Sequence[pl.Callback]) -> pl.Trainer:
        config = self._config
        loggers = [maker.make(job.run_dir, "train") for maker in job.loggers]
        extra: list[pl.Callback] = [RandomState(), *(maker.make(job.run_dir) for maker in job.callbacks)]
        if loggers:
            extra.append(LearningRateMonitor())
        if job.interactive:
            extra.append(Bar(leave=False))
        settings: dict[str, Any] = {
            "accelerator": config.accelerator,
            "devices": config.devices,
            "precision": config.precision,
            "max_epochs": config.epochs,
            "max_steps": config.max_steps or -1,
            "max_time": dt.timedelta(hours=config.max_hours) if config.max_hours else None,
            "gradient_clip_val": config.gradient_clip,
            "accumulate_grad_batches": config.accumulate,
            **self._validated(job),
            "num_sanity_val_steps": 0,
            "log_every_n_steps": config.log_every,
            "logger": loggers or False,
            "callbacks": [*extra, *callbacks],
            "enable_progress_bar": job.interactive,
            "enable_model_summary": False,
            "plugins": [CheckpointFiles()],
            "use_distributed_sampler": False,
            "default_root_dir": job.run_dir,
            "benchmark": False,
            **spread_over(self._world, config.accelerator),
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return pl.Trainer(**settings)
            except MisconfigurationException as error:
                raise PlutoError(f"the trainer refuses its settings: {error}") from error

    def _validated(self, job: TrainingJob) -> dict[str, Any]:
        """Return when to validate, in Lightning's words."""
        config = self._config
        if config.validate_every_batches is None:
            return {"check_val_every_n_epoch": config.validate_every}
        return {"val_check_interval": min(config.validate_every_batches, job.parts["train"].count(world=self._world))}

    def evaluate(self, job: TrainingJob, part: str, checkpoint: Path | None) -> Iterator[Evaluated]:
        """Plan for every sample of a part; see `pluto_core.protocols.Trainer`.

        Raises:
            PlutoError: The checkpoint does not fit the model.
        """
        seed_all(job.seed)
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


def _numbers(module: PlannerModule, curves: Curves) -> dict[str, Any]:
    """Return the numbers of a training for `results.json`."""
    parameters = sum(parameter.numel() for parameter in module.model.parameters())
    losses = [row["train/loss"] for row in curves.rows]
    rate = curves.samples / max(curves.seconds, 1e-9)
    text = (
        f"{len(curves.rows)} epochs, {parameters:,} parameters, {rate:.1f} samples/s, loss {losses[0]:.3f} -> {losses[-1]:.3f}"
    )
    skipped = module.guard.skipped
    if skipped:
        text += f", {len(skipped):,} steps skipped"
    return {
        "summary": text,
        "epochs": len(curves.rows),
        **({"skipped_steps": skipped} if skipped else {}),
        "parameters": parameters,
        "learning_rate": module.learning_rate,
        "samples_per_s": round(rate, 2),
        "share_waiting": round(curves.waited_s / max(curves.seconds, 1e-9), 4),
        "curves": [{name: round(value, 6) for name, value in row.items()} for row in curves.rows],
    }


def _log_folders(job: TrainingJob, trainer: pl.Trainer) -> dict[str, Path]:
    """Return where the loggers wrote, by what they are; those that write elsewhere are left out."""
    pairs = zip(job.loggers, trainer.loggers, strict=True)
    folders = {type(maker).__name__: getattr(logger, "log_dir", None) for maker, logger in pairs}
    return {f"{name} log": Path(folder) for name, folder in folders.items() if folder and Path(folder).is_dir()}


def make(config: LightningConfig, context: Context) -> LightningTrainer:
    """Return the trainer."""
    return LightningTrainer(config, context)
