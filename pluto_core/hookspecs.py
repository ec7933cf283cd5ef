"""The hooks of pluto, in the order in which they are called.

A plugin is a module named by an entry point of the group `pluto`. It implements what it needs with `pluto_core.hookimpl`:

    from pluto_core import Component, hookimpl

    @hookimpl
    def pluto_register_caches():
        return [Component("shelf", factory="shelf:Shelf", config="shelf:ShelfConfig", summary="One dbm file a shard.")]

Hooks choose, protocols work: hooks run once or a few times a run, nothing that happens for every sample is a hook.
The order: every `pluto_register_*` when a command needs the catalogue; `pluto_check_experiment` when an experiment has been
read; then, for every step of a run, `pluto_before_step`, and `pluto_after_step` or `pluto_step_failed`.
`pluto_doctor_checks` belongs to `pluto doctor` alone.
"""

# mypy: disable-error-code="empty-body"

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pluto_core.component import Component, hookspec
from pluto_core.errors import Mistake

if TYPE_CHECKING:
    from pluto_core.moments import ExperimentView, StepReport, StepView

# ---------------------------------------------------------------------------------------------------------------------
# What a plugin offers. Called once when a command needs the catalogue; nothing heavy may be imported.
# ---------------------------------------------------------------------------------------------------------------------


@hookspec
def pluto_register_sources() -> Iterable[Component]:
    """Return sources: `[source]`.

    Example: `[Component("nuplan", factory="pluto_nuplan.source:make", config=..., summary="nuPlan logs.")]`
    """


@hookspec
def pluto_register_features() -> Iterable[Component]:
    """Return feature builders: `[[features]]`; each names what it `provides`.

    Example: `[Component("pluto", factory="pluto_planner.features:make", config=..., provides=..., summary=...)]`
    """


@hookspec
def pluto_register_targets() -> Iterable[Component]:
    """Return target builders: `[[targets]]`; the same as features, for what only training needs.

    Example: `[Component("ego_trajectory", factory=..., config=..., provides=..., summary="Future poses of the ego vehicle.")]`
    """


@hookspec
def pluto_register_caches() -> Iterable[Component]:
    """Return shard stores: `[cache]`.

    Example: `[Component("lmdb", factory="pluto_lmdb.shard:make", config=..., summary="Memory-mapped shards.")]`
    """


@hookspec
def pluto_register_splitters() -> Iterable[Component]:
    """Return splitters: `[splitter]`.

    Example: `[Component("by_log", factory=..., config=..., summary="Fractions of logs, by a hash of their names.")]`
    """


@hookspec
def pluto_register_augmentations() -> Iterable[Component]:
    """Return augmentations: `[[augmentations]]`, applied in the order of the file.

    Example: `[Component("contrastive", factory=..., config=..., requires="pluto_augment.schema:needs", summary=...)]`
    """


@hookspec
def pluto_register_models() -> Iterable[Component]:
    """Return models: `[model]`; `requires` names the samples they read and the features to take where none are named.

    Example: `[Component("pluto", factory="pluto_planner.model:make", config=..., requires=..., summary=...)]`
    """


@hookspec
def pluto_register_objectives() -> Iterable[Component]:
    """Return objectives: `[objective]`; where the experiment names none, the one with the model's name is taken.

    Example: `[Component("pluto", factory="pluto_planner.objective:make", config=..., summary="All losses of PLUTO.")]`
    """


@hookspec
def pluto_register_optimizers() -> Iterable[Component]:
    """Return optimizers: `[optimizer]`.

    Example: `[Component("adamw", factory="pluto_lightning.optimizers:adamw", config=..., summary="AdamW with two groups.")]`
    """


@hookspec
def pluto_register_schedules() -> Iterable[Component]:
    """Return learning-rate schedules: `[schedule]`.

    Example: `[Component("warmup_cosine", factory=..., config=..., summary="Linear warm-up, then half a cosine.")]`
    """


@hookspec
def pluto_register_trainers() -> Iterable[Component]:
    """Return trainers: `[trainer]`.

    Example: `[Component("lightning", factory="pluto_lightning.trainer:make", config=..., summary="PyTorch Lightning.")]`
    """


@hookspec
def pluto_register_workers() -> Iterable[Component]:
    """Return workers: `[worker]`.

    Example: `[Component("ray", factory="pluto_ray.worker:make", config=..., extra="ray", summary="A Ray cluster.")]`
    """


@hookspec
def pluto_register_loggers() -> Iterable[Component]:
    """Return loggers: `[[loggers]]`.

    Example: `[Component("tensorboard", factory="pluto_lightning.loggers:tensorboard", config=..., summary=...)]`
    """


@hookspec
def pluto_register_callbacks() -> Iterable[Component]:
    """Return callbacks of the trainer: `[[callbacks]]`.

    Example: `[Component("early_stopping", factory="pluto_lightning.callbacks:early_stopping", config=..., summary=...)]`
    """


@hookspec
def pluto_register_presets() -> Mapping[str, str]:
    """Return presets: name to `package:path/inside/it.toml`, for `extends = "preset:NAME"` and `preset = "NAME"`.

    Example: `{"pluto": "pluto_planner:presets/pluto.toml"}`
    """


# ---------------------------------------------------------------------------------------------------------------------
# Moments of a run.
# ---------------------------------------------------------------------------------------------------------------------


@hookspec
def pluto_check_experiment(experiment: "ExperimentView") -> Iterable[Mistake]:
    """Return mistakes that only this plugin can see in an experiment. Called by `check` and before every run.

    Args:
        experiment: The resolved experiment: which component each section selects, and its config.

    Example: a plugin whose model cannot work with another plugin's augmentation says so here.
    """


@hookspec
def pluto_before_step(step: "StepView") -> None:
    """Called when a step of a run (`cache`, `train`, `validate`, `test`) is about to start.

    Args:
        step: Its name, the experiment and the folder of the run.

    Example: tell a chat channel that training starts.
    """


@hookspec
def pluto_after_step(step: "StepView", report: "StepReport") -> Mapping[str, Any] | None:
    """Called when a step ended well; the pictures of a run are drawn here.

    Args:
        step: As in `pluto_before_step`.
        report: What the step did: numbers and files.

    Returns:
        Files it wrote, by what they show; they are added to the summary of the run. None for nothing.

    Example: draw three scenarios with prediction and truth after `validate`.
    """


@hookspec
def pluto_step_failed(step: "StepView", error: BaseException) -> None:
    """Called when a step ended with an error or an interrupt, before it is reported.

    Args:
        step: As in `pluto_before_step`.
        error: What ended it.

    Example: mark the run as failed in a tracking service.
    """


# ---------------------------------------------------------------------------------------------------------------------
# Looking after the installation.
# ---------------------------------------------------------------------------------------------------------------------


@hookspec
def pluto_doctor_checks() -> Mapping[str, str]:
    """Return what `pluto doctor` shall look at: title to `package.module:function`, imported when the command runs.

    The function is called as `function(surroundings)` with `pluto_core.moments.Surroundings`, and returns or yields
    `pluto_core.moments.Finding`s. One that raises is shown as broken and stops nothing else.

    Example: `{"nuPlan": "pluto_nuplan.doctor:examine"}`
    """
