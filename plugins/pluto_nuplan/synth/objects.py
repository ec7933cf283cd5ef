"""What the recording vehicle sees: every object near it at every frame."""

import attrs
import numpy as np
import numpy.typing as npt

from pluto_nuplan.synth.curves import Array
from pluto_nuplan.synth.drive import Drive
from pluto_nuplan.synth.drivers import BICYCLE
from pluto_nuplan.synth.ego import AXLE_TO_CENTRE_M

CATEGORIES = ("vehicle", "pedestrian", "bicycle", "traffic_cone", "barrier", "czone_sign", "generic_object")

_RANGE_M = (80.0, 100.0)
_THING_RANGE_M = (45.0, 75.0)
_HIDDEN_SHARE = 0.2
_HIDDEN_FRAMES = (6, 40)
_WALKING_MPS = 0.2


@attrs.frozen(eq=False)
class Objects:
    """Objects of a drive; arrays of frames have shape (F, N), in the map frame.

    Attributes:
        category: Index into `CATEGORIES`, shape (N,).
        size_m: Width, length and height, shape (N, 3).
        x_m, y_m, yaw_rad, vx_mps, vy_mps: Pose of the middle and velocity.
        distance_m: From the middle of the recording vehicle.
        seen: Whether the object has a box in the frame.
    """

    category: npt.NDArray[np.int64]
    size_m: Array
    x_m: Array
    y_m: Array
    yaw_rad: Array
    vx_mps: Array
    vy_mps: Array
    distance_m: Array
    seen: npt.NDArray[np.bool_]


def observe(drive: Drive, times_s: Array, ego: Array, rng: np.random.Generator) -> Objects:
    """All objects that come near the recording vehicle, whose rear axle is at `ego` (F, 3)."""
    frames = len(times_s)
    vehicles = np.flatnonzero(np.arange(len(drive.fleet.kind)) != drive.ego)
    x, y, yaw = drive.vehicle_poses(times_s, vehicles)
    people = drive.people_positions(times_s)
    things = drive.things.pose
    stand = np.broadcast_to(things, (frames, *things.shape))
    xs = np.concatenate((x, people[..., 0], stand[..., 0]), axis=1)
    ys = np.concatenate((y, people[..., 1], stand[..., 1]), axis=1)
    vx, vy = np.gradient(xs, times_s, axis=0), np.gradient(ys, times_s, axis=0)
    walkers = slice(x.shape[1], x.shape[1] + people.shape[1])
    yaws = np.concatenate((yaw, _walking_headings(vx[:, walkers], vy[:, walkers]), stand[..., 2]), axis=1)
    fleet = drive.fleet
    sizes = np.column_stack((fleet.width_m, fleet.front_m + fleet.rear_m, fleet.height_m))[vehicles]
    category = np.concatenate(
        (
            np.where(fleet.kind[vehicles] == BICYCLE, 2, 0),
            np.ones(people.shape[1], np.int64),
            [CATEGORIES.index(name) for name in drive.things.category],
        )
    ).astype(np.int64)
    moving = x.shape[1] + people.shape[1]
    centre = ego[:, :2] + AXLE_TO_CENTRE_M * np.column_stack((np.cos(ego[:, 2]), np.sin(ego[:, 2])))
    distance = np.hypot(xs - centre[:, :1], ys - centre[:, 1:])
    ranges = np.concatenate((rng.uniform(*_RANGE_M, moving), rng.uniform(*_THING_RANGE_M, len(category) - moving)))
    seen = (distance < ranges) & ~_hidden(frames, len(category), rng)
    keep = rng.permutation(np.flatnonzero(seen.any(axis=0)))
    return Objects(
        category=category[keep],
        size_m=np.concatenate((sizes, drive.people.size_m, drive.things.size_m))[keep],
        x_m=xs[:, keep],
        y_m=ys[:, keep],
        yaw_rad=((yaws + np.pi) % (2 * np.pi) - np.pi)[:, keep],
        vx_mps=vx[:, keep],
        vy_mps=vy[:, keep],
        distance_m=distance[:, keep],
        seen=seen[:, keep],
    )


def _walking_headings(vx: Array, vy: Array) -> Array:
    """Direction of walking; people who stand keep the last one."""
    moving = np.hypot(vx, vy) > _WALKING_MPS
    frame = np.where(moving, np.arange(len(vx))[:, None], -1)
    last = np.maximum.accumulate(frame, axis=0)
    last = np.where(last < 0, moving.argmax(axis=0), last)
    held: Array = np.take_along_axis(np.arctan2(vy, vx), last, axis=0)
    return held


def _hidden(frames: int, count: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Some objects are lost from sight once for a while, shape (F, N)."""
    start = rng.integers(0, frames, count)
    length = np.where(rng.random(count) < _HIDDEN_SHARE, rng.integers(*_HIDDEN_FRAMES, count), 0)
    frame = np.arange(frames)[:, None]
    return (frame >= start) & (frame < start + length)
