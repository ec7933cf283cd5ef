"""Where samples to look at come from: built from the dataset, or stored in a cache."""

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.errors import SampleError
from pluto_core.listing import Listing
from pluto_core.pipeline.folder import CacheFolder
from pluto_core.pipeline.reader import CacheReader
from pluto_core.run.workspace import Workspace
from pluto_core.samples import Sample
from pluto_core.scene import ScenarioId, Window

Rows = npt.NDArray[np.int64]


class Supply(Protocol):
    """Gives samples."""

    def samples(self, ids: Sequence[ScenarioId], names: Collection[str] | None = None) -> Iterator[Sample | SampleError]:
        """Yield the samples of some scenarios in order, or some of their arrays; in place of one that cannot be had, why."""
        ...


@attrs.frozen(eq=False)
class Built:
    """Samples built from the dataset."""

    workspace: Workspace

    def samples(self, ids: Sequence[ScenarioId], names: Collection[str] | None = None) -> Iterator[Sample | SampleError]:
        """Yield the samples of some scenarios in order, or some of their arrays; in place of one that cannot be built, why."""
        source = self.workspace.source
        assert source is not None
        builders = self.workspace.made_builders
        window = Window.union(builder.window for _, builder in builders)
        for one in ids:
            try:
                scene = source.load(one, window)
                made: Sample = {}
                for _, builder in builders:
                    made.update(builder.build(scene.narrow(builder.window)))
            except SampleError as error:
                yield error
            else:
                yield made if names is None else {name: made[name] for name in names if name in made}


@attrs.frozen(eq=False)
class Stored:
    """Samples of a cache."""

    reader: CacheReader

    @property
    def folder(self) -> CacheFolder:
        """Return the cache."""
        return self.reader.folder

    def samples(self, ids: Sequence[ScenarioId], names: Collection[str] | None = None) -> Iterator[Sample | SampleError]:
        """Yield the samples of some scenarios in order, or some of their arrays; in place of one that is damaged, why."""
        for one in ids:
            try:
                yield self.reader.get_many([one.key], names)[0]
            except SampleError as error:
                yield error


def row_of(listing: Listing, keys: Sequence[str]) -> Rows:
    """Return the rows of some scenario keys, in their order; keys that are not listed are left out."""
    place = {one.key: row for row, one in enumerate(listing.ids())}
    return np.asarray([place[key] for key in keys if key in place], np.int64)
