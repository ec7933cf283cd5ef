"""A scene from the columns of its log."""

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.errors import Reason, SampleError
from pluto_core.maps import MapView
from pluto_core.scene import (
    MOVING,
    Codes,
    Ego,
    Floats,
    Ints,
    Lights,
    ScenarioId,
    Scene,
    StaticObjects,
    Tracks,
    Vehicle,
    Window,
)
from pluto_nuplan.logs import windows
from pluto_nuplan.logs.columns import Boxes, EgoMotion, LogLights, LogTracks
from pluto_nuplan.logs.database import token_words
from pluto_nuplan.logs.log import Index, Log

Rows = npt.NDArray[np.intp]


@attrs.frozen(kw_only=True)
class Span:
    """A scenario found in its log: which frames its steps are."""

    id: ScenarioId
    anchor: int
    """Frame of the token: scene, goal, route and type are its."""
    frames: Ints
    """(T,) frame of each step, -1 where there is none."""

    @property
    def recorded(self) -> Ints:
        """Return the frames that exist, ascending."""
        return self.frames[self.frames >= 0]


def locate(index: Index, scenario: ScenarioId, window: Window, sampling: windows.Sampling) -> Span:
    """Return where a scenario lies in its log.

    Raises:
        SampleError: `PRESENT_MISSING`: the log has no such token, or no frame at the scenario's start; `BROKEN_ROWS`: two
            frames of the window have the same time.
    """
    times = index.frames.time_us
    anchor = int(index.frames.lookup.find(token_words([scenario.token]))[0])
    present = anchor if anchor >= 0 and times[anchor] == scenario.start_us else int(np.searchsorted(times, scenario.start_us))
    if anchor < 0 or present == len(times) or times[present] != scenario.start_us:
        what = f"frame {scenario.token}" if anchor < 0 else f"frame at {scenario.start_us} us"
        raise SampleError(Reason.PRESENT_MISSING, f"log {scenario.log} has no {what}")
    span = Span(id=scenario, anchor=anchor, frames=windows.frames_of(times, present, window, sampling))
    if (np.diff(times[span.recorded[0] : span.recorded[-1] + 1]) <= 0).any():
        raise SampleError(Reason.BROKEN_ROWS, f"log {scenario.log} has two frames of one time within the window")
    return span


def assemble(log: Log, span: Span, window: Window, map_view: MapView, vehicle: Vehicle) -> Scene:
    """Return the scene of a span.

    Raises:
        SampleError: `UNREADABLE_LOG`, `PRESENT_MISSING` (no pose of the ego vehicle), or `BROKEN_ROWS` (boxes without a pose,
            size or known category).
    """
    index, held = log.index, log.hold(span.recorded)
    ego = _ego(held.ego, span.frames, vehicle)
    if not ego.valid[window.history_steps]:
        raise SampleError(Reason.PRESENT_MISSING, f"the ego vehicle has no pose at {span.id.start_us}")
    boxes = held.boxes
    recorded_steps = np.flatnonzero(span.frames >= 0)
    place, row = boxes.spans.rows(span.recorded)
    step = recorded_steps[place]
    _require_sound(boxes, row, log.tracks)
    scene = int(index.frames.scene[span.anchor])
    goal = index.scenes.goal[scene] if scene >= 0 and np.isfinite(index.scenes.goal[scene]).all() else None
    return Scene(
        id=span.id,
        window=window,
        times_us=windows.step_times_us(index.frames.time_us, span.frames, window),
        ego=ego,
        tracks=_tracks(boxes, step, row, log.tracks, window),
        static_objects=_static_objects(boxes, row[step == window.history_steps], log.tracks),
        lights=_lights(held.lights, recorded_steps, span.recorded),
        route=index.scenes.routes[scene] if scene >= 0 else np.zeros(0, np.int64),
        goal=goal,
        map=map_view,
        scenario_type=_type(index, span.anchor),
    )


def _type(index: Index, frame: int) -> str:
    first, last = np.searchsorted(index.tags.frame, [frame, frame + 1])
    return index.tags.names[index.tags.code[first:last].max()] if last > first else "unknown"


