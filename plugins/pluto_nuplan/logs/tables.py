"""The SQL behind each set of columns (nuPlan v1.1 database schema)."""

# ruff: noqa: S608 -- queries are put together from the constants of this module only; values are parameters

import json

import attrs
import numpy as np

from pluto_core.errors import Reason, SampleError
from pluto_core.scene import Category, Floats, Ints, Mask
from pluto_nuplan.logs.columns import Boxes, EgoMotion, Frames, LogLights, LogScenes, LogTracks, Lookup, Spans, Tags
from pluto_nuplan.logs.database import NO_TOKEN, Columns, Database, Words, hex_tokens

CHANNEL = "MergedPointCloud"
"""The lidar whose rows are the frames."""
_CATEGORIES = {category.name.lower(): category for category in Category}


@attrs.frozen(eq=False)
class Wanted:
    """Some frames of a log, and how to find their rows."""

    frames: Ints
    """Different ones."""
    indexed: bool
    """Whether the file has an index for it; without, one pass over the table finds the rows of all."""


def _number(column: str, name: str) -> str:
    return f"coalesce(cast({column} AS REAL), 9e999) AS {name}"


def _token(column: str, name: str) -> str:
    return f"coalesce({column}, x'') AS {name}"


_POSE = ", ".join(_number(f"e.{name}", name) for name in ("x", "y", "qw", "qx", "qy", "qz"))
_MOTION = ", ".join(_number(f"e.{name}", name) for name in ("vx", "vy", "acceleration_x", "acceleration_y"))
_FRAMES = (
    f"SELECT {_token('p.token', 'token')}, {_token('p.scene_token', 'scene')}, "
    "coalesce(cast(p.timestamp AS INTEGER), -1) AS time_us "
    "FROM lidar_pc AS p JOIN lidar AS l ON l.token = p.lidar_token AND l.channel = ? ORDER BY p.rowid"
)
_EGO = (
    f"SELECT {_token('p.token', 'frame')}, {_POSE}, {_MOTION} "
    "FROM lidar_pc AS p JOIN ego_pose AS e ON e.token = p.ego_pose_token {where}"
)
_SCENES = (
    f"SELECT {_token('s.token', 'token')}, s.name AS name, cast(s.roadblock_ids AS TEXT) AS route, "
    f"e.token IS NOT NULL AS has_goal, {_POSE} "
    "FROM scene AS s LEFT JOIN ego_pose AS e ON e.token = s.goal_ego_pose_token ORDER BY s.name, s.rowid"
)
_TAGS = f"SELECT {_token('lidar_pc_token', 'frame')}, cast(type AS TEXT) AS type FROM scenario_tag WHERE type IS NOT NULL"
_TRACKS = (
    f"SELECT {_token('t.token', 'token')}, coalesce(cast(c.name AS TEXT), '') AS category "
    "FROM track AS t JOIN category AS c ON c.token = t.category_token"
)
_BOX_COLUMNS = ("x", "y", "yaw", "vx", "vy", "width", "length")
_BOXES = (
    f"SELECT {_token('lidar_pc_token', 'frame')}, {_token('track_token', 'track')}, "
    + ", ".join(_number(name, name) for name in _BOX_COLUMNS)
    + " FROM lidar_box {where} ORDER BY rowid"
)
_LIGHTS = (
    f"SELECT {_token('lidar_pc_token', 'frame')}, cast(lane_connector_id AS INTEGER) AS connector, "
    "CASE status WHEN 'green' THEN 0 WHEN 'yellow' THEN 1 WHEN 'red' THEN 2 ELSE 3 END AS status "
    "FROM traffic_light_status WHERE lane_connector_id IS NOT NULL {where} ORDER BY rowid"
)


