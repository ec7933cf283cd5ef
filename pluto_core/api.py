"""pluto in Python: read an experiment, check it, run it, open its cache. What the commands do, for notebooks and scripts.

    from pluto_core import api

    experiment = api.read("experiments/sanity.toml", {"trainer.epochs": 2})
    done = api.run(experiment)
    print(done.results["steps"]["validate"]["metrics"]["planner"])

    samples = api.open_cache("runs/cache")
    first = samples.get_many(samples.keys[:1])[0]["agent/position"]

    scenarios = api.scenarios(experiment)  # or the path of a run or a cache
    scenarios.scene(0), scenarios.sample(0), scenarios.drawing(0)

Nothing here imports torch; what an experiment selects does, when it runs. Mistakes are `pluto_core.PlutoError`.
"""

import json
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from pluto_core import experiment as experiments
from pluto_core.errors import ExperimentError, Mistake, PlutoError
from pluto_core.experiment import Experiment
from pluto_core.experiment.tomltext import write_value
from pluto_core.pipeline.reader import CacheReader
from pluto_core.plugins import Catalogue
from pluto_core.run import checkpoints, predicting
from pluto_core.run.caches import cache_at, stored_builders
from pluto_core.run.execute import perform
from pluto_core.run.opening import of_experiment, results_of, scenarios_at
from pluto_core.run.predicting import Predictions
from pluto_core.run.scenarios import Drawing, Note, Scenarios, silent
from pluto_core.run.workspace import Workspace

__all__ = [
    "Checked",
    "Drawing",
    "Finished",
    "Predictions",
    "Scenarios",
    "check",
    "open_cache",
    "predict",
    "read",
    "results",
    "run",
    "scenarios",
]

NOTHING: Mapping[str, Any] = {}


@attrs.frozen
class Checked:
    """What `check` found."""

    mistakes: tuple[Mistake, ...]
    """Everything that is wrong, in the order of the file; empty where the experiment can be run."""
    notes: tuple[Mistake, ...] = ()
    """What is no mistake but worth a look, and what a run would miss here: environment variables, extras."""


@attrs.frozen
class Finished:
    """What a run left."""

    path: Path
    """Its folder."""
    results: Mapping[str, Any]
    """`results.json`: numbers of every step, files, versions."""


def read(
    path: str | os.PathLike[str],
    settings: Mapping[str, Any] = NOTHING,
    *,
    modules: Sequence[str] = (),
    without: Collection[str] = (),
) -> Experiment:
    """Return the experiment in a file.

    Args:
        path: The file.
        settings: What overrides it, by dotted key: `{"loader.batch_size": 16}`, as behind `--set`.
        modules: Names of modules to load as plugins, beside the installed ones and those that the file names.
        without: Names of plugins to leave out.

    Raises:
        ExperimentError: Everything that is wrong with it; `mistakes` holds them one by one.
    """
    given = [f"{key}={_written(key, value)}" for key, value in settings.items()]
    return experiments.read(Path(path), settings=given, modules=modules, without=without)


def _written(key: str, value: Any) -> str:
    try:
        return write_value(os.fspath(value) if isinstance(value, os.PathLike) else value)
    except TypeError as error:
        raise PlutoError(f"settings: {key}: {error}") from None


def check(
    path: str | os.PathLike[str],
    settings: Mapping[str, Any] = NOTHING,
    *,
    modules: Sequence[str] = (),
    without: Collection[str] = (),
) -> Checked:
    """Return what is wrong with the experiment in a file, without running it. Arguments as in `read`."""
    try:
        found = read(path, settings, modules=modules, without=without)
    except ExperimentError as error:
        return Checked(tuple(error.mistakes))
    return Checked((), (*found.notes, *found.unset, *found.lacking))


