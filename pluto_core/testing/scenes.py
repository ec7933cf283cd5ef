"""Scenes made in memory, for tests of whatever reads scenes. The same everywhere: no file, no clock, no global chance."""

import math
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.scene import (
    Category,
    Ego,
    Floats,
    Lights,
    LightStatus,
    ScenarioId,
    Scene,
    StaticObjects,
    Tracks,
    Window,
    as_tokens,
    empty_tracks,
)
from pluto_core.testing import roads

WINDOW = Window(history_s=2.0, future_s=8.0, interval_s=0.1)
START_US = 1_600_000_000_000_000
_KINDS = (Category.VEHICLE, Category.PEDESTRIAN, Category.BICYCLE)
_SIZES = {Category.VEHICLE: (1.9, 4.6), Category.PEDESTRIAN: (0.7, 0.7), Category.BICYCLE: (0.6, 1.8)}
_EDGES = (Category.TRAFFIC_CONE, Category.BARRIER, Category.GENERIC_OBJECT)
_ROUND = 1e-9


def make_scene(
    *,
    agents: int = 3,
    lanes: int = 2,
    seed: int = 0,
    window: Window = WINDOW,
    static_objects: int = 2,
    light: LightStatus | None = LightStatus.GREEN,
    recorded_s: tuple[float, float] = (-math.inf, math.inf),
    scenario: ScenarioId | None = None,
) -> Scene:
    """Return a scene: the ego vehicle drives along a road with a junction ahead, others drive, walk and cycle around it.

    What happens depends on `seed` and on time alone: a longer window shows the same scene for longer.

    Args:
        agents: Tracks: vehicles, pedestrians and cyclists in turn. The second is seen from -0.5 s on; every fourth appears
            1 s after time zero.
        lanes: Lanes side by side; 0 for no map, no route and no lights.
        seed: Another number gives other places and speeds.
        window: Span and steps of the scene.
        static_objects: Cones, barriers and other objects at the right edge of the road.
        light: Of the connectors straight ahead; the turn shows red. None: no lights are known.
        recorded_s: First and last second of the recording; what lies outside is not valid.
        scenario: Its id; None: one that follows from `seed`.
    """
    scenario = scenario or ScenarioId(f"made-{seed}", f"{seed:016x}", START_US)
    times_s = _times_s(window)
    seen = (times_s >= recorded_s[0] - _ROUND) & (times_s <= recorded_s[1] + _ROUND)
    return Scene(
        id=scenario,
        window=window,
        times_us=scenario.start_us + np.round(times_s * 1e6).astype(np.int64),
        ego=_ego(times_s, seed, max(lanes, 1), seen),
        tracks=_tracks(times_s, seed, agents, max(lanes, 1), seen),
        static_objects=_static_objects(static_objects, max(lanes, 1)),
        lights=_lights(lanes, light, seen),
        route=np.array([roads.BEFORE, roads.AHEAD, roads.AFTER] if lanes else [], np.int64),
        goal=_goal() if lanes else None,
        map=roads.make_map(lanes),
        scenario_type=("straight", "crossing")[seed % 2],
    )


def bare_scene(window: Window = WINDOW) -> Scene:
    """Return the emptiest scene that is valid: the ego vehicle alone, at time zero alone, without a map."""
    return make_scene(agents=0, lanes=0, window=window, static_objects=0, light=None, recorded_s=(0.0, 0.0))


def _times_s(window: Window) -> Floats:
    steps = np.arange(-window.history_steps, window.future_steps + 1, dtype=np.float64)
    return steps * window.interval_s


@attrs.frozen
class _Motion:
    """A straight way at nearly constant speed, in the road's frame."""

    x_m: float
    y_m: float
    heading_rad: float
    speed_mps: float
    acceleration_mps2: float = 0.0

    def at(self, times_s: Floats) -> tuple[Floats, Floats]:
        """Return global positions (T, 2) and speeds (T,)."""
        way = self.speed_mps * times_s + 0.5 * self.acceleration_mps2 * times_s**2
        ahead = np.array([math.cos(self.heading_rad), math.sin(self.heading_rad)])
        positions = roads.place(np.array([self.x_m, self.y_m]) + way[:, None] * ahead)
        return positions, self.speed_mps + self.acceleration_mps2 * times_s


def _ego_motion(seed: int, lanes: int) -> _Motion:
    rng = np.random.default_rng([seed, 0])
    y = roads.lane_center(seed % lanes)
    return _Motion(rng.uniform(-10.0, 20.0), y, 0.0, rng.uniform(6.0, 9.0), rng.uniform(-0.3, 0.3))


