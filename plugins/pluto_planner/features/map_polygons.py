"""Map polygons: lanes, lane connectors and crosswalks around the ego vehicle, each as three edges of 20 points.

Spec: pluto-features section 7.
"""

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.geometry import wrap
from pluto_core.maps import Layer
from pluto_core.samples import Sample
from pluto_core.scene import LightStatus, Scene
from pluto_planner.features.ego import Present
from pluto_planner.features.map_geometry import MapGeometry, between
from pluto_planner.features.route import Route
from pluto_planner.schema import POINTS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CORNER_MARGIN_M = 2.0
PERPENDICULAR_MARGIN_RAD = 0.05
"""Crosswalks as a rule lie across the way: the cut between both senses is moved off the right angle, where it would flicker."""
_MIDDLE = POINTS // 2


@attrs.frozen(kw_only=True, eq=False)
class Nearby:
    """Which polygons the sample holds: lanes first, then connectors, then crosswalks, each in ascending id."""

    lanes: Ints
    """Rows of the map's lanes; lanes, then connectors."""
    lane_count: int
    """How many of them are no connectors."""
    crosswalks: Ints
    """Rows of the map's crosswalks."""

    def __len__(self) -> int:
        """Return the number of polygons."""
        return len(self.lanes) + len(self.crosswalks)


def nearby(ground: MapGeometry, now: Present, radius_m: float, *, corners: bool) -> Nearby:
    """Return the polygons that touch the square around the ego vehicle's centre.

    Args:
        ground: The map.
        now: The ego vehicle.
        radius_m: Half the square's side.
        corners: Ask for the corners of the turned square too (spec 7.4, a fix that is off by default).
    """
    reach = radius_m * np.sqrt(2) + CORNER_MARGIN_M if corners else radius_m
    lanes, connectors, crosswalks = (
        ground.view.near(layer, now.center, reach) for layer in (Layer.LANE, Layer.LANE_CONNECTOR, Layer.CROSSWALK)
    )
    return Nearby(lanes=np.concatenate([lanes, connectors]), lane_count=len(lanes), crosswalks=crosswalks)


def build(ground: MapGeometry, found: Nearby, scene: Scene, route: Route, *, parity: bool) -> Sample:
    """Return the `map/` arrays of the polygons in the global frame, all but `valid_mask`."""
    view, lanes, count = ground.view, found.lanes, len(found)
    edges, orientation = _edges(ground, found, float(scene.ego.heading[scene.present]), parity=parity)
    has_limit, block = np.zeros(count, np.bool_), np.zeros(count, np.int64)
    limit, on_route = np.zeros(count), np.zeros(count, np.bool_)
    has_limit[: len(lanes)] = view.lanes.has_speed_limit[lanes]
    limit[: len(lanes)] = np.where(has_limit[: len(lanes)], view.lanes.speed_limit_mps[lanes], 0.0)
    rows = view.lanes.block[lanes]
    block[: len(lanes)] = np.where(rows >= 0, view.blocks.ids[rows] if len(view.blocks) else 0, 0)
    on_route[: len(lanes)] = np.isin(rows, np.array(route.blocks, np.int64))
    sample: Sample = {
        "map/point_position": edges[:, :, :POINTS],
        "map/point_vector": np.diff(edges, axis=2),
        "map/point_orientation": orientation,
        "map/point_side": np.broadcast_to(np.arange(3, dtype=np.int8), (count, 3)),
        "map/polygon_center": np.concatenate([edges[:, 0, _MIDDLE], orientation[:, 0, _MIDDLE, None]], axis=-1),
        "map/polygon_position": edges[:, 0, 0],
        "map/polygon_orientation": orientation[:, 0, 0],
        "map/polygon_type": _types(found),
        "map/polygon_on_route": on_route,
        "map/polygon_tl_status": _lights(ground, found, scene, parity=parity),
        "map/polygon_has_speed_limit": has_limit,
        "map/polygon_speed_limit": limit,
        "map/polygon_road_block_id": block.astype(np.int32),
    }
    return _with_id_clashes(ground, found, sample) if parity else sample


