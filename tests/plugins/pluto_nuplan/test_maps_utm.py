import json

import numpy as np
import pytest

from pluto_nuplan import projection
from pluto_nuplan.maps import open_map
from pluto_nuplan.maps.utm import to_utm


@pytest.mark.parametrize(
    ("zone", "lon_deg", "lat_deg"), [(48, 103.8, 1.3), (19, -71.05, 42.35), (11, -115.17, 36.1), (17, -80.0, 40.4)]
)
def test_both_ways_to_project_agree(zone, lon_deg, lat_deg):
    """The series for the conformal latitude gives what its closed form gives, to nanometres, in all four cities."""
    rng = np.random.default_rng(zone)
    lon, lat = lon_deg + rng.uniform(-0.3, 0.3, 500), lat_deg + rng.uniform(-0.3, 0.3, 500)
    np.testing.assert_allclose(to_utm(lon, lat, zone), np.stack(projection.to_utm(lon, lat, zone), axis=-1), rtol=0, atol=6e-9)


def test_no_points_give_no_points():
    """An empty layer is projected to nothing."""
    assert to_utm(np.zeros(0), np.zeros(0), 11).shape == (0, 2)


@pytest.mark.parametrize(("folder", "location"), [("town", "us-nv-las-vegas-strip"), ("tilted", "us-ma-boston")])
def test_coordinates_are_rounded_as_the_reference_rounds_them(shared_data, tmp_path, folder, location):
    """First and last vertices of all baselines are the recorded numbers to the last bit, but for the odd one."""
    root = shared_data / "golden" / folder
    lanes = (view := open_map(root / "maps", location, cache_home=tmp_path)).lanes
    recorded = json.loads((root / "reader" / f"map_{view.name}.json").read_text())
    was = [*recorded["lane"].values(), *recorded["lane_connector"].values()]
    ends = [[one["first"][:2], one["last"][:2]] for one in was]
    ours = lanes.baselines.points[np.stack([lanes.baselines.offsets[:-1], lanes.baselines.offsets[1:] - 1], axis=1)]
    assert [int(fid) for layer in ("lane", "lane_connector") for fid in recorded[layer]] == lanes.ids.tolist()
    assert (ours == ends).mean() > 0.99
