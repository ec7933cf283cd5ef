"""A sketch: neutral drawing instructions, so that samples of any builder can be drawn."""

import enum
from collections.abc import Sequence
from itertools import chain

import attrs
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Role(str, enum.Enum):
    """What a mark stands for; the drawing side chooses colours, widths and the legend by it."""

    LANE = "lane"
    LANE_CONNECTOR = "lane connector"
    BOUNDARY = "boundary"
    CROSSWALK = "crosswalk"
    REFERENCE_LINE = "reference line"
    ROUTE = "route"
    LIGHT_RED = "red light"
    LIGHT_YELLOW = "yellow light"
    LIGHT_GREEN = "green light"
    EGO = "ego"
    VEHICLE = "vehicle"
    PEDESTRIAN = "pedestrian"
    BICYCLE = "bicycle"
    STATIC = "static object"
    HISTORY = "history"
    FUTURE = "truth"
    PLAN = "planned"
    GOAL = "goal"
    OTHER = "other"


@attrs.frozen(kw_only=True, eq=False)
class Line:
    """A line of (k, 2) points, m, ego frame."""

    points: Floats
    role: Role
    weight: float = 1.0
    """0 to 1: probability of a plan, or how strongly to draw."""


@attrs.frozen(kw_only=True, eq=False)
class Box:
    """A rectangle about a centre, or a filled polygon where `outline` is given."""

    center: Floats
    """(2,) m, ego frame."""
    heading_rad: float
    length_m: float
    width_m: float
    role: Role


@attrs.frozen(kw_only=True, eq=False)
class Area:
    """A filled polygon of (k, 2) points, m, ego frame."""

    points: Floats
    role: Role


@attrs.frozen(kw_only=True, eq=False)
class Track:
    """One road user over the T steps of a sample, for drawings that move."""

    positions: Floats
    """(T, 2) centre of its box, m, ego frame of time zero."""
    headings_rad: Floats
    """(T,)"""
    valid: npt.NDArray[np.bool_]
    """(T,) whether it is known where it was."""
    length_m: float
    width_m: float
    role: Role


@attrs.frozen(kw_only=True, eq=False)
class Raster:
    """A picture under the drawing, such as a signed distance field."""

    values: Floats
    """(rows, columns); row 0 is the left-most (greatest y), column 0 the rear-most (least x)."""
    extent_m: tuple[float, float, float, float]
    """Least x, greatest x, least y, greatest y, ego frame."""
    label: str


@attrs.frozen(kw_only=True, eq=False)
class Sketch:
    """What to draw of one sample, in the ego frame (rear axle at the origin, x forward, y left), metres."""

    lines: tuple[Line, ...] = ()
    boxes: tuple[Box, ...] = ()
    areas: tuple[Area, ...] = ()
    raster: Raster | None = None
    radius_m: float = 60.0
    """Half the side of the square to show."""
    notes: tuple[str, ...] = ()
    tracks: tuple[Track, ...] = ()
    """The same road users as the boxes, over time; those without a track stand still."""
    present: int = 0
    """Step of the tracks that is time zero."""
    interval_s: float = 0.1
    """Time between two steps of the tracks."""


def joined(sketches: Sequence[Sketch]) -> Sketch:
    """Return one sketch of what several builders draw of a sample: all marks, first raster and tracks, greatest radius."""
    moving = next((sketch for sketch in sketches if sketch.tracks), Sketch())
    return Sketch(
        lines=tuple(chain.from_iterable(sketch.lines for sketch in sketches)),
        boxes=tuple(chain.from_iterable(sketch.boxes for sketch in sketches)),
        areas=tuple(chain.from_iterable(sketch.areas for sketch in sketches)),
        raster=next((sketch.raster for sketch in sketches if sketch.raster is not None), None),
        radius_m=max(sketch.radius_m for sketch in sketches),
        notes=tuple(chain.from_iterable(sketch.notes for sketch in sketches)),
        tracks=moving.tracks,
        present=moving.present,
        interval_s=moving.interval_s,
    )