def _ego(times_s: Floats, seed: int, lanes: int, seen: npt.NDArray[np.bool_]) -> Ego:
    motion = _ego_motion(seed, lanes)
    position, speed = motion.at(times_s)
    zeros = np.zeros(len(times_s))
    return Ego(
        position=np.where(seen[:, None], position, 0.0),
        heading=np.where(seen, roads.HEADING_RAD, 0.0),
        velocity=np.where(seen[:, None], np.stack([speed, zeros], axis=1), 0.0),
        acceleration=np.where(seen[:, None], [motion.acceleration_mps2, 0.0], 0.0),
        steering_angle=zeros,
        yaw_rate=zeros.copy(),
        valid=seen.copy(),
        acceleration_valid=seen.copy(),
        steering_valid=np.zeros(len(times_s), np.bool_),
    )


def _tracks(times_s: Floats, seed: int, agents: int, lanes: int, seen: npt.NDArray[np.bool_]) -> Tracks:
    present = int(np.argmin(np.abs(times_s)))
    rows = [_track(times_s, seed, number, lanes, seen) for number in range(agents)]
    rows = [row for row in rows if row["valid"].any()]
    if not rows:
        return empty_tracks(len(times_s))
    rows.sort(key=lambda row: (0, row["category"]) if row["valid"][present] else (1, int(np.argmax(row["valid"]))))
    return Tracks(
        token=as_tokens([row["token"] for row in rows]),
        category=np.array([row["category"] for row in rows], np.int8),
        **{name: np.stack([row[name] for row in rows]) for name in ("position", "heading", "velocity", "size", "valid")},
    )


def _track(times_s: Floats, seed: int, number: int, lanes: int, seen: npt.NDArray[np.bool_]) -> dict[str, Any]:
    kind = _KINDS[number % len(_KINDS)]
    motion = _motion(kind, seed, number, lanes)
    appears_s = 1.0 if number % 4 == 3 else -0.5 if number == 1 else -math.inf  # noqa: PLR2004 -- as documented
    valid = seen & (times_s >= appears_s - _ROUND)
    position, speed = motion.at(times_s)
    heading = roads.HEADING_RAD + motion.heading_rad
    velocity = speed[:, None] * np.array([math.cos(heading), math.sin(heading)])
    return {
        "token": f"{kind.name.lower()[:8]}{number}",
        "category": int(kind),
        "position": np.where(valid[:, None], position, 0.0),
        "heading": np.where(valid, heading, 0.0),
        "velocity": np.where(valid[:, None], velocity, 0.0),
        "size": np.where(valid[:, None], _SIZES[kind], 0.0),
        "valid": valid,
    }


def _motion(kind: Category, seed: int, number: int, lanes: int) -> _Motion:
    rng = np.random.default_rng([seed, 1, number])
    ego = _ego_motion(seed, lanes)
    if kind is Category.PEDESTRIAN:
        return _Motion(rng.uniform(*roads.CROSSWALK_M), rng.uniform(0.0, 6.0), -math.pi / 2, rng.uniform(0.8, 1.5))
    if kind is Category.BICYCLE:
        return _Motion(ego.x_m + rng.uniform(-15.0, 25.0), -lanes * roads.LANE_WIDTH_M - 1.0, 0.0, rng.uniform(3.0, 6.0))
    gap = (18.0 + 4.0 * number) * (1 if number % 2 == 0 else -1)
    lane = (seed + number // 2) % lanes
    return _Motion(ego.x_m + gap + rng.uniform(-2.0, 2.0), roads.lane_center(lane), 0.0, rng.uniform(5.0, 9.0))


def _static_objects(count: int, lanes: int) -> StaticObjects:
    kinds = sorted(_EDGES[number % len(_EDGES)] for number in range(count))
    edge = -lanes * roads.LANE_WIDTH_M + 0.4
    places = np.array([[25.0 + 8.0 * number, edge] for number in range(count)]).reshape(-1, 2)
    return StaticObjects(
        token=as_tokens([f"static{number}" for number in range(count)]),
        category=np.array(kinds, np.int8),
        position=roads.place(places),
        heading=np.full(count, roads.HEADING_RAD),
        size=np.full((count, 2), 0.5),
    )


def _lights(lanes: int, light: LightStatus | None, seen: npt.NDArray[np.bool_]) -> Lights:
    steps = np.flatnonzero(seen) if lanes and light is not None else np.zeros(0, np.int64)
    connectors = [*range(400, 400 + lanes), 410]
    states = [*[light or LightStatus.GREEN] * lanes, LightStatus.RED]
    return Lights(
        step=np.repeat(steps, len(connectors)),
        connector_id=np.tile(np.array(connectors, np.int64), len(steps)),
        status=np.tile(np.array(states, np.int8), len(steps)),
    )


def _goal() -> Floats:
    end = roads.place(np.array([[roads.END_M - 10.0, roads.lane_center(0)]]))[0]
    return np.array([*end, roads.HEADING_RAD])
