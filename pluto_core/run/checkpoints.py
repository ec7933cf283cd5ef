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


def find(experiment: Experiment, wanted: str) -> Path:
    """Return a checkpoint of an experiment.

    Args:
        experiment: Its runs are searched, the newest first: those of the same settings, then the others.
        wanted: `best`, `last`, or the path of a file.

    Raises:
        PlutoError: There is none.
    """
    if wanted not in _FILES:
        if Path(wanted).is_file():
            return Path(wanted)
        message = f"there is no checkpoint {wanted}; name a file, or {BEST} or {LAST} of the experiment's newest run"
        raise PlutoError(message)
    runs = existing(experiment.output_dir)[::-1]
    digest = digest_of(experiment.settings)
    for run in sorted(runs, key=lambda run: run.digest != digest):
        path = of_run(run, wanted)
        if path is not None:
            return path
    message = f"no run in {experiment.output_dir} has a checkpoint; do the step first: pluto run FILE --only train"
    raise PlutoError(message)
