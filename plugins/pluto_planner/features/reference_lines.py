"""Reference lines: every way along the route's lanes that begins at the ego vehicle.

Spec: pluto-features section 8.6.
"""

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.maps import Layer
from pluto_core.samples import Sample
from pluto_core.scene import Scene
from pluto_planner.features.ego import Present
from pluto_planner.features.map_geometry import MapGeometry
from pluto_planner.features.paths import Path, Piece, arc_lengths, lane_poses, nearest_vertex, project, turn_between
from pluto_planner.features.route import Route
from pluto_planner.schema import LINE_POINTS, PROJECTED_SECONDS

Floats = npt.NDArray[np.float64]

LENGTH_M = 120.0
LONG_SHARE = 0.8
START_REACH_M = 3.0
LEAST_LANE_M = 2.0
MOST_LANES = 15
VERTEX_STRIDE = 4
"""nuPlan draws a vertex every quarter of a metre."""
SAME_LINE_M = 0.5
SPACING_M = 1.0
QUARTER_METRE = (0.2, 0.3)
_SPACING_KEY = "pluto_planner.features.vertex_spacing"


@attrs.frozen(kw_only=True)
class LineRules:
    """Which of the reference's habits to keep."""

    parity: bool
    """Keep its defects (D-11, X-15, X-16, X-17)."""
    resample: bool | None
    """Points at 1 m instead of every fourth vertex (D-13); None: where vertices are not a quarter of a metre apart."""


def find(ground: MapGeometry, route: Route, now: Present, rules: LineRules) -> list[Floats]:
    """Return the reference lines from the ego vehicle on as (k, 3) poses, vertices as drawn, global."""
    ways = [way for start in _starting_lanes(ground, route, now, rules) for way in _ways(ground, route, start, now, rules)]
    paths = [Path.along(lane_poses(ground.view, way), keep_last=not rules.parity) for way in ways]
    pieces = [_ahead(path, now) for path in paths if not path.empty]
    long = [piece for piece in pieces if piece.length_m > LONG_SHARE * LENGTH_M]
    return _different([piece.poses for piece in long or pieces], rules)


def build(lines: list[Floats], scene: Scene, *, resample: bool) -> Sample:
    """Return the `reference_line/` arrays in the global frame; `resample`: points at 1 m, else every fourth vertex."""
    count = len(lines)
    position, vector = np.zeros((count, LINE_POINTS, 2)), np.zeros((count, LINE_POINTS, 2))
    orientation, valid = np.zeros((count, LINE_POINTS)), np.zeros((count, LINE_POINTS), np.bool_)
    for index, line in enumerate(lines):
        taken = (_at_equal_steps(line) if resample else line[::VERTEX_STRIDE])[: LINE_POINTS + 1]
        size = len(taken) - 1
        position[index, :size] = taken[:-1, :2]
        vector[index, :size] = np.diff(taken[:, :2], axis=0)
        orientation[index, :size] = taken[:-1, 2]
        valid[index, :size] = True
    return {
        "reference_line/position": position,
        "reference_line/vector": vector,
        "reference_line/orientation": orientation,
        "reference_line/valid_mask": valid,
        "reference_line/future_projection": _future_projection(lines, scene),
    }


def resamples(ground: MapGeometry, rules: LineRules) -> bool:
    """Return whether lines are resampled at 1 m: as the rules say, else where vertices are not drawn as nuPlan draws them."""
    if rules.parity or rules.resample is not None:
        return bool(rules.resample) and not rules.parity
    derived = ground.view.derived
    if _SPACING_KEY not in derived:
        baselines = ground.view.lanes.baselines
        counts = np.maximum(np.diff(baselines.offsets) - 1, 1)
        derived[_SPACING_KEY] = float(np.median(baselines.lengths_m / counts)) if len(counts) else 0.0
    return not QUARTER_METRE[0] <= derived[_SPACING_KEY] <= QUARTER_METRE[1]


