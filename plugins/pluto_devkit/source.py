"""The source `devkit`: what a scenario builder of nuplan-devkit finds, as scenarios."""

import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.component import Context
from pluto_core.errors import Reason, SampleError
from pluto_core.filters import SOURCE_FIELDS, ScenarioFilter
from pluto_core.jobs import Identity
from pluto_core.listing import Listing
from pluto_core.maps import MapView
from pluto_core.scene import ScenarioId, Scene, Window
from pluto_devkit.config import DevkitSourceConfig
from pluto_devkit.extracts import LAYERS, extract
from pluto_devkit.finding import Finder
from pluto_devkit.scenes import scene_of

READER = "devkit/1"
_TILES = 16
"""Extracts of maps that are kept."""


class DevkitSource:
    """Scenarios of an `AbstractScenarioBuilder`. Pickled, it takes its settings along and makes its builder anew."""

    answers = SOURCE_FIELDS

    def __init__(self, config: DevkitSourceConfig) -> None:
        """Make the scenario builder.

        Raises:
            PlutoError: It does not exist, or refuses its arguments.
        """
        self._config = config
        self._finder = Finder(config)
        self._tiles: OrderedDict[tuple[str, int, int], MapView] = OrderedDict()

    def __reduce__(self) -> tuple[type["DevkitSource"], tuple[DevkitSourceConfig]]:
        """Return settings."""
        return DevkitSource, (self._config,)

    def list(self, wanted: ScenarioFilter) -> Listing:
        """Return the candidates, by log and then by time."""
        found = self._finder.find(wanted)
        rows = [(one, scenario.scenario_type, scenario.map_api.map_name) for one, scenario in found.items()]
        return Listing.of(sorted(rows, key=lambda row: (row[0].log, row[0].start_us, row[0].token)))

    def columns(self, listing: Listing, names: Sequence[str], wanted: ScenarioFilter) -> Mapping[str, npt.NDArray[Any]]:
        """Return for each field whether the devkit keeps the scenario; for the displacement, metres that say so."""
        columns: dict[str, npt.NDArray[Any]] = {}
        ids = list(listing.ids())
        for name in names:
            kept = self._finder.find(wanted, also=name)
            column = np.array([one in kept for one in ids], np.bool_)
            threshold = wanted.ego_displacement_minimum_m
            if name == "ego_displacement_minimum_m" and threshold is not None:
                columns[name] = np.where(column, threshold, -1.0)
            else:
                columns[name] = column
        return columns

    def load(self, scenario: ScenarioId, window: Window) -> Scene:
        """Return one scene.

        Raises:
            SampleError: The scenario is not there or cannot be read.
        """
        loaded = next(self.load_many([scenario], window))
        if isinstance(loaded, SampleError):
            raise loaded
        return loaded

    def load_many(self, scenarios: Sequence[ScenarioId], window: Window) -> Iterator[Scene | SampleError]:
        """Yield the scenes of scenarios of one log, in order; in place of one that cannot be read, its error."""
        for identity, scenario in zip(scenarios, self._finder.take(scenarios), strict=True):
            if scenario is None:
                yield SampleError(Reason.UNREADABLE_LOG, f"the scenario builder finds no {identity.key}")
                continue
            try:
                yield scene_of(scenario, identity, window, self._map(scenario))
            except SampleError as error:
                yield error

    def _map(self, scenario: Any) -> MapView:
        """Return the map around a scenario, from a grid of places so that neighbours share it."""
        map_api, radius_m = scenario.map_api, self._config.map_radius_m
        step_m = radius_m / 2
        pose = scenario.initial_ego_state.rear_axle
        tile = map_api.map_name, math.floor(pose.x / step_m), math.floor(pose.y / step_m)
        if tile not in self._tiles:
            center = (tile[1] + 0.5) * step_m, (tile[2] + 0.5) * step_m
            self._tiles[tile] = _extract(map_api, center, radius_m + step_m / 2)
        self._tiles.move_to_end(tile)
        while len(self._tiles) > _TILES:
            self._tiles.popitem(last=False)
        return self._tiles[tile]

    def identity(self) -> Identity:
        """Return the builder and its arguments; the devkit has no list of files, so that changed ones go unnoticed."""
        settings = {"builder": self._config.builder, "map_radius_m": self._config.map_radius_m}
        listing = {"arguments": dict(self._config.arguments)}
        return Identity(reader=READER, settings=settings, dataset=self._finder.dataset(), listing=listing)

    def problems(self) -> Sequence[tuple[str, Reason, str]]:
        """Return nothing: the devkit stops at logs that it cannot read."""
        return ()


def _extract(map_api: Any, center: tuple[float, float], half_side_m: float) -> MapView:
    point, layers = _Point(*center), {one.name: one for one in map_api.get_available_map_objects()}
    asked = {ours: layers[theirs] for ours, theirs in LAYERS.items() if theirs in layers}
    found = map_api.get_proximal_map_objects(point, half_side_m, list(asked.values()))
    x, y = center
    extent = (x - half_side_m, y - half_side_m, x + half_side_m, y + half_side_m)
    return extract({ours: found[theirs] for ours, theirs in asked.items()}, map_api.map_name, extent)


@attrs.frozen
class _Point:
    """What the devkit asks of a point."""

    x: float
    y: float


def make(config: DevkitSourceConfig, _context: Context) -> DevkitSource:
    """Return the source.

    Raises:
        PlutoError: The scenario builder does not exist, refuses its arguments, or is none.
    """
    return DevkitSource(config)