def read_map_name(database: Database) -> str:
    """Return the name of the map that a log was driven on.

    Raises:
        SampleError: The log does not say.
    """
    rows = database.read(
        "SELECT cast(g.map_version AS TEXT) AS name FROM lidar AS l JOIN log AS g ON g.token = l.log_token WHERE l.channel = ?",
        [CHANNEL],
    )
    names = [name for name in rows.texts("name") if name]
    if not names:
        detail = f"{database.name}: no lidar with channel {CHANNEL!r} belongs to a log with a map_version"
        raise SampleError(Reason.UNREADABLE_LOG, detail)
    return names[0].removesuffix(".gpkg")


def headings(rows: Columns) -> Floats:
    """Return the yaw of the quaternions `qw qx qy qz`, rad, in the form that nuPlan uses.

    `atan2(2 (w z - x y), 1 - 2 (y^2 + z^2))`: mind the minus; it matters for poses that are pitched and rolled.
    """
    quaternion = np.stack([rows.floats(name) for name in ("qw", "qx", "qy", "qz")])
    with np.errstate(all="ignore"):  # numbers of broken rows
        squared = (quaternion**2).sum(axis=0)
        scale = np.where((np.abs(1.0 - squared) >= 1e-14) & (squared > 0), np.sqrt(squared), 1.0)  # noqa: PLR2004
        w, x, y, z = quaternion / scale
        yaw = np.arctan2(2 * (w * z - x * y), 1 - 2 * (y**2 + z**2))
    return np.where(np.isfinite(yaw), yaw, np.inf)


def _poses(rows: Columns) -> Floats:
    return np.stack([rows.floats("x"), rows.floats("y"), headings(rows)], axis=1)


def _pairs(rows: Columns, *names: str) -> Floats:
    return np.stack([rows.floats(name) for name in names], axis=1)


def read_scenes(database: Database) -> tuple[LogScenes, Words]:
    """Return the scenes of a log, and their tokens."""
    rows = database.read(_SCENES)
    scenes = LogScenes(
        rank=np.arange(1, len(rows) + 1),
        has_goal=rows.integers("has_goal").astype(np.bool_),
        goal=_poses(rows),
        routes=tuple(_route(text) for text in rows.texts("route")),
    )
    return scenes, rows.tokens("token")


def _route(text: str | None) -> Ints:
    ids = [part for part in (text or "").split() if part.isascii() and part.isdigit() and len(part) <= 18]  # noqa: PLR2004 -- int64
    return np.asarray([int(part) for part in ids], np.int64)


def read_frames(database: Database, scene_tokens: Words) -> Frames:
    """Return the frames of a log in order of time.

    Raises:
        SampleError: There are none, or frames without a token or time.
    """
    rows = database.read(_FRAMES, [CHANNEL])
    times = rows.integers("time_us")
    tokens = rows.tokens("token")
    if not len(rows) or (times < 0).any() or (tokens == NO_TOKEN).any():
        what = "frames without token or time" if len(rows) else f"no frames of the lidar {CHANNEL!r}"
        raise SampleError(Reason.UNREADABLE_LOG, f"{database.name}: {what}")
    order = np.argsort(times, kind="stable")
    return Frames(
        token=tokens[order],
        time_us=times[order],
        scene=Lookup.of(scene_tokens).find(rows.tokens("scene")[order]),
        lookup=Lookup.of(tokens[order]),
    )


def read_ego(database: Database, frames: Frames, wanted: Wanted | None) -> EgoMotion:
    """Return the ego vehicle at `wanted` frames, or at all (None)."""
    rows = _of_frames(database, _EGO, ("WHERE", "p.token"), frames, wanted)
    frame = frames.lookup.find(rows.tokens("frame"))
    known = frame >= 0
    motion = EgoMotion(
        pose=np.full((len(frames), 3), np.inf),
        velocity=np.full((len(frames), 2), np.inf),
        acceleration=np.full((len(frames), 2), np.inf),
    )
    motion.pose[frame[known]] = _poses(rows)[known]
    motion.velocity[frame[known]] = _pairs(rows, "vx", "vy")[known]
    motion.acceleration[frame[known]] = _pairs(rows, "acceleration_x", "acceleration_y")[known]
    return motion


