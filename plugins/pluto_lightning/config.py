"""Settings of the trainer and of what it steps and logs with."""

from typing import Literal

import attrs

from pluto_core.component import setting


@attrs.frozen(kw_only=True)
class LightningConfig:
    """How to train."""

    epochs: int = setting(25, "Passes over the training scenarios.", minimum=1)
    max_steps: int | None = setting(None, "Stop after so many optimizer steps, whatever `epochs` says.", minimum=1)
    accelerator: Literal["auto", "cpu", "gpu"] = setting("auto", "Where to train; auto takes a GPU where there is one.")
    devices: int | Literal["auto"] = setting(1, "How many devices to train on.", minimum=1)
    precision: Literal["32", "bf16-mixed", "16-mixed", "64"] = setting("32", "Arithmetic of the forward pass.")
    gradient_clip: float | None = setting(5.0, "Largest norm of all gradients together.", above=0)
    accumulate: int = setting(1, "Batches to a step of the optimizer.", minimum=1)
    lr_scaling: Literal["none", "equal_variance", "linear"] = setting(
        "none",
        "How the learning rate follows the samples of a step, all devices and accumulated batches together: not at all, by the "
        "square root of their ratio to `lr_batch_size`, or by that ratio; Adam's betas are raised to the same power.",
    )
    lr_batch_size: int | None = setting(
        None, "Samples of a step that the optimizer's learning rate is meant for; unset: `loader.batch_size`.", minimum=1
    )
    on_nan: Literal["stop", "skip"] = setting(
        "stop", "A loss or gradient that is no number: stop, or skip the step, on all devices, and name its scenarios."
    )
    max_skipped_steps: int = setting(10, "Steps that `on_nan` may skip in a training before it stops all the same.", minimum=1)
    compile: bool = setting(default=False, help="Compile the network with torch.compile; pays off on long runs.")
    max_hours: float | None = setting(None, "Stop after so long, counting what went before an interruption.", above=0)
    validate_every: int = setting(1, "Epochs between two validations.", minimum=1)
    validate_every_batches: int | None = setting(
        None,
        "Training batches between two validations within an epoch, for epochs of hours; then `validate_every` is 1.",
        minimum=1,
    )
    save_top_k: int = setting(5, "How many of the best checkpoints to keep.", minimum=0)
    save_every: int | None = setting(
        None,
        "Steps between two checkpoints within an epoch, for epochs of hours; unset: a run goes on from the last whole epoch.",
        minimum=1,
    )
    monitor: str = setting("val/loss", "The value by which checkpoints are the best.")
    monitor_mode: Literal["min", "max"] = setting("min", "Whether small or large values of `monitor` are good.")
    log_every: int = setting(50, "Steps between two points of a curve.", minimum=1)
    summary_depth: int = setting(1, "Levels of modules whose parameters are listed before training; 0: none.", minimum=0)


@attrs.frozen(kw_only=True)
class AdamWConfig:
    """AdamW in two groups: weights of linear layers, convolutions and attention decay; biases, norms and embeddings do not.

    Each group is divided further where `lr_factors` gives some parameters another rate.
    """

    lr: float = setting(1e-3, "Learning rate at its peak.", above=0)
    weight_decay: float = setting(1e-4, "Decay of the first group.", minimum=0)
    betas: tuple[float, float] = setting((0.9, 0.999), "Decay rates of both moments.")
    eps: float = setting(1e-8, "Added to the denominator.", above=0)
    lr_factors: dict[str, float] = attrs.field(
        factory=dict,
        metadata={
            "help": "What to multiply the learning rate with for parameters whose name fits a pattern such as `decoder.*`; of "
            "several that fit, the first one counts.",
            "above": 0,
        },
    )


@attrs.frozen(kw_only=True)
class WarmupCosineConfig:
    """Linear warm-up, then half a cosine down to `lr_min`."""

    warmup_epochs: int = setting(3, "Epochs of the warm-up.", minimum=0)
    lr_min: float = setting(1e-6, "Learning rate that the cosine aims at.", minimum=0)
    interval: Literal["epoch", "step"] = setting("epoch", "Whether the rate changes after every epoch or after every step.")


