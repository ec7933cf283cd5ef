import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluto_nuplan.projection import central_meridian_deg, to_lonlat, to_utm


@pytest.mark.parametrize("zone", [11, 17, 19, 48])
def test_round_trip_is_exact_to_a_micrometre(zone):
    """Projecting back and forth returns every point of a zone to 1e-6 m."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(200_000, 800_000, 2000), rng.uniform(0, 7_000_000, 2000)
    again = to_utm(*to_lonlat(x, y, zone), zone)
    assert np.abs(again[0] - x).max() < 1e-6
    assert np.abs(again[1] - y).max() < 1e-6


def test_known_points():
    """The central meridian maps to the false easting, and a published point of zone 31 to its coordinates."""
    x, y = to_utm([3.0, 3.0], [0.0, 45.0], 31)
    assert np.allclose(x, 500_000.0, atol=1e-6)
    # Meridian arc length from the equator to 45 degrees on WGS 84, scaled by 0.9996.
    assert np.allclose(y, [0.0, 4_984_944.378 * 0.9996], atol=1e-3)


@given(st.floats(-3, 3), st.floats(0.0, 70.0), st.integers(1, 60))
def test_easting_is_odd_and_northing_even_about_the_meridian(offset, lat, zone):
    """The projection is symmetric about a zone's central meridian."""
    middle = central_meridian_deg(zone)
    east, west = to_utm(middle + offset, lat, zone), to_utm(middle - offset, lat, zone)
    assert abs((east[0] - 500_000.0) + (west[0] - 500_000.0)) < 1e-6
    assert abs(east[1] - west[1]) < 1e-6
