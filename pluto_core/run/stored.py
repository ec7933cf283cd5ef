"""The scenarios of a cache as a source that lists and does not load: training without the dataset."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.filters import ScenarioFilter
from pluto_core.jobs import Identity
from pluto_core.listing import Listing, Names
from pluto_core.pipeline.reader import CacheReader
from pluto_core.scene import ScenarioId, Scene, Window

_LOADS_NOTHING = "the cache alone cannot give scenes; set cache.only = false and name the dataset in [source]"


class StoredScenarios:
    """What a cache holds, by the filter fields that its index can answer."""

    answers = frozenset({"log_names", "scenario_types", "scenario_tokens", "map_names"})

    def __init__(self, reader: CacheReader) -> None:
        """Take the reader of the cache."""
        self._listing = reader.listing

    def list(self, wanted: ScenarioFilter) -> Listing:
        """Return the stored scenarios that a filter takes."""
        listing = self._listing
        kept = np.ones(len(listing), np.bool_)
        for column, names in (
            (listing.logs, wanted.log_names),
            (listing.types, wanted.scenario_types),
            (listing.maps, wanted.map_names),
        ):
            kept &= _among(column, names)
        if wanted.scenario_tokens is not None:
            kept &= np.isin(listing.tokens, np.asarray([token.encode() for token in wanted.scenario_tokens], np.bytes_))
        return listing.take(kept)

    def columns(self, listing: Listing, names: Sequence[str], wanted: ScenarioFilter) -> Mapping[str, npt.NDArray[Any]]:
        """Return nothing: no field that needs a column is answered."""
        del listing, names, wanted
        return {}

    def load(self, scenario: ScenarioId, window: Window) -> Scene:
        """Refuse to load.

        Raises:
            PlutoError: Always.
        """
        del scenario, window
        raise PlutoError(_LOADS_NOTHING)

    def load_many(self, scenarios: Sequence[ScenarioId], window: Window) -> Iterator[Scene | SampleError]:
        """Refuse to load.

        Raises:
            PlutoError: Always.
        """
        del scenarios, window
        raise PlutoError(_LOADS_NOTHING)

    def identity(self) -> Identity:
        """Return that this is the cache itself."""
        return Identity(reader="cache/1", settings={}, dataset={})

    def problems(self) -> Sequence[tuple[str, Reason, str]]:
        """Return nothing: no log was read."""
        return ()


def _among(column: Names, names: Sequence[str] | None) -> npt.NDArray[np.bool_]:
    if names is None:
        return np.ones(len(column), np.bool_)
    wanted = np.asarray([value in set(names) for value in column.values], np.bool_)
    return wanted[column.codes] if len(wanted) else np.zeros(len(column), np.bool_)
