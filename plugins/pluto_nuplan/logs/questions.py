"""Answers to the filter fields that need more than the listing: one column for each."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.errors import PlutoError
from pluto_core.filters import ScenarioFilter
from pluto_core.listing import Listing
from pluto_core.maps import MapView
from pluto_core.scene import Mask, Vehicle
from pluto_nuplan.logs import motion, route
from pluto_nuplan.logs.database import Words, token_words
from pluto_nuplan.logs.extraction import Iterations, ScenarioMapping, iterations
from pluto_nuplan.logs.log import Log

DISPLACEMENT = "ego_displacement_minimum_m"
START = "ego_start_speed_threshold"
STOP = "ego_stop_speed_threshold"
TOKEN_SET = "fraction_in_token_set_threshold"  # noqa: S105 -- no password
ROUTE = "ego_route_radius"
NAMES = (DISPLACEMENT, START, STOP, TOKEN_SET, ROUTE, "speed_noise_tolerance", "token_set_path")
_MOTION = (DISPLACEMENT, START, STOP)
_TOLERANCE_MPS = 0.1


def dtype(name: str) -> type[Any]:
    """Return the dtype of a column."""
    return np.float64 if name == DISPLACEMENT else np.bool_


def refusal(name: str) -> float | bool:
    """Return the answer that no filter takes, for scenarios of a log that cannot be read."""
    return -np.inf if name == DISPLACEMENT else False


@attrs.frozen(kw_only=True)
class Question:
    """What is asked of every log."""

    names: Sequence[str]
    wanted: ScenarioFilter
    mapping: ScenarioMapping | None
    vehicle: Vehicle
    token_set: Words | None

    @classmethod
    def of(cls, names: Sequence[str], wanted: ScenarioFilter, mapping: ScenarioMapping | None, vehicle: Vehicle) -> "Question":
        """Return the question, and read the token set if it is asked for.

        Raises:
            PlutoError: A field needs another one, or the token set cannot be read.
        """
        asked = [name for name in names if name in _MOTION]
        if asked and mapping is None:
            raise PlutoError(f"filter.{asked[0]} needs scenarios of more than one step; set filter.expand_scenarios = false")
        if TOKEN_SET in names and wanted.token_set_path is None:
            raise PlutoError(f"filter.{TOKEN_SET} needs filter.token_set_path")
        held = route.read_token_set(wanted.token_set_path) if TOKEN_SET in names and wanted.token_set_path else None
        return cls(names=names, wanted=wanted, mapping=mapping, vehicle=vehicle, token_set=held)

    @property
    def needs_map(self) -> bool:
        """Return whether an answer depends on the map."""
        return ROUTE in self.names

    def ask(self, log: Log, listing: Listing, view: MapView | None) -> Mapping[str, npt.NDArray[Any]]:
        """Return the answers for scenarios of one log."""
        spans = iterations(log.index.frames.time_us, listing, self.mapping)
        return {name: self._answer(name, log, listing, spans, view) for name in self.names}

    def _answer(self, name: str, log: Log, listing: Listing, spans: Iterations, view: MapView | None) -> npt.NDArray[Any]:
        wanted = self.wanted
        tolerance = _TOLERANCE_MPS if wanted.speed_noise_tolerance is None else wanted.speed_noise_tolerance
        if name == DISPLACEMENT:
            return motion.displacements(log, spans, self.vehicle)
        if name == START and wanted.ego_start_speed_threshold is not None:
            return motion.crossings(log, spans, wanted.ego_start_speed_threshold, tolerance, rising=True)
        if name == STOP and wanted.ego_stop_speed_threshold is not None:
            return motion.crossings(log, spans, wanted.ego_stop_speed_threshold, tolerance, rising=False)
        if name == TOKEN_SET and self.token_set is not None and wanted.fraction_in_token_set_threshold is not None:
            return route.in_token_set(log.index.frames.token, spans, self.token_set, wanted.fraction_in_token_set_threshold)
        if name == ROUTE and view is not None and wanted.ego_route_radius is not None:
            return self._near_route(log, listing, spans, view, wanted.ego_route_radius)
        raise PlutoError(f"filter.{name}: there is nothing to answer while it is not set")

    def _near_route(self, log: Log, listing: Listing, spans: Iterations, view: MapView, radius_m: float) -> Mask:
        index = log.index
        anchors = index.frames.lookup.find(token_words([token.decode() for token in listing.tokens]))
        scene = index.frames.scene[anchors]
        position = log.ego.pose[spans.first, :2]
        return np.asarray(
            [
                row >= 0
                and np.isfinite(place).all()
                and route.has_route_lane_near(view, place, index.scenes.routes[row], radius_m)
                for row, place in zip(scene, position, strict=True)
            ],
            np.bool_,
        )
