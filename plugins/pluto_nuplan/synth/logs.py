"""Writer of one log: a drive as a nuPlan v1.1 SQLite database."""

import contextlib
import datetime as dt
import sqlite3
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from pluto_nuplan.synth.curves import Array
from pluto_nuplan.synth.drive import Drive
from pluto_nuplan.synth.ego import AXLE_TO_CENTRE_M
from pluto_nuplan.synth.fids import Fids
from pluto_nuplan.synth.objects import CATEGORIES, Objects, observe
from pluto_nuplan.synth.roads import Ints
from pluto_nuplan.synth.routes import scene_routes
from pluto_nuplan.synth.schema import CREATE_INDICES, CREATE_TABLES, insert_statement
from pluto_nuplan.synth.signals import STATUS_NAMES
from pluto_nuplan.synth.tags import tag_frames
from pluto_nuplan.synth.tokens import make_tokens
from pluto_nuplan.synth.traffic import STEP_S

FRAME_US = 50_000

_LEAD_IN_S = 0.1
_JITTER_US = 500
_POSE_DELAY_US = 3_000
_POSE_JITTER_US = 100
_POSES_A_FRAME = 2
_SCENE_S = 5.0
_LEAST_SCENES = 8
_LIGHT_RANGE_M = 100.0
_GROUND_M = 605.0


@attrs.frozen(eq=False)
class _Clock:
    """Times of a log: of its frames and poses in microseconds, and in seconds since the drive's start."""

    start_us: int
    frame_us: Ints
    pose_us: Ints

    @property
    def frame_s(self) -> Array:
        return self._seconds(self.frame_us)

    @property
    def pose_s(self) -> Array:
        return self._seconds(self.pose_us)

    def _seconds(self, times_us: Ints) -> Array:
        return np.asarray((times_us - self.start_us) * 1e-6 + _LEAD_IN_S, np.float64)


@attrs.frozen
class LogTarget:
    """Where a log goes and what it says about itself."""

    path: Path
    location: str
    epsg: int
    tilt_rad: float = 0.0

    @property
    def name(self) -> str:
        """The log's name."""
        return self.path.name.removesuffix(".db")


def write_log(target: LogTarget, drive: Drive, seconds: float, fids: Fids, rng: np.random.Generator) -> tuple[int, int]:
    """Write a drive of `seconds` as a log and return its numbers of frames and boxes."""
    clock = _set_clock(target.name, seconds, rng)
    poses = drive.ego_poses(clock.pose_s)
    motion = _body_motion(poses, clock.pose_s)
    frame_poses = poses[::_POSES_A_FRAME]
    objects = observe(drive, clock.frame_s, frame_poses, rng)
    speed = np.column_stack((np.hypot(motion[:, 0], motion[:, 1]), motion[:, 2:4]))[::_POSES_A_FRAME]
    tags = tag_frames(drive, clock.frame_s, speed, objects)
    with contextlib.closing(sqlite3.connect(target.path)) as database:
        database.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; {CREATE_TABLES};")
        writer = _Writer(database, target, clock)
        writer.write_frames(poses, motion, scene_routes(drive, writer.scene_steps(), fids))
        boxes = writer.write_objects(objects)
        writer.write_tags(tags)
        writer.write_lights(drive, frame_poses, fids)
        database.executescript(CREATE_INDICES)
        database.commit()
    return len(clock.frame_us), boxes


