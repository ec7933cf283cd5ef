"""The hooks of pluto, in the order in which they are called.

A plugin is a module named by an entry point of the group `pluto`. It implements what it needs with `pluto_core.hookimpl`:

    from pluto_core import Component, hookimpl


    @hookimpl
    def pluto_register_caches():
        return [Component("shelf", factory="shelf:Shelf", config="shelf:ShelfConfig", summary="One dbm file a shard.")]

Hooks choose, protocols work: hooks run once or a few times a run, nothing that happens for every sample is a hook.
The order: every `pluto_register_*` when a command needs the catalogue; `pluto_check_experiment` when an experiment has been
read; then, for every step of a run, `pluto_before_step`, and `pluto_after_step` or `pluto_step_failed`.
`pluto_doctor_checks` belongs to `pluto doctor` alone, `pluto_cache_importers` to `pluto cache import`.
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

    Example:
        @hookimpl
        def pluto_register_sources():
            return [
                Component(
                    "shelf",
                    factory="pluto_shelf.source:make",
                    config="pluto_shelf.config:ShelfSourceConfig",
                    facts={"answers": frozenset({"log_names", "scenario_tokens"})},
                    summary="Recordings of the shelf project.",
                )
            ]
    """


@hookspec
def pluto_register_features() -> Iterable[Component]:
    """Return feature builders: `[[features]]`; each names what it `provides`.

    Example:
        @hookimpl
        def pluto_register_features():
            return [
                Component(
                    "occupancy",
                    factory="pluto_shelf.occupancy:make",
                    config="pluto_shelf.config:OccupancyConfig",
                    provides="pluto_shelf.schema:occupancy",
                    summary="Occupied cells around the ego vehicle.",
                )
            ]
    """


@hookspec
def pluto_register_targets() -> Iterable[Component]:
    """Return target builders: `[[targets]]`; the same as features, for what only training needs.

    Example:
        @hookimpl
        def pluto_register_targets():
            return [
                Component(
                    "occupied_later",
                    factory="pluto_shelf.occupancy:later",
                    config="pluto_shelf.config:OccupancyConfig",
                    provides="pluto_shelf.schema:later",
                    summary="Occupied cells one second later.",
                )
            ]
    """


@hookspec
def pluto_register_caches() -> Iterable[Component]:
    """Return shard stores: `[cache]`.

    Example:
        @hookimpl
        def pluto_register_caches():
            return [
                Component(
                    "shelf",
                    factory="pluto_shelf.shards:make",
                    config="pluto_shelf.config:ShelfConfig",
                    facts={"shared": True},
                    summary="One dbm file a shard.",
                )
            ]
    """


@hookspec
def pluto_register_splitters() -> Iterable[Component]:
    """Return splitters: `[splitter]`.

    Example:
        @hookimpl
        def pluto_register_splitters():
            return [
                Component(
                    "by_city",
                    factory="pluto_shelf.splits:by_city",
                    config="pluto_shelf.config:ByCityConfig",
                    summary="Cities that are trained on, and cities that are not.",
                )
            ]
    """


@hookspec
def pluto_register_augmentations() -> Iterable[Component]:
    """Return augmentations: `[[augmentations]]`, applied in the order of the file.

    Example:
        @hookimpl
        def pluto_register_augmentations():
            return [
                Component(
                    "mirror",
                    factory="pluto_shelf.mirror:make",
                    config="pluto_shelf.config:MirrorConfig",
                    requires="pluto_shelf.schema:mirror_needs",
                    summary="Left becomes right.",
                )
            ]
    """


@hookspec
def pluto_register_models() -> Iterable[Component]:
    """Return models: `[model]`; `requires` names the samples they read and the features to take where none are named.

    Example:
        @hookimpl
        def pluto_register_models():
            return [
                Component(
                    "shelfnet",
                    factory="pluto_shelf.network:make",
                    config="pluto_shelf.config:ShelfNetConfig",
                    requires="pluto_shelf.schema:shelfnet_needs",
                    summary="A small convolutional planner.",
                )
            ]
    """


@hookspec
def pluto_register_objectives() -> Iterable[Component]:
    """Return objectives: `[objective]`; where the experiment names none, the one with the model's name is taken.

    Example:
        @hookimpl
        def pluto_register_objectives():
            return [
                Component(
                    "shelfnet",
                    factory="pluto_shelf.losses:make",
                    config="pluto_shelf.config:ShelfLossConfig",
                    summary="Imitation, and a penalty for occupied cells.",
                )
            ]
    """


@hookspec
def pluto_register_optimizers() -> Iterable[Component]:
    """Return optimizers: `[optimizer]`.

    Example:
        @hookimpl
        def pluto_register_optimizers():
            return [
                Component(
                    "sgd",
                    factory="pluto_shelf.optimizers:make_sgd",
                    config="pluto_shelf.config:SgdConfig",
                    summary="Plain gradient descent with momentum.",
                )
            ]
    """


@hookspec
def pluto_register_schedules() -> Iterable[Component]:
    """Return learning-rate schedules: `[schedule]`.

    Example:
        @hookimpl
        def pluto_register_schedules():
            return [
                Component(
                    "steps",
                    factory="pluto_shelf.schedules:make_steps",
                    config="pluto_shelf.config:StepsConfig",
                    summary="The learning rate falls by a factor at given epochs.",
                )
            ]
    """