def run(
    experiment: Experiment,
    *,
    only: Collection[str] = (),
    fresh: bool = False,
    progress: bool = False,
    checkpoint: str | None = None,
) -> Finished:
    """Do the steps of an experiment, and return what the run left.

    An unfinished run of the same settings goes on where it stopped, as with the command.

    Args:
        experiment: What `read` gave.
        only: Steps to do, of those that the experiment has; none: all that are not done.
        fresh: Start a new run in any case; with the step `cache`, the cache is deleted first, without a question.
        progress: Whether to show progress bars where there is a terminal.
        checkpoint: What `validate` and `test` judge, in place of what the experiment says: `best`, `last` or a path.

    Raises:
        PlutoError: A step is unknown or cannot be done, or an environment variable or an extra is missing.
    """
    unknown = [step for step in only if step not in experiment.steps]
    if unknown:
        raise PlutoError(f"only: {unknown[0]!r} is none of the experiment's steps ({', '.join(experiment.steps)})")
    experiment.require_variables()
    experiment.require_extras()
    done = perform(experiment, only=only, fresh=fresh, yes=True, progress=progress, checkpoint=checkpoint)
    if done is None:  # nobody is asked where `yes` is said
        message = "the run was not started"
        raise PlutoError(message)
    return Finished(done.path, json.loads((done.path / "results.json").read_text(encoding="utf-8")))


def predict(
    experiment: Experiment, tokens: Sequence[str], *, checkpoint: str | os.PathLike[str] | None = None, note: Note = silent
) -> Predictions:
    """Return what a trained planner intends for every scenario that has one of some tokens.

    Args:
        experiment: What `read` gave. Samples come from its cache, which is not written, else from its source.
        tokens: Names of scenarios, whether its filter takes them or not.
        checkpoint: `best` or `last` of its newest run, or a path, in place of what the experiment says.
        note: Told what the command would say meanwhile.

    Raises:
        PlutoError: There is no checkpoint or it does not fit, a scenario is not known, or none gives a sample.
    """
    experiment.require_variables()
    experiment.require_extras()
    path = checkpoints.find(experiment, os.fspath(checkpoint or experiment.checkpoint))
    return predicting.predict(Workspace(experiment, note), tokens, path, note)


def open_cache(
    path: str | os.PathLike[str],
    *,
    builders: Sequence[str] | None = None,
    verify: bool = False,
    modules: Sequence[str] = (),
    without: Collection[str] = (),
) -> CacheReader:
    """Return a reader of a cache's samples: `keys`, `spec`, `listing`, `get_many(keys)`; it can be pickled to other processes.

    Args:
        path: Folder of the cache.
        builders: Tags of the builders whose arrays are wanted; None: all that ever wrote into the cache.
        verify: Whether to prove what is read: checksums, shapes, and what the builders ask of their samples.
        modules: Names of modules to load as plugins, for caches that they store.
        without: Names of plugins to leave out.

    Raises:
        PlutoError: There is no cache, or it cannot be read.
    """
    catalogue = Catalogue.load(modules=modules, without=without)
    folder = cache_at(Path(path), catalogue)
    made = stored_builders(folder.manifest, catalogue) if verify else None
    return folder.reader(builders, verify=verify, make_builders=made)


def scenarios(
    what: Experiment | str | os.PathLike[str],
    settings: Mapping[str, Any] | Sequence[str] = (),
    *,
    part: str | None = None,
    modules: Sequence[str] = (),
    without: Collection[str] = (),
    note: Note = silent,
) -> Scenarios:
    """Return scenarios to look at: of an experiment, of a cache, or of a run with what it planned.

    Nothing is computed before it is asked for, and nothing is written. `listing` says what there is; `scene`, `sample` and
    `drawing` take a row of it or a token.

    Args:
        what: What `read` gave, or the path of an experiment's file, of a run or of a cache.
        settings: What overrides the file of an experiment, as in `read`, or as `KEY=VALUE`s.
        part: Of a run: which predictions, `val` or `test`; None: the last there are.
        modules: Names of modules to load as plugins.
        without: Names of plugins to leave out.
        note: Takes lines for the user.

    Raises:
        PlutoError: There is no such thing, or it cannot be read.
    """
    if isinstance(what, Experiment):
        return of_experiment(what, note)
    if isinstance(settings, Mapping):
        settings = [f"{key}={_written(key, value)}" for key, value in settings.items()]
    return scenarios_at(Path(what), settings=settings, modules=modules, without=without, part=part, note=note)


def results(path: str | os.PathLike[str]) -> Mapping[str, Any]:
    """Return the numbers of a run: its `results.json`, or of a run that did not end, what it did so far.

    Raises:
        PlutoError: There is no run at that path.
    """
    return results_of(Path(path))