def _set_clock(name: str, seconds: float, rng: np.random.Generator) -> _Clock:
    """Frames at 20 Hz from the time in the log's name, and poses on a clock of their own."""
    stamp, _, start, _ = name.split("_")
    day = dt.datetime.strptime(stamp, "%Y.%m.%d.%H.%M.%S").replace(tzinfo=dt.timezone.utc)
    start_us = (int(day.timestamp()) + int(start)) * 1_000_000
    count = round(seconds * 1e6 / FRAME_US)
    frames = start_us + np.arange(count) * FRAME_US + rng.integers(-_JITTER_US, _JITTER_US + 1, count)
    delay = _POSE_DELAY_US + np.arange(_POSES_A_FRAME) * (FRAME_US // _POSES_A_FRAME)
    jitter = rng.integers(-_POSE_JITTER_US, _POSE_JITTER_US + 1, (count, _POSES_A_FRAME))
    return _Clock(start_us, frames, (frames[:, None] + delay + jitter).ravel())


def _body_motion(poses: Array, times_s: Array) -> Array:
    """Velocity (x, y), acceleration (x, y) and yaw rate in the body frame at the rear axle, shape (T, 5)."""
    velocity = np.gradient(poses[:, :2], times_s, axis=0)
    acceleration = np.gradient(velocity, times_s, axis=0)
    rate = np.gradient(np.unwrap(poses[:, 2]), times_s)
    cos, sin = np.cos(poses[:, 2]), np.sin(poses[:, 2])
    columns = []
    for vector in (velocity, acceleration):
        columns += [vector[:, 0] * cos + vector[:, 1] * sin, vector[:, 1] * cos - vector[:, 0] * sin]
    return np.column_stack((*columns, rate))


class _Writer:
    """Rows of a log's tables, and the tokens that tie them together."""

    def __init__(self, database: sqlite3.Connection, target: LogTarget, clock: _Clock) -> None:
        self._database, self._target, self._clock = database, target, clock
        self._frames = self._tokens("lidar_pc", len(clock.frame_us))
        self._log = self._tokens("log", 1)[0]
        self._tracks: list[bytes] = []
        seconds = len(clock.frame_us) * FRAME_US * 1e-6
        count = max(_LEAST_SCENES, round(seconds / _SCENE_S))
        self._scene_of_frame = np.arange(len(clock.frame_us)) * count // len(clock.frame_us)

    def scene_steps(self) -> list[int]:
        """The simulation step at which each scene begins."""
        first = np.flatnonzero(np.diff(self._scene_of_frame, prepend=-1))
        return [int(step) for step in self._clock.frame_s[first] / STEP_S]

    def write_frames(self, poses: Array, motion: Array, routes: list[list[int]]) -> None:
        """Write log, lidar, scenes, poses and frames."""
        name, location = self._target.name, self._target.location
        vehicle = name.split("_")[1]
        date = name[:10].replace(".", "-")
        self._insert("log", [(self._log, vehicle, date, self._clock.start_us, name, location, location)])
        lidar = self._tokens("lidar", 1)[0]
        self._insert("lidar", [(lidar, self._log, "MergedPointCloud", "synthetic", None, None)])
        pose_tokens = self._tokens("ego_pose", len(poses))
        self._write_poses(pose_tokens, poses, motion)
        scenes = self._tokens("scene", len(routes))
        self._insert(
            "scene",
            [
                (token, self._log, f"scene-{number + 1:03d}", pose_tokens[-1], " ".join(map(str, route)))
                for number, (token, route) in enumerate(zip(scenes, routes, strict=True))
            ],
        )
        frames = self._frames
        self._insert(
            "lidar_pc",
            zip(
                frames,
                [*frames[1:], None],
                [None, *frames[:-1]],
                pose_tokens[::_POSES_A_FRAME],
                [lidar] * len(frames),
                [scenes[number] for number in self._scene_of_frame],
                [f"MergedPointCloud/{token.hex()}.pcd" for token in frames],
                self._clock.frame_us.tolist(),
                strict=True,
            ),
        )

    def _write_poses(self, tokens: list[bytes], poses: Array, motion: Array) -> None:
        """Poses with quaternions from yaw, pitch and roll (the latter two are 0 unless the target is tilted)."""
        count = len(poses)
        half_yaw = poses[:, 2] / 2
        half_pitch = np.sin(self._clock.pose_s * 0.7) * self._target.tilt_rad / 2
        half_roll = np.cos(self._clock.pose_s * 0.5) * self._target.tilt_rad / 2
        cy, sy, cp, sp, cr, sr = (f(half) for half in (half_yaw, half_pitch, half_roll) for f in (np.cos, np.sin))
        zero = np.zeros(count)
        columns = (
            self._clock.pose_us, poses[:, 0], poses[:, 1], zero + _GROUND_M,
            cr * cp * cy + sr * sp * sy, sr * cp * cy - cr * sp * sy, cr * sp * cy + sr * cp * sy, cr * cp * sy - sr * sp * cy,
            motion[:, 0], motion[:, 1], zero, motion[:, 2], motion[:, 3], zero, zero, zero, motion[:, 4],
            np.full(count, self._target.epsg),
        )  # fmt: skip
        self._insert("ego_pose", zip(tokens, *(column.tolist() for column in columns), [self._log] * count, strict=True))

    def write_objects(self, objects: Objects) -> int:
        """Write categories, tracks and boxes; the number of boxes."""
        categories = self._tokens("category", len(CATEGORIES))
        self._insert("category", [(token, name, name) for token, name in zip(categories, CATEGORIES, strict=True)])
        self._tracks = self._tokens("track", len(objects.category))
        size = objects.size_m.T.tolist()
        kinds = [categories[kind] for kind in objects.category]
        self._insert("track", zip(self._tracks, kinds, *size, strict=True))
        frame, track = np.nonzero(objects.seen)
        tokens = self._tokens("lidar_box", len(frame))
        following, before = _links(frame, track, tokens)
        width, length, height = objects.size_m[track].T
        x, y, yaw, vx, vy = (
            values[frame, track] for values in (objects.x_m, objects.y_m, objects.yaw_rad, objects.vx_mps, objects.vy_mps)
        )
        zero = np.zeros(len(frame))
        numbers = (x, y, _GROUND_M + height / 2, width, length, height, vx, vy, zero, yaw, zero + 1.0)
        self._insert(
            "lidar_box",
            zip(
                tokens,
                [self._frames[index] for index in frame.tolist()],
                [self._tracks[index] for index in track.tolist()],
                following,
                before,
                *(column.tolist() for column in numbers),
                strict=True,
            ),
        )
        return len(frame)

    def write_tags(self, tags: dict[str, Any]) -> None:
        """Write the scenario tags."""
        rows = [(self._frames[frame], name) for name, held in tags.items() for frame in np.flatnonzero(held).tolist()]
        tokens = self._tokens("scenario_tag", len(rows))
        self._insert("scenario_tag", [(token, frame, name, None) for token, (frame, name) in zip(tokens, rows, strict=True)])

    def write_lights(self, drive: Drive, poses: Array, fids: Fids) -> None:
        """Write the state of every connector of the junctions near the ego at each frame, by ascending connector."""
        town = drive.world.town
        centres = np.stack([junction.centre_m for junction in town.junctions])
        centre = poses[:, :2] + AXLE_TO_CENTRE_M * np.column_stack((np.cos(poses[:, 2]), np.sin(poses[:, 2])))
        rows: list[tuple[bytes, int, str]] = []
        for frame, time_s in enumerate(self._clock.frame_s.tolist()):
            near = np.hypot(*(centres - centre[frame]).T) < _LIGHT_RANGE_M
            shown = np.flatnonzero(near[drive.signals.junction])
            states = drive.signals.states(drive.start_s + time_s)[shown]
            token, first = self._frames[frame], fids.first("connector")
            rows += [
                (token, first + index, STATUS_NAMES[state])
                for index, state in zip(shown.tolist(), states.tolist(), strict=True)
            ]
        tokens = self._tokens("traffic_light_status", len(rows))
        self._insert("traffic_light_status", [(token, *row) for token, row in zip(tokens, rows, strict=True)])

    def _tokens(self, table: str, count: int) -> list[bytes]:
        return make_tokens(count, self._target.name, table)

    def _insert(self, table: str, rows: Any) -> None:
        self._database.executemany(insert_statement(table), rows)


def _links(frame: Ints, track: Ints, tokens: list[bytes]) -> tuple[list[bytes | None], list[bytes | None]]:
    """For each box the tokens of the next and the previous box of its track."""
    following: list[bytes | None] = [None] * len(tokens)
    before: list[bytes | None] = [None] * len(tokens)
    order = np.lexsort((frame, track))
    same = np.flatnonzero(track[order][1:] == track[order][:-1])
    for here, there in zip(order[same].tolist(), order[same + 1].tolist(), strict=True):
        following[here], before[there] = tokens[there], tokens[here]
    return following, before