def _starting_lanes(ground: MapGeometry, route: Route, now: Present, rules: LineRules) -> list[int]:
    """Return the route's lanes at the ego vehicle that lead its way, without those that another one leads into."""
    view = ground.view
    near = [int(row) for layer in (Layer.LANE_CONNECTOR, Layer.LANE) for row in view.near(layer, now.center, START_REACH_M)]
    turns: dict[int, float] = {}
    for row in near:
        if row not in route.lane_set or view.lanes.baselines.lengths_m[row] <= LEAST_LANE_M:
            continue
        heading = nearest_vertex(view, row, now.position, stride=VERTEX_STRIDE)[1]
        turn = turn_between(heading, now.heading)
        if turn < np.pi / 2:
            turns[row] = turn
    kept = dict.fromkeys(turns)
    for row in turns:
        for following in ground.lane_successors(row):
            kept.pop(following, None)
    if not kept and turns and not rules.parity:
        return [min(turns, key=lambda row: turns[row])]
    return list(kept)


def _ways(ground: MapGeometry, route: Route, start: int, now: Present, rules: LineRules) -> list[list[int]]:
    """Return every way along the route's lanes from `start`, each until it is long enough or ends."""
    baselines = ground.view.lanes.baselines
    line = baselines.line(start)
    arc = arc_lengths(line)
    driven = float(project(line, arc, now.position[None])[0][0])
    found: list[list[int]] = []
    open_ways = [([start], float(baselines.lengths_m[start]) - driven)]
    while open_ways:
        way, length = open_ways.pop()
        onward = [lane for lane in ground.lane_successors(way[-1]) if lane in route.lane_set]
        if not rules.parity:
            onward = [lane for lane in onward if lane not in way]
        if not onward or len(way) == MOST_LANES or length > LENGTH_M:
            found.append(way)
            continue
        open_ways += [([*way, lane], length + float(baselines.lengths_m[lane])) for lane in reversed(onward)]
    return found


def _ahead(path: Path, now: Present) -> Piece:
    """Return the part of a path in front of the rear axle."""
    here = float(path.project(now.position[None])[0][0])
    return path.cut(here, here + LENGTH_M)


def _different(lines: list[Floats], rules: LineRules) -> list[Floats]:
    """Return the lines without those that run along an earlier one.

    The reference compares vertex by vertex, so that the same line with other vertices survives, and lets a removed line
    remove others (X-15).
    """
    if len(lines) < 2:  # noqa: PLR2004 -- nothing to compare with
        return lines
    compared = lines if rules.parity else [_at_equal_steps(line) for line in lines]
    removed = np.zeros(len(lines), np.bool_)
    for first, line in enumerate(compared):
        if removed[first] and not rules.parity:
            continue
        for second in range(first + 1, len(lines)):
            if not removed[second]:
                size = min(len(line), len(compared[second]))
                gap = np.abs(line[:size, :2] - compared[second][:size, :2]).sum(axis=1)
                removed[second] = gap.max() < SAME_LINE_M
    return [line for line, gone in zip(lines, removed, strict=True) if not gone]


def _at_equal_steps(line: Floats) -> Floats:
    """Return the poses of a line at every metre."""
    path = Path.along(line)
    if path.empty:
        return line[:1]
    return path.at(np.arange(0.0, path.ends_m[1] + 1e-6, SPACING_M))


def _future_projection(lines: list[Floats], scene: Scene) -> Floats:
    """Return (R, 8, 2) arc length and distance on each line of the rear axle after 1 to 8 s; 0 where it is not known."""
    projection = np.zeros((len(lines), PROJECTED_SECONDS, 2))
    steps = scene.present + np.round(np.arange(1, PROJECTED_SECONDS + 1) / scene.window.interval_s).astype(np.int64)
    steps = steps[steps < scene.window.steps]
    known = np.flatnonzero(scene.ego.valid[steps])
    if len(known) == 0:
        return projection
    for index, line in enumerate(lines):
        places = project(line[:, :2], arc_lengths(line), scene.ego.position[steps[known]])
        projection[index, known] = np.stack(places, axis=-1)
    return projection