@attrs.frozen(kw_only=True)
class OneCycleConfig:
    """One cycle over the whole training, stepped after every step; the peak is the optimizer's learning rate."""

    rising: float = setting(0.25, "Share of the training in which the rate rises.", above=0, maximum=1)
    div_factor: float = setting(10.0, "The peak divided by the rate at the start.", above=0)
    final_div_factor: float = setting(10.0, "The rate at the start divided by the rate at the end.", above=0)
    anneal: Literal["cos", "linear"] = setting("cos", "Shape of rise and fall.")
    cycle_momentum: bool = setting(default=True, help="Let momentum (AdamW: the first beta) fall while the rate rises.")
    base_momentum: float = setting(0.85, "Momentum at the peak.", minimum=0, maximum=1)
    max_momentum: float = setting(0.95, "Momentum at start and end.", minimum=0, maximum=1)


@attrs.frozen(kw_only=True)
class ConstantConfig:
    """The learning rate stays as it is."""


@attrs.frozen(kw_only=True)
class TensorBoardConfig:
    """Curves for TensorBoard."""

    folder: str = setting("tensorboard", "Folder inside the run's.")


@attrs.frozen(kw_only=True)
class CsvConfig:
    """Curves as one CSV file."""

    folder: str = setting("curves", "Folder inside the run's.")


@attrs.frozen(kw_only=True)
class WandbConfig:
    """Curves for Weights & Biases."""

    project: str = setting("pluto", "Project that the run belongs to.")
    name: str | None = setting(None, "Name of the run; unset: its folder's, such as `runs/007`.")
    mode: Literal["online", "offline", "disabled"] = setting(
        "online", "Send curves at once, write them for `wandb sync`, or do neither."
    )
    id: str | None = setting(None, "The run to go on with; unset: one id a run folder, so that a continued run goes on.")
    resume: Literal["allow", "must", "never"] = setting("allow", "Whether a run of this id may, must or must not be there.")
    entity: str | None = setting(None, "User or team; unset: the one that is logged in.")
    group: str | None = setting(None, "What runs are shown together with.")
    tags: tuple[str, ...] = setting((), "Labels of the run.")


@attrs.frozen(kw_only=True)
class EarlyStoppingConfig:
    """Stop when a value no longer gets better."""

    monitor: str = setting("val/loss", "The value to watch.")
    patience: int = setting(5, "Validations without a better value before training stops.", minimum=1)
    mode: Literal["min", "max"] = setting("min", "Whether small or large values are good.")
    min_delta: float = setting(0.0, "A value is better when it is so much better.", minimum=0)


@attrs.frozen(kw_only=True)
class ConstantVelocityConfig:
    """Keep heading and speed."""

    horizon_s: float = setting(8.0, "How far to plan, seconds.", above=0)
    interval_s: float = setting(0.1, "Time between two poses, seconds.", above=0)


@attrs.frozen(kw_only=True)
class EgoMlpConfig:
    """A perceptron that sees the ego vehicle's past and nobody else."""

    history_s: float = setting(2.0, "How far it looks back, seconds.", minimum=0)
    horizon_s: float = setting(8.0, "How far to plan, seconds.", above=0)
    interval_s: float = setting(0.1, "Time between two poses, seconds.", above=0)
    modes: int = setting(6, "How many ways it plans.", minimum=1)
    degree: int = setting(3, "Degree of the polynomials in time that correct constant velocity.", minimum=1)
    width: int = setting(128, "Width of the hidden layers.", minimum=1)
    depth: int = setting(2, "How many hidden layers.", minimum=1)
    dropout: float = setting(0.0, "Dropout of the hidden layers.", minimum=0, maximum=1)

    @property
    def history_steps(self) -> int:
        """Return the number of states that it sees, the present one included."""
        return round(self.history_s / self.interval_s) + 1

    @property
    def future_steps(self) -> int:
        """Return the number of poses that it plans."""
        return round(self.horizon_s / self.interval_s)


@attrs.frozen(kw_only=True)
class EgoMlpObjectiveConfig:
    """What the perceptron learns."""

    regression: float = setting(1.0, "Weight of the distance between the nearest way and the truth.", minimum=0)
    classification: float = setting(1.0, "Weight of telling which way is the nearest.", minimum=0)
