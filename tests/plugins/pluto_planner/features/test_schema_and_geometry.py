"""The schema's cost, and polygons in the form that GEOS wants."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import shapely

from pluto_core.maps import Polygons, Polylines
from pluto_planner import schema
from pluto_planner.config import PlutoFeaturesConfig
from pluto_planner.features.map_geometry import LazyPolygons, MapGeometry, shapely_polygons


def test_schema_imports_no_numpy(repository: Path) -> None:
    """Checking an experiment reads specs without numpy, shapely, cv2 or torch."""
    heavy = "{'numpy', 'shapely', 'cv2', 'scipy', 'torch'}"
    code = f"import sys, pluto_planner.schema as s, pluto_planner.config as c; s.spec(c.PlutoFeaturesConfig()); \
        raise SystemExit(repr(sorted({heavy} & set(sys.modules))) if {heavy} & set(sys.modules) else 0)"
    paths = f"import sys; sys.path[:0] = {[str(repository), str(repository / 'plugins')]!r}; "
    done = subprocess.run([sys.executable, "-c", paths + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_specs_follow_the_settings() -> None:
    """Steps follow the horizons; causal keys and cost map go with the future; nothing is paid for what is off."""
    live = schema.spec(PlutoFeaturesConfig(future_horizon=0.0))
    assert not [key for key in live if key.startswith(("causal/", "cost"))]
    assert live["agent/position"].dims == ("agent", 21, 2)
    spec = schema.spec(PlutoFeaturesConfig(history_horizon=1.0, future_horizon=4.0, sample_interval=0.2))
    assert spec["agent/target"].dims == ("agent", 20, 3)
    assert "cost_maps" not in schema.spec(PlutoFeaturesConfig(cost_map="none"))
    assert not any(key.startswith("reference_line/") for key in schema.spec(PlutoFeaturesConfig(build_reference_line=False)))


def _square(x: float, y: float, side: float) -> np.ndarray:
    return np.array([[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]], np.float64)


def test_parts_and_holes() -> None:
    """A polygon with a hole, one of two parts, and a plain one keep their areas and what they contain (D-20)."""
    rings = [_square(0, 0, 10), _square(4, 4, 2), _square(20, 0, 1), _square(30, 0, 2), _square(40, 0, 3)]
    holes = np.array([False, True, False, False, False])
    polygons = Polygons(np.array([0, 2, 4, 5]), Polylines.from_lines(rings), holes)
    assert shapely.area(shapely_polygons(polygons, np.array([2, 0, 1]))).tolist() == [9.0, 96.0, 5.0]
    lazy = LazyPolygons(polygons)
    touching = lazy.touching(np.array([shapely.Point(5, 5), shapely.Point(31, 1), shapely.Point(99, 99)]), np.arange(3))
    assert touching.tolist() == [[False] * 3, [False, True, False], [False] * 3]
    assert lazy[np.array([1, 1, 0])].shape == (3,)
    assert lazy.touching(np.zeros(0, object), np.arange(3)).shape == (0, 3)


def test_geometry_is_kept_with_the_map(world: SimpleNamespace) -> None:
    """Two scenes on one map share what was computed for it; overlap is symmetric and zero where boxes are apart."""
    view = world.fork()
    ground = MapGeometry.of(view)
    assert MapGeometry.of(view) is ground
    assert ground.block_overlap_m2(0, 1) == ground.block_overlap_m2(1, 0)
    assert ground.block_overlap_m2(0, 1) == pytest.approx(0.0, abs=1e-6)
