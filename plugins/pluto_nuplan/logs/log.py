"""One log: what has been read of it so far, and how much to read next."""

from functools import cached_property

import attrs
import numpy as np

from pluto_core.places.remote import Place
from pluto_core.scene import Ints
from pluto_nuplan.logs import tables
from pluto_nuplan.logs.columns import Boxes, EgoMotion, Frames, LogLights, LogScenes, LogTracks, Tags
from pluto_nuplan.logs.database import Words, opened

_BY_INDEX_COST = 1.3
"""Reading a frame by index, relative to reading it with all others (measured: 0.65 to 0.8 against 0.62 us a box)."""
_SCAN_COST = 0.3
"""Passing over a frame of a table without index, relative to reading it (measured: 0.2 against 0.62 us a box)."""


@attrs.frozen(kw_only=True, eq=False)
class Index:
    """What listing and motion need of a log; small (about 100 bytes a frame)."""

    map_name: str
    scenes: LogScenes
    scene_tokens: Words
    frames: Frames
    tags: Tags


@attrs.frozen(kw_only=True, eq=False)
class Held:
    """What some or all frames of a log show."""

    ego: EgoMotion
    boxes: Boxes
    lights: LogLights


def read_index(path: Place) -> Index:
    """Return the index of a log.

    Raises:
        SampleError: `UNREADABLE_LOG`: the file is damaged, or lacks what every log has.
    """
    with opened(path) as database:
        map_name = tables.read_map_name(database)
        scenes, scene_tokens = tables.read_scenes(database)
        frames = tables.read_frames(database, scene_tokens)
        return Index(
            map_name=map_name,
            scenes=scenes,
            scene_tokens=scene_tokens,
            frames=frames,
            tags=tables.read_tags(database, frames),
        )


class Log:
    """A log whose boxes and lights are read when they are asked for, and kept.

    Windows are read by themselves until that would cost as much as reading all; then all is read. With an index in the file
    that is after most of its frames; without one every window passes over the whole table, so after two or three windows.
    """

    def __init__(self, path: Place, index: Index) -> None:
        """Keep where the log is; nothing is read yet."""
        self.path = path
        self.index = index
        self._held: Held | None = None
        self._spent = 0.0

    @cached_property
    def tracks(self) -> LogTracks:
        """Return what was tracked."""
        with opened(self.path) as database:
            return tables.read_tracks(database)

    @cached_property
    def _has_indices(self) -> bool:
        with opened(self.path) as database:
            return all(database.indexed(table, "lidar_pc_token") for table in ("lidar_box", "traffic_light_status"))

    @cached_property
    def ego(self) -> EgoMotion:
        """Return the ego vehicle at every frame."""
        with opened(self.path) as database:
            return tables.read_ego(database, self.index.frames, None)

    def hold(self, frames: Ints) -> Held:
        """Return what `frames` (ascending, different) show, and maybe others.

        Raises:
            SampleError: `UNREADABLE_LOG`.
        """
        if self._held is None or not self._held.boxes.spans.covers(frames):
            self._held = self._read(frames)
        return self._held

    def _read(self, frames: Ints) -> Held:
        total = len(self.index.frames)
        self._spent += _BY_INDEX_COST * len(frames) if self._has_indices else len(frames) + _SCAN_COST * total
        wanted = tables.Wanted(np.asarray(frames, np.int64), indexed=self._has_indices) if self._spent < total else None
        tracks = self.tracks
        with opened(self.path) as database:
            by_index = wanted is not None and wanted.indexed
            return Held(
                ego=tables.read_ego(database, self.index.frames, wanted) if by_index else self.ego,
                boxes=tables.read_boxes(database, self.index.frames, tracks, wanted),
                lights=tables.read_lights(database, self.index.frames, wanted),
            )