def _ego(motion: EgoMotion, steps: Ints, vehicle: Vehicle) -> Ego:
    pose, velocity, acceleration = motion.pose[steps], motion.velocity[steps], motion.acceleration[steps]
    valid = (steps >= 0) & np.isfinite(pose).all(axis=1) & np.isfinite(velocity).all(axis=1)
    acceleration_valid = valid & np.isfinite(acceleration).all(axis=1)
    unknown = ~valid
    pose[unknown], velocity[unknown], acceleration[~acceleration_valid] = 0.0, 0.0, 0.0
    return Ego(
        position=pose[:, :2].copy(),
        heading=pose[:, 2].copy(),
        velocity=velocity,
        acceleration=acceleration,
        steering_angle=np.zeros(len(steps)),
        yaw_rate=np.zeros(len(steps)),
        valid=valid,
        acceleration_valid=acceleration_valid,
        steering_valid=np.zeros(len(steps), np.bool_),
        vehicle=vehicle,
    )


def _require_sound(boxes: Boxes, row: Rows, tracks: LogTracks) -> None:
    broken = row[boxes.broken[row]]
    if not len(broken):
        return
    of_no_category = boxes.track[broken][tracks.category[boxes.track[broken]] < 0]
    if len(of_no_category):
        names = sorted({tracks.category_name[track] for track in of_no_category})
        raise SampleError(Reason.BROKEN_ROWS, f"unknown category {', '.join(map(repr, names))}")
    token = tracks.token[boxes.track[broken[0]]].decode()
    raise SampleError(Reason.BROKEN_ROWS, f"{len(broken)} boxes without pose or size, the first of track {token}")


def _tracks(boxes: Boxes, step: Rows, row: Rows, tracks: LogTracks, window: Window) -> Tracks:
    category = tracks.category[boxes.track[row]]
    moving = category <= max(MOVING)
    step, row, category = step[moving], row[moving], category[moving]
    track = boxes.track[row]
    order = _row_order(track, step, category, window.history_steps)
    place_of = np.zeros(len(tracks.token), np.int64)
    place_of[order] = np.arange(len(order))
    cells = (place_of[track], step)
    shape = (len(order), window.steps)
    valid = np.zeros(shape, np.bool_)
    valid[cells] = True
    return Tracks(
        token=tracks.token[order],
        category=tracks.category[order],
        position=_spread(boxes.pose[row, :2], cells, (*shape, 2)),
        heading=_spread(boxes.pose[row, 2], cells, shape),
        velocity=_spread(boxes.velocity[row], cells, (*shape, 2)),
        size=_spread(boxes.size[row], cells, (*shape, 2)),
        valid=valid,
    )


def _row_order(track: npt.NDArray[np.int32], step: Rows, category: Codes, present: int) -> npt.NDArray[np.int32]:
    """Return the tracks of the present frame by category, then those of other frames as they first appear."""
    now = np.flatnonzero(step == present)
    now = now[np.argsort(category[now], kind="stable")]
    seen = np.concatenate([track[now], track])
    different, first = np.unique(seen, return_index=True)
    return different[np.argsort(first)]


def _spread(values: Floats, cells: tuple[Ints, Rows], shape: tuple[int, ...]) -> Floats:
    spread = np.zeros(shape)
    spread[cells] = values
    return spread


def _static_objects(boxes: Boxes, row: Rows, tracks: LogTracks) -> StaticObjects:
    category = tracks.category[boxes.track[row]]
    row = row[category > max(MOVING)]
    category = category[category > max(MOVING)]
    order = np.argsort(category, kind="stable")
    row = row[order]
    return StaticObjects(
        token=tracks.token[boxes.track[row]],
        category=category[order],
        position=boxes.pose[row, :2],
        heading=boxes.pose[row, 2],
        size=boxes.size[row],
    )


def _lights(lights: LogLights, steps: Rows, frames: Ints) -> Lights:
    place, row = lights.spans.rows(frames)
    return Lights(step=steps[place], connector_id=lights.connector_id[row], status=lights.status[row])
