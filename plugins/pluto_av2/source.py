"""The source `av2`."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_av2.config import Av2Config
from pluto_av2.files import POSES, city, find_recordings, sizes
from pluto_av2.maps import read_map
from pluto_av2.motion import read_motion
from pluto_av2.recording import FRAME_S, NONSENSE, Recording
from pluto_av2.routes import driven_route
from pluto_av2.sensor import objects_of, rates, read_boxes, read_ego, seconds
from pluto_core.component import Context
from pluto_core.errors import Reason, SampleError
from pluto_core.filters import ScenarioFilter
from pluto_core.geometry import wrap
from pluto_core.jobs import Identity
from pluto_core.listing import Listing
from pluto_core.places import cache_home as default_home
from pluto_core.places.copies import Copies
from pluto_core.places.remote import Place
from pluto_core.scene import ScenarioId, Scene, Window

Floats = npt.NDArray[np.float64]

_MAPS = "codes of cities"
"""What the column of maps holds; listings that are stored with other names are made anew."""
_MOVING_MPS = 0.5
_TURN_RAD = 0.35
_SPEED_CHANGE_MPS = 2.0


class Av2Source:
    """Sensor logs and motion scenarios under one folder."""

    answers = frozenset(
        {"log_names", "scenario_types", "scenario_tokens", "map_names", "remove_invalid_goals", "ego_displacement_minimum_m"}
    )

    def __init__(self, config: Av2Config, *, cache_home: Path | None = None) -> None:
        """Find the recordings; nothing of them is read yet.

        Args:
            config: The settings.
            cache_home: Folder in which copies of what lies behind URLs are kept; None: the user's cache folder.

        Raises:
            PlutoError: The folder does not exist or holds no recording.
        """
        self._config, self._cache_home = config, cache_home
        copies = Copies((cache_home or default_home()) / "remote", round(config.remote_cache_gb * 1e9))
        self._folders = find_recordings(config.data_root, copies)
        self._refused: dict[str, tuple[str, Reason, str]] = {}
        self._open = lru_cache(maxsize=4)(self._read)

    def __getstate__(self) -> tuple[Av2Config, Path | None]:
        """Send the settings only; the other side finds the files itself."""
        return self._config, self._cache_home

    def __setstate__(self, state: tuple[Av2Config, Path | None]) -> None:
        """Open anew."""
        self.__init__(state[0], cache_home=state[1])  # type: ignore[misc]

    def logs(self) -> Sequence[str]:
        """Return the names of all logs, in the order in which `list` reads them."""
        return tuple(self._folders)

    def list(self, wanted: ScenarioFilter) -> Listing:
        """Return every frame with enough past and future; see `pluto_core.protocols.ScenarioSource`."""
        rows: list[tuple[ScenarioId, str, str]] = []
        for log in self._folders:
            if wanted.log_names is not None and log not in wanted.log_names:
                continue
            try:
                recording = self._open(log)
            except SampleError as error:
                self._refused[log] = (log, error.reason, error.detail)
                continue
            rows += [row for row in self._rows(recording) if _taken(row, wanted)]
        return Listing.of(rows)

    def _rows(self, recording: Recording) -> Iterator[tuple[ScenarioId, str, str]]:
        first = round(self._config.history_s / FRAME_S)
        last = len(recording) - 1 - round(self._config.future_s / FRAME_S)
        for frame in range(first, last + 1, self._config.stride):
            time_us = int(recording.times_us[frame])
            identity = ScenarioId(recording.log, f"{recording.log}_{time_us}", time_us)
            yield identity, self._type(recording, frame), recording.city

    def _type(self, recording: Recording, frame: int) -> str:
        """Return what the car does after a frame; Argoverse 2 tags nothing."""
        end = min(frame + round(self._config.future_s / FRAME_S), len(recording) - 1)
        speed = np.hypot(*recording.velocity[frame : end + 1].T)
        turn = float(wrap(np.asarray(recording.heading[end] - recording.heading[frame])))
        if speed.max() < _MOVING_MPS:
            return "stationary"
        if abs(turn) > _TURN_RAD:
            return "turning_left" if turn > 0 else "turning_right"
        change = float(speed[-1] - speed[0])
        if abs(change) > _SPEED_CHANGE_MPS:
            return "accelerating" if change > 0 else "slowing_down"
        return "steady"

    def columns(self, listing: Listing, names: Sequence[str], wanted: ScenarioFilter) -> Mapping[str, npt.NDArray[Any]]:
        """Return the metres driven from each scenario on."""
        del wanted, names
        driven = np.zeros(len(listing))
        for row, scenario in enumerate(listing.ids()):
            recording = self._open(scenario.log)
            frame = recording.frame_at(scenario.start_us)
            path = recording.position[frame : frame + round(self._config.future_s / FRAME_S) + 1]
            driven[row] = np.hypot(*np.diff(path, axis=0).T).sum()
        return {"ego_displacement_minimum_m": driven}

    def load(self, scenario: ScenarioId, window: Window) -> Scene:
        """Return one scene.

        Raises:
            SampleError: The recording cannot be read, or has no such frame.
        """
        if scenario.log not in self._folders:
            raise SampleError(Reason.UNREADABLE_LOG, f"no recording {scenario.log!r} under {self._config.data_root}")
        recording = self._open(scenario.log)
        return recording.scene(scenario, window, self._type(recording, recording.frame_at(scenario.start_us)))

    def load_many(self, scenarios: Sequence[ScenarioId], window: Window) -> Iterator[Scene | SampleError]:
        """Yield the scenes of scenarios of one log."""
        for scenario in scenarios:
            try:
                yield self.load(scenario, window)
            except SampleError as error:
                yield error

    def identity(self) -> Identity:
        """Return reader, settings and the sizes of all files."""
        held = {f"{log}/{name}": size for log, folder in self._folders.items() for name, size in sizes(folder).items()}
        settings = {"lane_types": list(self._config.lane_types), "route_lookahead_m": self._config.route_lookahead_m}
        listing = {name: getattr(self._config, name) for name in ("stride", "history_s", "future_s")}
        return Identity(reader="av2/1", settings=settings, dataset=held, listing=listing | {"maps": _MAPS})

    def problems(self) -> Sequence[tuple[str, Reason, str]]:
        """Return the recordings that were refused."""
        return list(self._refused.values())

    def _read(self, log: str) -> Recording:
        folder = self._folders[log]
        try:
            with np.errstate(all="ignore"):  # numbers that overflow are found below
                recording = self._read_sensor(log, folder) if (folder / POSES).is_file() else self._read_motion(log, folder)
        except NONSENSE as error:
            raise SampleError(Reason.BROKEN_ROWS, f"{folder} makes no sense: {error}") from None
        if not all(np.isfinite(values).all() for values in (recording.position, recording.heading, recording.velocity)):
            raise SampleError(Reason.BROKEN_ROWS, f"{folder} has poses of its car that are no numbers")
        return attrs.evolve(recording, objects=recording.objects.without_nonsense())

    def _read_sensor(self, log: str, folder: Place) -> Recording:
        table = read_boxes(folder)
        frames_ns = np.unique(table["timestamp_ns"].to_numpy())
        times_ns, position, heading = read_ego(folder)
        if len(frames_ns) == 0:
            raise SampleError(Reason.BROKEN_ROWS, f"{folder} has no annotated frame")
        place = np.searchsorted(times_ns, frames_ns)
        if place.max() >= len(times_ns) or not np.array_equal(times_ns[place], frames_ns):
            raise SampleError(Reason.BROKEN_ROWS, f"{folder / POSES} lacks a pose of an annotated frame")
        times_s = seconds(frames_ns, 1e9)
        velocity = rates(position[place], times_s)
        view = read_map(folder, log, self._config.lane_types)
        return Recording(
            log=log,
            city=city(folder),
            times_us=frames_ns // 1000,
            position=position[place],
            heading=heading[place],
            velocity=velocity,
            acceleration=rates(velocity, times_s),
            objects=objects_of(table, frames_ns, position[place], heading[place]),
            map=view,
            route=driven_route(view, position[place], heading[place], self._config.route_lookahead_m),
        )

    def _read_motion(self, log: str, folder: Place) -> Recording:
        told = read_motion(folder, log)
        view = read_map(folder, log, self._config.lane_types)
        return Recording(
            log=log,
            city=told.city,
            times_us=told.times_us,
            position=told.position,
            heading=told.heading,
            velocity=told.velocity,
            acceleration=rates(told.velocity, seconds(told.times_us, 1e6)),
            objects=told.objects,
            map=view,
            route=driven_route(view, told.position, told.heading, self._config.route_lookahead_m),
        )


def _taken(row: tuple[ScenarioId, str, str], wanted: ScenarioFilter) -> bool:
    identity, scenario_type, city = row
    choices = ((wanted.scenario_types, scenario_type), (wanted.scenario_tokens, identity.token), (wanted.map_names, city))
    return all(allowed is None or value in allowed for allowed, value in choices)


def make(config: Av2Config, context: Context) -> Av2Source:
    """Return the source."""
    return Av2Source(config, cache_home=context.cache_home)
