"""What the Lightning plugin offers."""

from collections.abc import Iterable

from pluto_core import Component, hookimpl
from pluto_core.errors import Mistake
from pluto_core.moments import ExperimentView
from pluto_lightning import checks


@hookimpl
def pluto_register_trainers() -> list[Component]:
    """Return the trainer."""
    return [
        Component(
            "lightning",
            factory="pluto_lightning.trainer:make",
            config="pluto_lightning.config:LightningConfig",
            summary="PyTorch Lightning on one or several devices.",
        )
    ]


@hookimpl
def pluto_register_optimizers() -> list[Component]:
    """Return the optimizers."""
    return [
        Component(
            "adamw",
            factory="pluto_lightning.optimizers:make_adamw",
            config="pluto_lightning.config:AdamWConfig",
            summary="AdamW; norms, biases and embeddings do not decay.",
        )
    ]


@hookimpl
def pluto_register_schedules() -> list[Component]:
    """Return the schedules."""
    return [
        Component(
            "warmup_cosine",
            factory="pluto_lightning.schedules:make_warmup_cosine",
            config="pluto_lightning.config:WarmupCosineConfig",
            summary="Linear warm-up, then half a cosine.",
        ),
        Component(
            "onecycle",
            factory="pluto_lightning.schedules:make_onecycle",
            config="pluto_lightning.config:OneCycleConfig",
            summary="One rise and one fall over the whole training, changed after every step.",
        ),
        Component(
            "constant",
            factory="pluto_lightning.schedules:make_constant",
            config="pluto_lightning.config:ConstantConfig",
            summary="The learning rate stays as it is.",
        ),
    ]


@hookimpl
def pluto_register_loggers() -> list[Component]:
    """Return the loggers."""
    return [
        Component(
            "tensorboard",
            factory="pluto_lightning.loggers:TensorBoard",
            config="pluto_lightning.config:TensorBoardConfig",
            summary="Curves for TensorBoard.",
        ),
        Component(
            "csv",
            factory="pluto_lightning.loggers:Csv",
            config="pluto_lightning.config:CsvConfig",
            summary="Curves as one CSV file.",
        ),
        Component(
            "wandb",
            factory="pluto_lightning.wandb_runs:Wandb",
            config="pluto_lightning.config:WandbConfig",
            extra="wandb",
            summary="Curves for Weights & Biases.",
        ),
    ]


@hookimpl
def pluto_register_callbacks() -> list[Component]:
    """Return the callbacks."""
    return [
        Component(
            "early_stopping",
            factory="pluto_lightning.callbacks:EarlyStopping",
            config="pluto_lightning.config:EarlyStoppingConfig",
            summary="Stops when a value no longer gets better.",
        )
    ]


@hookimpl
def pluto_register_models() -> list[Component]:
    """Return the model that needs no training, and the one that looks at nobody."""
    return [
        Component(
            "constant_velocity",
            factory="pluto_lightning.constant_velocity:make",
            config="pluto_lightning.config:ConstantVelocityConfig",
            requires="pluto_lightning.needs:constant_velocity",
            summary="Keeps heading and speed; the baseline that every planner must beat.",
        ),
        Component(
            "ego_mlp",
            factory="pluto_lightning.ego_mlp:make",
            config="pluto_lightning.config:EgoMlpConfig",
            requires="pluto_lightning.needs:ego_mlp",
            summary="A perceptron on the ego vehicle's past; how far a planner gets without looking.",
        ),
    ]


@hookimpl
def pluto_register_objectives() -> list[Component]:
    """Return the objectives of the models of this plugin."""
    return [
        Component(
            "constant_velocity",
            factory="pluto_lightning.constant_velocity:make_objective",
            config="pluto_lightning.config:ConstantConfig",
            summary="Mean distance to the recorded trajectory, for the log only.",
        ),
        Component(
            "ego_mlp",
            factory="pluto_lightning.ego_mlp:make_objective",
            config="pluto_lightning.config:EgoMlpObjectiveConfig",
            summary="Distance of the nearest mode, and which mode that is.",
        ),
    ]


@hookimpl
def pluto_check_experiment(experiment: ExperimentView) -> Iterable[Mistake]:
    """Return what an experiment asks of the trainer and cannot have."""
    return checks.mistakes(experiment)
