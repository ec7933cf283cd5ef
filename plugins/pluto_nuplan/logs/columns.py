"""What a log holds, as arrays sorted by time (nuPlan v1.1).

A frame is a row of `lidar_pc`; frame numbers count them in order of time. Angles rad, lengths m, times Unix microseconds.
"""

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.scene import Codes, Floats, Ints, Mask, Tokens
from pluto_nuplan.logs.database import Words


@attrs.frozen(kw_only=True, eq=False)
class Lookup:
    """Finds the row of a token."""

    sorted_tokens: Words
    rows: Ints

    @classmethod
    def of(cls, tokens: Words) -> "Lookup":
        """Return the lookup of a column of tokens."""
        rows = np.argsort(tokens, kind="stable")
        return cls(sorted_tokens=tokens[rows], rows=rows)

    def find(self, tokens: Words) -> Ints:
        """Return the row of each token, -1 where there is none."""
        if not len(self.rows):
            return np.full(len(tokens), -1, np.int64)
        places = np.searchsorted(self.sorted_tokens, tokens)
        places[places == len(self.rows)] = 0
        return np.where(self.sorted_tokens[places] == tokens, self.rows[places], -1)


@attrs.frozen(kw_only=True, eq=False)
class Frames:
    """The time axis of a log, F frames."""

    token: Words
    """(F,)"""
    time_us: Ints
    """(F,) not descending."""
    scene: Ints
    """(F,) row of the frame's scene, -1 where it has none."""
    lookup: Lookup

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.token)


@attrs.frozen(kw_only=True, eq=False)
class EgoMotion:
    """The ego vehicle at the frames of a log; infinite where it is unknown or was not read."""

    pose: Floats
    """(F, 3) rear axle x, y, heading, global."""
    velocity: Floats
    """(F, 2) of the rear axle, body frame, m/s."""
    acceleration: Floats
    """(F, 2) of the rear axle, body frame, m/s^2."""


@attrs.frozen(kw_only=True, eq=False)
class LogScenes:
    """The scenes of a log: stretches of at most 20 s with a goal and a route."""

    rank: Ints
    """(C,) place by name, from 1."""
    has_goal: Mask
    """(C,) whether the goal's pose is in the log."""
    goal: Floats
    """(C, 3) x, y, heading, global; infinite where unknown."""
    routes: tuple[Ints, ...]
    """Ids of roadblocks and roadblock connectors in driving order."""

    def usable(self) -> Mask:
        """Return which scenes are neither among the first two nor the last two (nuPlan v1.1, get_scenarios_from_db)."""
        return (self.rank >= 3) & (self.rank < len(self.rank) - 1)  # noqa: PLR2004 -- the two that are left out


@attrs.frozen(kw_only=True, eq=False)
class Tags:
    """Scenario types of frames."""

    names: tuple[str, ...]
    """Different types in ascending order of their bytes, so that the greatest code is the greatest type."""
    frame: Ints
    """(G,) ascending."""
    code: Ints
    """(G,) place in `names`."""


@attrs.frozen(kw_only=True, eq=False)
class LogTracks:
    """What was tracked in a log."""

    token: Tokens
    """(K,) hex."""
    category: Codes
    """(K,) a `Category`; -1 for a category that nuPlan does not know."""
    category_name: tuple[str, ...]
    lookup: Lookup


@attrs.frozen(kw_only=True, eq=False)
class Spans:
    """Rows that belong to frames: those of frame `f` are `start[f]:stop[f]`, in rowid order."""

    start: Ints
    """(F,) -1 where the frame was not read."""
    stop: Ints
    frames: Ints
    """Frames that were read, ascending."""

    @classmethod
    def of(cls, frame: Ints, count: int, read: Ints | None) -> "Spans":
        """Return the spans of ascending frame numbers, one a row.

        Args:
            frame: (R,) frame of each row, ascending.
            count: Number of frames.
            read: Frames that were read; None: all.
        """
        every = np.arange(count)
        start = np.searchsorted(frame, every)
        stop = np.searchsorted(frame, every, side="right")
        if read is not None:
            left_out = np.ones(count, np.bool_)
            left_out[read] = False
            start[left_out] = -1
        return cls(start=start, stop=stop, frames=every if read is None else np.unique(read))

    def covers(self, frames: Ints) -> bool:
        """Return whether all of `frames` were read."""
        return bool((self.start[frames] >= 0).all())

    def rows(self, frames: Ints) -> tuple[Ints, Ints]:
        """Return for the rows of `frames`, frame by frame: the place of the frame in `frames`, and the row."""
        lengths = self.stop[frames] - self.start[frames]
        place = np.repeat(np.arange(len(frames)), lengths)
        before = np.cumsum(lengths) - lengths
        return place, np.arange(len(place)) - before[place] + self.start[frames][place]


@attrs.frozen(kw_only=True, eq=False)
class Boxes:
    """Boxes of tracked objects, B of them, frame by frame."""

    spans: Spans
    track: npt.NDArray[np.int32]
    """(B,) row of `LogTracks`."""
    pose: Floats
    """(B, 3) centre x, y, heading, global; infinite where unknown."""
    velocity: Floats
    """(B, 2) global, m/s; 0 where unknown."""
    size: Floats
    """(B, 2) width and length; infinite where unknown."""
    broken: Mask
    """(B,) whether pose, size or category is unknown."""


@attrs.frozen(kw_only=True, eq=False)
class LogLights:
    """States of traffic lights, frame by frame."""

    spans: Spans
    connector_id: Ints
    status: Codes