@hookspec
def pluto_register_trainers() -> Iterable[Component]:
    """Return trainers: `[trainer]`.

    Example:
        @hookimpl
        def pluto_register_trainers():
            return [
                Component(
                    "loop",
                    factory="pluto_shelf.loop:make",
                    config="pluto_shelf.config:LoopConfig",
                    summary="A plain training loop on one device.",
                )
            ]
    """


@hookspec
def pluto_register_workers() -> Iterable[Component]:
    """Return workers: `[worker]`.

    Example:
        @hookimpl
        def pluto_register_workers():
            return [
                Component(
                    "cluster",
                    factory="pluto_shelf.cluster:make",
                    config="pluto_shelf.config:ClusterConfig",
                    facts={"processes": True},
                    extra="cluster",
                    summary="The machines of our cluster.",
                )
            ]
    """


@hookspec
def pluto_register_loggers() -> Iterable[Component]:
    """Return loggers: `[[loggers]]`.

    Example:
        @hookimpl
        def pluto_register_loggers():
            return [
                Component(
                    "notebook",
                    factory="pluto_shelf.loggers:make",
                    config="pluto_shelf.config:NotebookConfig",
                    summary="Curves in the notebook that runs.",
                )
            ]
    """


@hookspec
def pluto_register_callbacks() -> Iterable[Component]:
    """Return callbacks of the trainer: `[[callbacks]]`.

    Example:
        @hookimpl
        def pluto_register_callbacks():
            return [
                Component(
                    "best_of_week",
                    factory="pluto_shelf.callbacks:make",
                    config="pluto_shelf.config:BestOfWeekConfig",
                    summary="Keeps the best checkpoint of each week.",
                )
            ]
    """


@hookspec
def pluto_register_presets() -> Mapping[str, str]:
    """Return presets: name to `package:path/inside/it.toml`, for `extends = "preset:NAME"` and `preset = "NAME"`.

    Example:
        @hookimpl
        def pluto_register_presets():
            return {"shelf-small": "pluto_shelf:presets/small.toml"}
    """


# ---------------------------------------------------------------------------------------------------------------------
# Moments of a run.
# ---------------------------------------------------------------------------------------------------------------------


@hookspec
def pluto_check_experiment(experiment: "ExperimentView") -> Iterable[Mistake]:
    """Return mistakes that only this plugin can see in an experiment. Called by `check` and before every run.

    Args:
        experiment: The resolved experiment: which component each section selects, and its config.

    Example:
        @hookimpl
        def pluto_check_experiment(experiment):
            for model in experiment.selected("model"):
                if model.use == "shelfnet" and len(experiment.selected("augmentations")) > 1:
                    yield Mistake(model.where, "augmentations", "'shelfnet' takes one at most; leave the others out")
    """


@hookspec
def pluto_before_step(step: "StepView") -> None:
    """Called when a step of a run (`cache`, `train`, `validate`, `test`) is about to start.

    Args:
        step: Its name, the experiment and the folder of the run.

    Example:
        @hookimpl
        def pluto_before_step(step):
            step.note(f"{step.experiment.name}: {step.name} begins in {step.run_dir}")
    """


@hookspec
def pluto_after_step(step: "StepView", report: "StepReport") -> Mapping[str, Any] | None:
    """Called when a step ended well; the pictures of a run are drawn here.

    Args:
        step: As in `pluto_before_step`.
        report: What the step did: numbers and files.

    Returns:
        Files it wrote, by what they show; they are added to the summary of the run. None for nothing.

    Example:
        @hookimpl
        def pluto_after_step(step, report):
            path = step.run_dir / f"{step.name}-seconds.txt"
            path.write_text(f"{report.seconds:.1f}")
            return {f"time of {step.name}": path}
    """


@hookspec
def pluto_step_failed(step: "StepView", error: BaseException) -> None:
    """Called when a step ended with an error or an interrupt, before it is reported.

    Args:
        step: As in `pluto_before_step`.
        error: What ended it.

    Example:
        @hookimpl
        def pluto_step_failed(step, error):
            step.note(f"{step.name} ended with {type(error).__name__}")
    """


# ---------------------------------------------------------------------------------------------------------------------
# Looking after the installation.
# ---------------------------------------------------------------------------------------------------------------------


@hookspec
def pluto_doctor_checks() -> Mapping[str, str]:
    """Return what `pluto doctor` shall look at: title to `package.module:function`, imported when the command runs.

    The function is called as `function(surroundings)` with `pluto_core.moments.Surroundings`, and returns or yields
    `pluto_core.moments.Finding`s. One that raises is shown as broken and stops nothing else.

    Example:
        @hookimpl
        def pluto_doctor_checks():
            return {"Shelf": "pluto_shelf.doctor:examine"}
    """


@hookspec
def pluto_cache_importers() -> Iterable[Component]:
    """Return what reads caches of other programs, for `pluto cache import`; factories give a `CacheImporter`.

    Each is asked in turn to open the folder, with the settings of `--set`; the first that knows it reads it.

    Example:
        @hookimpl
        def pluto_cache_importers():
            return [
                Component(
                    "shelf_archive",
                    factory="pluto_shelf.archive:make",
                    config="pluto_shelf.config:ArchiveConfig",
                    summary="Archives of the shelf project.",
                )
            ]
    """
