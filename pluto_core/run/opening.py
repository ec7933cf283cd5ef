"""From a path to scenarios: the file of an experiment, the folder of a cache, or the folder of a run."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pluto_core.errors import PlutoError, SampleError
from pluto_core.experiment import Experiment, read
from pluto_core.listing import Listing
from pluto_core.pipeline import codec, manifest
from pluto_core.pipeline.folder import CacheFolder
from pluto_core.pipeline.selection import filter_digest, select
from pluto_core.places.files import content, parsed
from pluto_core.plan import Plan
from pluto_core.plugins import Catalogue
from pluto_core.protocols import ShardReader, ShardStore
from pluto_core.run import folders
from pluto_core.run.caches import cache_at, stored_builders
from pluto_core.run.scenarios import Note, Predictions, Scenarios, silent
from pluto_core.run.supplies import Built, Stored, row_of
from pluto_core.run.workspace import Workspace

PARTS = ("test", "val", "train")
"""Parts whose predictions are looked for, in this order."""


def scenarios_at(
    path: Path,
    *,
    settings: Sequence[str] = (),
    modules: Sequence[str] = (),
    without: Collection[str] = (),
    part: str | None = None,
    note: Note = silent,
) -> Scenarios:
    """Return the scenarios of an experiment's file, of a cache, or of a run.

    Args:
        path: What to look at.
        settings: `KEY=VALUE`s that override settings of an experiment.
        modules: Modules to load as plugins.
        without: Plugins to leave out.
        part: Of a run: which predictions, `val` or `test`; None: the last there are.
        note: Takes one line for the user.

    Raises:
        PlutoError: There is no such thing, or it cannot be read.
    """
    if (path / folders.RESOLVED).is_file():
        return of_run(path, modules=modules, without=without, part=part, note=note)
    if (path / manifest.NAME).is_file():
        _refuse(path, settings, part)
        return of_cache(path, Catalogue.load(modules=modules, without=without), note)
    if path.is_dir():
        message = f"{path} is no run (it has no {folders.RESOLVED}) and no cache (it has no {manifest.NAME})"
        raise PlutoError(message)
    if part is not None:
        message = f"part {part!r}: only a run has parts with predictions; {path} is an experiment"
        raise PlutoError(message)
    return of_experiment(read(path, settings=settings, modules=modules, without=without), note)


def _refuse(path: Path, settings: Sequence[str], part: str | None) -> None:
    if settings or part is not None:
        raise PlutoError(f"{path} is a cache: it has no settings to change and no parts")


def of_experiment(experiment: Experiment, note: Note = silent) -> Scenarios:
    """Return the scenarios that an experiment's filter takes: from its source where it has one, else from its cache.

    Nothing is written.

    Raises:
        PlutoError: There is neither a source nor a cache, or the filter takes nothing.
    """
    experiment.require_variables()
    workspace = Workspace(experiment, note)
    if workspace.source is None:
        reader = _cache_of(workspace, ()).reader(workspace.builders.tags)
        return Scenarios(reader.listing, Stored(reader), workspace.made_builders, workspace=workspace)
    listing = _listing(workspace)
    if len(listing) == 0:
        message = f"the filter of {experiment.path} takes no scenario; loosen [filter] (`pluto scenarios` says which stage)"
        raise PlutoError(message)
    return Scenarios(listing, Built(workspace), workspace.made_builders, workspace=workspace)


def _listing(workspace: Workspace) -> Listing:
    """Return the scenarios of the filter; from the cache where it holds that listing."""
    experiment, source = workspace.experiment, workspace.source
    assert source is not None
    if (workspace.cache_path / manifest.NAME).is_file():
        folder = CacheFolder(workspace.cache_path, workspace.store)
        stored = folder.load_listing(filter_digest(experiment.filter, source.identity(), experiment.seed))
        if stored is not None:
            return stored[0]
    workspace.note("listing scenarios")
    return select(source, experiment.filter, experiment.seed).listing


def of_cache(path: Path, catalogue: Catalogue, note: Note = silent) -> Scenarios:
    """Return the scenarios of a cache, with those of its builders that can be made again as they were.

    Raises:
        PlutoError: It is no cache, or none of its builders can be made.
    """
    folder = cache_at(path, catalogue)
    builders = stored_builders(folder.manifest, catalogue)
    missing = sorted(set(folder.manifest.tags) - set(builders.tags))
    if missing:
        note(f"builders of another version or plugin are left out: {', '.join(missing)}")
    if not builders.tags:
        message = f"{path}: none of its builders ({', '.join(folder.manifest.tags)}) is there as it was; name an experiment"
        raise PlutoError(message)
    reader = folder.reader(builders.tags)
    return Scenarios(reader.listing, Stored(reader), builders())


def of_run(
    path: Path,
    *,
    modules: Sequence[str] = (),
    without: Collection[str] = (),
    part: str | None = None,
    note: Note = silent,
) -> Scenarios:
    """Return the scenarios for which a run planned, as its cache holds them.

    Raises:
        PlutoError: The run, its predictions or its cache are not there, or cannot be read.
    """
    experiment = read(path / folders.RESOLVED, modules=modules, without=without)
    workspace = Workspace(experiment, note)
    found = predictions(path, workspace.store, part)
    reader = _cache_of(workspace, (path.absolute().parent / "cache",), path).reader(workspace.builders.tags)
    listing = reader.listing
    rows = row_of(listing, list(found.by_key))
    if len(rows) < len(found.by_key):
        note(f"{len(found.by_key) - len(rows)} scenarios are not in the cache any more")
    return Scenarios(listing.take(rows), Stored(reader), workspace.made_builders, workspace=workspace, predictions=found)


def _cache_of(workspace: Workspace, others: Sequence[Path], run: Path | None = None) -> CacheFolder:
    """Return the cache of an experiment; where a run was moved, the one beside it."""
    places = [workspace.cache_path, *others]
    found = next((place for place in places if (place / manifest.NAME).is_file()), None)
    if found is None:
        whose = f"the run {run}" if run else f"{workspace.experiment.path}"
        looked = " or ".join(map(str, places))
        raise PlutoError(f"{whose}: there is no cache at {looked}, and samples are needed to draw")
    return CacheFolder(found, workspace.store, name=workspace.experiment.selected("cache")[0].use)


def predictions(run: Path, store: ShardStore, part: str | None = None) -> Predictions:
    """Return what a run planned, by scenario key.

    Raises:
        PlutoError: There are no predictions.
    """
    for name in (part,) if part is not None else PARTS:
        path = run / "predictions" / f"{name}{store.suffix}"
        if store.suffix and path.exists():
            return Predictions(part=str(name), by_key=_Plans(store.open(path)))
    which = f" of the part {part!r}" if part else ""
    raise PlutoError(f"the run {run} has no predictions{which}; they are made by the steps validate and test")


class _Plans(Mapping[str, Plan]):
    """Stored plans by scenario key, each read when it is asked for."""

    def __init__(self, reader: ShardReader) -> None:
        self._reader = reader
        stored: Iterable[bytes] = reader.keys()
        self._keys = [key.decode() for key in stored]

    def __getitem__(self, key: str) -> Plan:
        try:
            arrays = codec.decode(self._reader.get(key.encode()))
        except SampleError as error:
            raise PlutoError(f"the predictions of the run cannot be read: {error.detail}; evaluate it again") from None
        return Plan(trajectories=arrays["trajectories"][None], probabilities=arrays["probabilities"][None])

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def results_of(run: Path) -> dict[str, Any]:
    """Return a run's `results.json`; of a run that did not end, what its state says so far.

    Raises:
        PlutoError: It is no run.
    """
    state = next((one for one in folders.existing(run.absolute().parent) if one.path.name == run.absolute().name), None)
    try:
        found = parsed(content(run / "results.json"))
    except (OSError, ValueError):
        found = {}
    stored: dict[str, Any] = found if isinstance(found, dict) else {}
    if state is None and not stored:
        raise PlutoError(f"{run} is no run: it has neither results.json nor state.json")
    if state is not None:
        stored |= {"status": state.status, "started": state.started, "steps": state.steps}
    return stored
