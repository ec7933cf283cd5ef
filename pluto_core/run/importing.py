"""Taking over what another program cached: the cache step, with a foreign cache in place of source and builder."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from pluto_core.component import Context
from pluto_core.errors import PlutoError, SampleError
from pluto_core.filters import ScenarioFilter
from pluto_core.listing import Listing
from pluto_core.pipeline.caching import CacheReport, cache_scenarios
from pluto_core.pipeline.fingerprint import fingerprint
from pluto_core.pipeline.folder import CacheFolder
from pluto_core.pipeline.progress import Progress
from pluto_core.pipeline.selection import filter_digest
from pluto_core.plugins import Catalogue
from pluto_core.protocols import ForeignCache, SceneBuilder
from pluto_core.samples import Sample
from pluto_core.scene import ScenarioId, Window


def take(
    foreign: ForeignCache,
    target: Path,
    use: str,
    catalogue: Catalogue,
    *,
    progress: Callable[[Progress], None],
    note: Callable[[str], None],
) -> CacheReport:
    """Store what a foreign cache holds and `target` lacks; interrupted, the next call goes on.

    Args:
        foreign: What to read.
        target: The cache folder; made where there is none.
        use: Name of the component that stores its shards.
        catalogue: What plugins offer.
        progress: Shown a few times a second.
        note: Says one line to the user.

    Raises:
        PlutoError: The target holds samples of other shape under the same name, or ends with its process.
    """
    context = Context(note=note)
    store: Any = catalogue.make("caches", use, catalogue.config_class("caches", use)(), context)
    if not store.suffix:
        message = f"a cache in {use!r} ends with its process; name another store with --use"
        raise PlutoError(message)
    folder = CacheFolder(target, store, name=use)
    builder: Any = catalogue.make("features", foreign.use, foreign.config, context)
    folder.open_or_create(fingerprint(None, [(foreign.use, builder, foreign.config)]), note=note)
    listing = foreign.list()
    worker: Any = catalogue.make("workers", "sequential", catalogue.config_class("workers", "sequential")(), context)
    report = cache_scenarios(
        listing=listing,
        tags=[foreign.use],
        make_source=_Made(_Carrying(foreign)),
        make_builders=_Made([(foreign.use, _Reading(foreign, builder))]),
        folder=folder,
        worker=worker,
        progress=progress,
        note=note,
    )
    _list_all(folder, listing)
    return report


def _list_all(folder: CacheFolder, listing: Listing) -> None:
    """Store what an experiment without a filter takes: all that was ever imported, with types as they were cached."""
    digest = filter_digest(ScenarioFilter(), None)
    known = folder.load_listing(digest)
    if known is not None:
        before = set(known[0].ids())
        new = np.asarray([one not in before for one in listing.ids()], np.bool_)
        listing = Listing.concatenated([known[0], listing.take(new)])
    folder.save_listing(digest, listing, {"stages": [["imported", len(listing)]]})


@attrs.frozen
class _Made:
    """Gives what is there already, wherever it is sent."""

    value: Any

    def __call__(self) -> Any:
        return self.value


@attrs.frozen
class _Named:
    """In place of a scene: which sample to read."""

    id: ScenarioId

    def narrow(self, _window: Window) -> "_Named":
        """Return itself: nothing was loaded."""
        return self


@attrs.frozen
class _Carrying:
    """In place of a source: passes names on."""

    foreign: ForeignCache

    def load_many(self, scenarios: Sequence[ScenarioId], _window: Window) -> Iterator[_Named | SampleError]:
        """Yield the names of samples."""
        return (_Named(one) for one in scenarios)


class _Reading:
    """In place of a builder: reads a sample where a builder would compute it."""

    def __init__(self, foreign: ForeignCache, builder: SceneBuilder) -> None:
        self._foreign = foreign
        self.version, self.window, self.spec = builder.version, builder.window, builder.spec

    def build(self, scene: _Named) -> Sample:
        """Return the sample of a name."""
        return self._foreign.read(scene.id)
