"""Which checkpoint is meant by `best`, `last`, or a path."""

from pathlib import Path

from pluto_core.errors import PlutoError
from pluto_core.experiment import Experiment
from pluto_core.run.folders import Run, digest_of, existing

BEST, LAST = "best", "last"
_FILES = {BEST: ("checkpoint (best)", "checkpoint (last)"), LAST: ("checkpoint (last)",)}
"""Names under which the step `train` tells what it wrote; the best is the last where nothing told which was better."""


def of_run(run: Run, wanted: str) -> Path | None:
    """Return the `best` or `last` checkpoint of a run; None where it has none."""
    files = run.steps.get("train", {}).get("files", {})
    return next((Path(files[name]) for name in _FILES[wanted] if name in files and Path(files[name]).is_file()), None)


def judged(run: Run, wanted: str) -> Path:
    """Return the checkpoint that a run judges.

    Args:
        run: The run.
        wanted: `best` or `last` of the run itself, or the path of a file or of another run.

    Raises:
        PlutoError: There is none.
    """
    path = of_run(run, wanted) if wanted in _FILES else at(Path(wanted))
    if path is None:
        message = (
            f"run {run.path} has no checkpoint to evaluate; do the step 'train' first, "
            "or name a checkpoint, a file or the folder of another run, with --checkpoint"
        )
        raise PlutoError(message)
    return path


def at(path: Path) -> Path:
    """Return the checkpoint at a path: the file itself, or the best of a run's folder.

    Raises:
        PlutoError: There is none.
    """
    if path.is_file():
        return path
    runs = [run for run in existing(path.parent) if run.path.name == path.name]
    found = of_run(runs[0], BEST) if runs else None
    if found is None:
        message = f"there is no checkpoint {path}; name a file, the folder of a run, or {BEST} or {LAST}"
        raise PlutoError(message)
    return found


def find(experiment: Experiment, wanted: str) -> Path:
    """Return a checkpoint of an experiment.

    Args:
        experiment: Its runs are searched, the newest first: those of the same settings, then the others.
        wanted: `best`, `last`, or the path of a file or of a run's folder.

    Raises:
        PlutoError: There is none.
    """
    if wanted not in _FILES:
        return at(Path(wanted))
    runs = existing(experiment.output_dir)[::-1]
    digest = digest_of(experiment.settings)
    for run in sorted(runs, key=lambda run: run.digest != digest):
        path = of_run(run, wanted)
        if path is not None:
            return path
    message = f"no run in {experiment.output_dir} has a checkpoint; do the step first: pluto run FILE --only train"
    raise PlutoError(message)
