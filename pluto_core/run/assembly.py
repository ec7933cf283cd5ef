"""What a trainer is given, put together from an experiment."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from pluto_core.jobs import TrainingJob
from pluto_core.protocols import BatchSource
from pluto_core.run.workspace import Workspace


def training_job(workspace: Workspace, run_dir: Path, parts: Mapping[str, BatchSource], *, interactive: bool) -> TrainingJob:
    """Return the job of a trainer.

    Args:
        workspace: Of the experiment.
        run_dir: Where the trainer may write.
        parts: Batches by part.
        interactive: Whether to show progress bars.
    """
    experiment = workspace.experiment
    context = workspace.context(run_dir=run_dir, sample_spec=workspace.sample_spec)

    def make(section: str) -> Callable[[], Any]:
        return lambda: experiment.make(section, context)

    def make_objective(model: Any) -> Any:
        return experiment.make("objective", attrs.evolve(context, shared={"model": model}))

    return TrainingJob(
        run_dir=run_dir,
        seed=experiment.seed,
        resolved=experiment.resolved,
        make_model=make("model"),
        make_objective=make_objective,
        make_optimizer=make("optimizer"),
        make_schedule=make("schedule"),
        parts=parts,
        loggers=experiment.make_all("loggers", context),
        callbacks=experiment.make_all("callbacks", context),
        interactive=interactive,
    )
