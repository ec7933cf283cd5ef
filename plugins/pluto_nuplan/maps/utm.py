"""UTM coordinates of a map's vertices, rounded as PROJ rounds them.

The reference projects with PROJ. `pluto_nuplan.projection` agrees with it to nanometres, which is enough for every length
and area, but not for two things that the reference decides by the last bit of a coordinate: along which side of an exact
rectangle the least rectangle around a crosswalk runs, and whether a lane due west has heading pi or -pi. So this module
follows the way of K. Engsager and K. Poder, "A highly accurate world wide algorithm for the transverse Mercator mapping
(almost)" (ICC 2007): conformal latitude by a series, then Krueger's; with the functions of the C library, because numpy's
own sines differ between processors in the last bit.
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pluto_nuplan.projection import FALSE_EASTING_M, FLATTENING, SCALE, SEMI_MAJOR_M

Floats = npt.NDArray[np.float64]

_N = math.tan(math.asin(math.sqrt(FLATTENING * (2 - FLATTENING))) / 2) ** 2
"""Third flattening, by way of the eccentricity."""
_N_SQ = _N * _N
_RADIUS = SCALE / (1 + _N) * (1 + _N_SQ * (1 / 4 + _N_SQ * (1 / 64 + _N_SQ / 256)))
"""Of the rectifying sphere, in semi-major axes, scaled."""

# Row j holds the factors of n^1 .. n^6 in the coefficient of the term with 2(j + 1).
_CONFORMAL_LATITUDE = (
    (-2, 2 / 3, 4 / 3, -82 / 45, 32 / 45, 4642 / 4725),
    (0, 5 / 3, -16 / 15, -13 / 9, 904 / 315, -1522 / 945),
    (0, 0, -26 / 15, 34 / 21, 8 / 5, -12686 / 2835),
    (0, 0, 0, 1237 / 630, -12 / 5, -24832 / 14175),
    (0, 0, 0, 0, -734 / 315, 109598 / 31185),
    (0, 0, 0, 0, 0, 444337 / 155925),
)
_TRANSVERSE_MERCATOR = (
    (1 / 2, -2 / 3, 5 / 16, 41 / 180, -127 / 288, 7891 / 37800),
    (0, 13 / 48, -3 / 5, 557 / 1440, 281 / 630, -1983433 / 1935360),
    (0, 0, 61 / 240, -103 / 140, 15061 / 26880, 167603 / 181440),
    (0, 0, 0, 49561 / 161280, -179 / 168, 6601661 / 7257600),
    (0, 0, 0, 0, 34729 / 80640, -3418889 / 1995840),
    (0, 0, 0, 0, 0, 212378941 / 319334400),
)


def _coefficients(rows: tuple[tuple[float, ...], ...]) -> tuple[float, ...]:
    """Return the polynomials in the third flattening, by Horner's rule."""
    totals = []
    for j, row in enumerate(rows):
        total = 0.0
        for factor in reversed(row[j:]):
            total = total * _N + factor
        totals.append(_N ** (j + 1) * total)
    return tuple(totals)


_CHI = _coefficients(_CONFORMAL_LATITUDE)
_ALPHA = _coefficients(_TRANSVERSE_MERCATOR)


def to_utm(lon_deg: Floats, lat_deg: Floats, zone: int) -> Floats:
    """Return (k, 2) easting and northing in metres of (k,) WGS84 longitudes and latitudes in degrees, northern hemisphere."""
    lam = np.radians(lon_deg) - ((zone - 0.5) * math.pi / 30 - math.pi)
    chi = _conformal(np.radians(lat_deg))
    sin_chi, cos_chi = _by_libm(math.sin, chi), _by_libm(math.cos, chi)
    along = cos_chi * _by_libm(math.cos, lam)
    inverse = 1 / np.hypot(sin_chi, along)
    across = _by_libm(math.sin, lam) * cos_chi * inverse
    xi, eta = _by_libm(math.atan2, sin_chi, along), _by_libm(math.asinh, across)
    # Functions of the double angles 2 xi and 2 eta, by those of the angles.
    twice = 2 * inverse
    square = twice * inverse
    step = along * square
    north, east = _complex_sine_series(sin_chi * step, along * step - 1, across * twice, square - 1)
    x = SEMI_MAJOR_M * (_RADIUS * (eta + east)) + FALSE_EASTING_M
    return np.stack([x, SEMI_MAJOR_M * (_RADIUS * (xi + north))], axis=-1)


def _conformal(phi: Floats) -> Floats:
    """Return conformal latitudes of geographic ones, rad: a sum of sines of multiples of 2 phi (Clenshaw)."""
    double = 2 * _by_libm(math.cos, 2 * phi)
    last, before = np.full_like(phi, _CHI[-1]), np.zeros_like(phi)
    for coefficient in _CHI[-2::-1]:
        last, before = -before + double * last + coefficient, last
    return phi + last * _by_libm(math.sin, 2 * phi)


def _complex_sine_series(sine: Floats, cosine: Floats, sinh: Floats, cosh: Floats) -> tuple[Floats, Floats]:
    """Return real and imaginary part of Krueger's sum over sines of multiples of a complex angle (Clenshaw).

    In real numbers: a complex product leaves the order of its additions to the processor.

    Args:
        sine: Of the real part of the angle.
        cosine: Of the real part of the angle.
        sinh: Of the imaginary part.
        cosh: Of the imaginary part.
    """
    real, imaginary = 2 * cosine * cosh, -2 * sine * sinh
    last, before = (np.full_like(sine, _ALPHA[-1]), np.zeros_like(sine)), (np.zeros_like(sine), np.zeros_like(sine))
    for coefficient in _ALPHA[-2::-1]:
        following = (
            -before[0] + real * last[0] - imaginary * last[1] + coefficient,
            -before[1] + imaginary * last[0] + real * last[1],
        )
        last, before = following, last
    real, imaginary = sine * cosh, cosine * sinh
    return real * last[0] - imaginary * last[1], real * last[1] + imaginary * last[0]


def _by_libm(function: Callable[..., float], *arguments: Floats) -> Floats:
    """Return a function of the C library of every element."""
    return np.fromiter(map(function, *(argument.tolist() for argument in arguments)), np.float64, len(arguments[0]))
