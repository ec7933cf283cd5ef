"""What a command may know of an experiment's cache and scenarios without writing anything."""

from pluto_core.errors import PlutoError
from pluto_core.listing import Listing
from pluto_core.pipeline import manifest
from pluto_core.pipeline.folder import CacheFolder
from pluto_core.pipeline.selection import filter_digest, select
from pluto_core.protocols import ScenarioSource
from pluto_core.run.workspace import Workspace


def existing_cache(workspace: Workspace) -> tuple[CacheFolder | None, tuple[str, ...]]:
    """Return the cache of an experiment where it fits, else why it does not."""
    path = workspace.cache_path
    if not (path / manifest.NAME).exists():
        strangers = path.is_file() or (path.is_dir() and any(path.iterdir()))
        return None, (f"{path} holds something else and is no cache; choose another cache.path",) if strangers else ()
    folder = CacheFolder(path, workspace.store, name=workspace.experiment.selected("cache")[0].use)
    try:
        different = folder.manifest.fingerprint.differences(workspace.fingerprint)
    except PlutoError as error:
        return None, (str(error),)
    if different:
        return None, (f"the cache {path} was made from something else:", *(f"  {line}" for line in different))
    return folder, ()


def scenarios_of(workspace: Workspace, source: ScenarioSource, folder: CacheFolder | None) -> Listing:
    """Return the scenarios of the experiment's filter, from the cache where it holds that listing."""
    experiment = workspace.experiment
    stored = folder and folder.load_listing(filter_digest(experiment.filter, source.identity(), experiment.seed))
    if stored:
        return stored[0]
    selected = select(source, experiment.filter, experiment.seed)
    workspace.explain(selected)
    return selected.listing