def _types(found: Nearby) -> npt.NDArray[np.int8]:
    counts = [found.lane_count, len(found.lanes) - found.lane_count, len(found.crosswalks)]
    return np.repeat(np.arange(3, dtype=np.int8), counts)


def _edges(ground: MapGeometry, found: Nearby, heading: float, *, parity: bool) -> tuple[Floats, Floats]:
    """Return (M, 3, 21, 2) points of the edges and (M, 3, 20) orientations of their segments."""
    lanes = ground.lanes_with_edges(found.lanes)
    crosswalks = ground.crosswalks_with_edges(found.crosswalks)
    points, orientation = crosswalks.points[found.crosswalks], crosswalks.orientation[found.crosswalks]
    if not parity:
        points, orientation = _canonical(points, heading)
    return np.concatenate([lanes.points[found.lanes], points]), np.concatenate([lanes.orientation[found.lanes], orientation])


def _canonical(points: Floats, heading: float) -> tuple[Floats, Floats]:
    """Return edges and orientations of crosswalks along their longer side, in the sense nearer to the ego vehicle's heading.

    What GEOS gives depends on its version, and on how the polygon is turned (D-7).
    """
    around = np.stack([points[:, 1, 0], points[:, 1, -1], points[:, 2, -1], points[:, 2, 0]], axis=1)
    sides = np.hypot(*np.moveaxis(around[:, [1, 2]] - around[:, [0, 1]], -1, 0))
    across = sides[:, 0] < sides[:, 1]
    around[across] = np.roll(around[across], -1, axis=1)
    step = around[:, 1] - around[:, 0]
    relative = wrap(np.arctan2(step[:, 1], step[:, 0]) - heading + PERPENDICULAR_MARGIN_RAD)
    backward = np.abs(relative) > np.pi / 2
    around[backward] = around[backward][:, [1, 0, 3, 2]]
    step, aside = around[:, 1] - around[:, 0], around[:, 0] - around[:, 3]
    mirrored = step[:, 0] * aside[:, 1] - step[:, 1] * aside[:, 0] < 0
    around[mirrored] = around[mirrored][:, [3, 2, 1, 0]]
    left, right = around[:, [0, 1]], around[:, [3, 2]]
    edges = np.stack([(left + right) / 2, left, right], axis=1)
    dense = between(edges[:, :, 0], edges[:, :, 1])
    vector = np.diff(dense, axis=2)
    return dense, np.arctan2(vector[..., 1], vector[..., 0])


def _lights(ground: MapGeometry, found: Nearby, scene: Scene, *, parity: bool) -> npt.NDArray[np.int8]:
    """Return the (M,) light of every polygon; the last statement about a connector counts."""
    status = np.full(len(found), LightStatus.UNKNOWN, np.int8)
    stated = dict(zip(*(column.tolist() for column in scene.lights.at(scene.present)), strict=True))
    # The reference looks lanes up as well, by the bare number.
    first = 0 if parity else found.lane_count
    ids = ground.view.lanes.ids[found.lanes[first:]].tolist()
    status[first : len(found.lanes)] = [stated.get(one, LightStatus.UNKNOWN) for one in ids]
    return status


def _with_id_clashes(ground: MapGeometry, found: Nearby, sample: Sample) -> Sample:
    """Return the arrays as the reference fills them: into the first row with the polygon's id, whatever its layer (D-6)."""
    ids = np.concatenate([ground.view.lanes.ids[found.lanes], ground.view.areas[Layer.CROSSWALK].ids[found.crosswalks]])
    _, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    place = first[inverse]
    if (place == np.arange(len(ids))).all():
        return sample
    clashed = {key: np.zeros_like(array) for key, array in sample.items()}
    for key, array in sample.items():
        clashed[key][place] = array
    return clashed
