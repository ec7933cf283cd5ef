"""Drivable ground around the ego vehicle: the lanes of all blocks nearby, and car parks."""

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core import geometry
from pluto_core.maps import BLOCK_LAYERS, Layer
from pluto_planner.features.map_geometry import MapGeometry

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@attrs.frozen(kw_only=True, eq=False)
class Drivable:
    """Rows of the map's lanes and car parks."""

    ground: MapGeometry
    lanes: Ints
    carparks: Ints

    def touches(self, shapes: npt.NDArray[Any]) -> Mask:
        """Return the mask of shapes that share a point with drivable ground."""
        on_lane = self.ground.lanes.touching(shapes, self.lanes).any(axis=1)
        on_carpark = self.ground.carparks.touching(shapes, self.carparks).any(axis=1)
        return np.asarray(on_lane | on_carpark)


def around(ground: MapGeometry, center: Floats, half_side_m: float) -> Drivable:
    """Return all lanes of the roadblocks and connectors that touch a square, however far they reach, and its car parks."""
    view = ground.view
    blocks = np.concatenate([view.near(layer, center, half_side_m) for layer in BLOCK_LAYERS])
    members, _ = geometry.spans(view.blocks.interior.offsets, blocks)
    lanes = np.unique(view.blocks.interior.values[members])
    return Drivable(ground=ground, lanes=lanes, carparks=view.near(Layer.CARPARK, center, half_side_m))