def read_tags(database: Database, frames: Frames) -> Tags:
    """Return the scenario types of a log's frames."""
    rows = database.read(_TAGS)
    names, codes = rows.coded("type")
    frame = frames.lookup.find(rows.tokens("frame"))
    ascending = sorted(range(len(names)), key=lambda place: names[place].encode())
    rank = np.zeros(len(names), np.int64)
    rank[ascending] = np.arange(len(names))
    order = np.argsort(frame, kind="stable")
    order = order[frame[order] >= 0]
    return Tags(names=tuple(names[place] for place in ascending), frame=frame[order], code=rank[codes][order])


def read_tracks(database: Database) -> LogTracks:
    """Return what was tracked in a log."""
    rows = database.read(_TRACKS)
    names, codes = rows.coded("category")
    kinds = np.asarray([_CATEGORIES.get(name, -1) for name in names], np.int8)
    tokens = rows.tokens("token")
    return LogTracks(
        token=hex_tokens(tokens),
        category=kinds[codes] if names else np.zeros(0, np.int8),
        category_name=tuple(names[code] for code in codes),
        lookup=Lookup.of(tokens),
    )


def read_boxes(database: Database, frames: Frames, tracks: LogTracks, wanted: Wanted | None) -> Boxes:
    """Return the boxes of `wanted` frames, or of the whole log (None). Boxes of unknown frames or tracks are left out."""
    rows = _of_frames(database, _BOXES, ("WHERE", "lidar_pc_token"), frames, wanted)
    frame = frames.lookup.find(rows.tokens("frame"))
    track = tracks.lookup.find(rows.tokens("track"))
    order = _by_frame(frame, (frame >= 0) & (track >= 0))
    velocity = _pairs(rows, "vx", "vy")
    velocity[~np.isfinite(velocity)] = 0.0
    whole = np.isfinite(sum(rows.floats(name) for name in ("x", "y", "yaw", "width", "length")))
    return Boxes(
        spans=Spans.of(frame[order], len(frames), None if wanted is None else wanted.frames),
        track=track[order].astype(np.int32),
        pose=_pairs(rows, "x", "y", "yaw")[order],
        velocity=velocity[order],
        size=_pairs(rows, "width", "length")[order],
        broken=~whole[order] | (tracks.category[track[order]] < 0),
    )


def read_lights(database: Database, frames: Frames, wanted: Wanted | None) -> LogLights:
    """Return the traffic lights of `wanted` frames, or of the whole log (None)."""
    rows = _of_frames(database, _LIGHTS, ("AND", "lidar_pc_token"), frames, wanted)
    frame = frames.lookup.find(rows.tokens("frame"))
    order = _by_frame(frame, frame >= 0)
    return LogLights(
        spans=Spans.of(frame[order], len(frames), None if wanted is None else wanted.frames),
        connector_id=rows.integers("connector")[order],
        status=rows.integers("status")[order].astype(np.int8),
    )


def _of_frames(database: Database, sql: str, condition: tuple[str, str], frames: Frames, wanted: Wanted | None) -> Columns:
    """Return the rows of `wanted` frames, or all; `condition` is a keyword and the column that holds the frame's token."""
    if wanted is None:
        return database.read(sql.format(where=""))
    keyword, column = condition
    octets = frames.token[wanted.frames].astype(">u8").tobytes()
    blobs = [octets[place : place + 8] for place in range(0, len(octets), 8)]
    if wanted.indexed:
        return database.read(sql.format(where=f"{keyword} {column} = ?"), blobs)
    held = json.dumps([blob.hex().upper() for blob in blobs])
    return database.read(sql.format(where=f"{keyword} hex({column}) IN (SELECT value FROM json_each(?))"), [held])


def _by_frame(frame: Ints, kept: Mask) -> Ints:
    rows = np.flatnonzero(kept)
    if len(rows) > 1 and (np.diff(frame[rows]) < 0).any():
        rows = rows[np.argsort(frame[rows], kind="stable")]
    return rows
