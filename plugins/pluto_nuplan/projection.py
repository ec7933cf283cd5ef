"""UTM coordinates of longitude and latitude on the WGS84 ellipsoid, and back.

The transverse Mercator series of L. Krueger in the form of C. Karney, "Transverse Mercator with an accuracy of a few
nanometers" (J. Geodesy 2011), equations 7 to 9 and 11 (conformal latitude) and 35, 36 (coefficients to the sixth order).
Northern hemisphere: no false northing.
"""

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SCALE = 0.9996
FALSE_EASTING_M = 500_000.0
SEMI_MAJOR_M = 6_378_137.0
FLATTENING = 1 / 298.257223563

_N = FLATTENING / (2 - FLATTENING)
_E = math.sqrt(FLATTENING * (2 - FLATTENING))
_RADIUS_M = SEMI_MAJOR_M / (1 + _N) * (1 + _N**2 / 4 + _N**4 / 64 + _N**6 / 256)
_NEWTON_STEPS = 4

# Row j holds the factors of n^1 .. n^6 in the coefficient of the term with 2(j + 1).
_FORWARD_SERIES = (
    (1 / 2, -2 / 3, 5 / 16, 41 / 180, -127 / 288, 7891 / 37800),
    (0, 13 / 48, -3 / 5, 557 / 1440, 281 / 630, -1983433 / 1935360),
    (0, 0, 61 / 240, -103 / 140, 15061 / 26880, 167603 / 181440),
    (0, 0, 0, 49561 / 161280, -179 / 168, 6601661 / 7257600),
    (0, 0, 0, 0, 34729 / 80640, -3418889 / 1995840),
    (0, 0, 0, 0, 0, 212378941 / 319334400),
)
_INVERSE_SERIES = (
    (1 / 2, -2 / 3, 37 / 96, -1 / 360, -81 / 512, 96199 / 604800),
    (0, 1 / 48, 1 / 15, -437 / 1440, 46 / 105, -1118711 / 3870720),
    (0, 0, 17 / 480, -37 / 840, -209 / 4480, 5569 / 90720),
    (0, 0, 0, 4397 / 161280, -11 / 504, -830251 / 7257600),
    (0, 0, 0, 0, 4583 / 161280, -108847 / 3991680),
    (0, 0, 0, 0, 0, 20648693 / 638668800),
)


def _coefficients(series: tuple[tuple[float, ...], ...]) -> tuple[float, ...]:
    return tuple(sum(factor * _N ** (power + 1) for power, factor in enumerate(row)) for row in series)


_ALPHA = _coefficients(_FORWARD_SERIES)
_BETA = _coefficients(_INVERSE_SERIES)


def central_meridian_deg(zone: int) -> float:
    """The longitude in degrees in the middle of a UTM zone (1 to 60)."""
    return 6.0 * zone - 183.0


def to_utm(lon_deg: npt.ArrayLike, lat_deg: npt.ArrayLike, zone: int) -> tuple[Array, Array]:
    """Easting and northing in metres of WGS84 longitudes and latitudes.

    Args:
        lon_deg: Longitudes in degrees, any shape.
        lat_deg: Latitudes in degrees, the same shape.
        zone: UTM zone, 1 to 60.

    Returns:
        Easting and northing, float64, of the same shape.
    """
    lam = np.radians(np.asarray(lon_deg, np.float64) - central_meridian_deg(zone))
    sin_phi = np.sin(np.radians(np.asarray(lat_deg, np.float64)))
    tau = np.sinh(np.arctanh(sin_phi) - _E * np.arctanh(_E * sin_phi))
    cos_lam = np.cos(lam)
    xi0 = np.arctan2(tau, cos_lam)
    eta0 = np.arcsinh(np.sin(lam) / np.hypot(tau, cos_lam))
    xi, eta = _add_series(xi0, eta0, _ALPHA, 1.0)
    return FALSE_EASTING_M + SCALE * _RADIUS_M * eta, SCALE * _RADIUS_M * xi


def to_lonlat(x_m: npt.ArrayLike, y_m: npt.ArrayLike, zone: int) -> tuple[Array, Array]:
    """WGS84 longitudes and latitudes in degrees of UTM eastings and northings.

    Args:
        x_m: Eastings in metres, any shape.
        y_m: Northings in metres, the same shape.
        zone: UTM zone, 1 to 60.

    Returns:
        Longitude and latitude, float64, of the same shape.
    """
    xi = np.asarray(y_m, np.float64) / (SCALE * _RADIUS_M)
    eta = (np.asarray(x_m, np.float64) - FALSE_EASTING_M) / (SCALE * _RADIUS_M)
    xi0, eta0 = _add_series(xi, eta, _BETA, -1.0)
    sinh_eta, cos_xi = np.sinh(eta0), np.cos(xi0)
    tau = _geographic_tangent(np.sin(xi0) / np.hypot(sinh_eta, cos_xi))
    return central_meridian_deg(zone) + np.degrees(np.arctan2(sinh_eta, cos_xi)), np.degrees(np.arctan(tau))


def _add_series(xi: Array, eta: Array, coefficients: tuple[float, ...], sign: float) -> tuple[Array, Array]:
    """The Krueger sum over the complex angle xi + i eta, by Clenshaw's recurrence (one sine and cosine in all)."""
    zeta = xi + 1j * eta
    double = 2 * np.cos(2 * zeta)
    last = np.zeros_like(zeta)
    before = np.zeros_like(zeta)
    for coefficient in reversed(coefficients):
        last, before = double * last - before + coefficient, last
    total = zeta + sign * np.sin(2 * zeta) * last
    return total.real, total.imag


def _geographic_tangent(tau_conformal: Array) -> Array:
    """Tangent of the geographic latitude from that of the conformal one (Karney equations 19 to 21, Newton)."""
    tau = tau_conformal
    for _ in range(_NEWTON_STEPS):
        root = np.hypot(1.0, tau)
        sigma = np.sinh(_E * np.arctanh(_E * tau / root))
        guess = tau * np.hypot(1.0, sigma) - sigma * root
        slope = (1 + (1 - _E**2) * tau**2) / ((1 - _E**2) * root)
        tau = tau + (tau_conformal - guess) / np.hypot(1.0, guess) * slope
    return tau
