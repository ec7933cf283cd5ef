"""How the objects of a nuPlan map hang together: lookups by id, driving direction, membership, stop lines."""

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import shapely

from pluto_core.maps import Polygons, Polylines, Ragged
from pluto_nuplan.maps.geopackage import MISSING, as_id
from pluto_nuplan.maps.tables import Problems, Table

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

UNKNOWN = -1
"""Row of an object that the map does not hold."""


def find(ids: Ints, wanted: Ints) -> Ints:
    """Return the row of every wanted id in ascending `ids`, `UNKNOWN` where there is none."""
    if len(ids) == 0:
        return np.full(len(wanted), UNKNOWN, np.int64)
    place = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where(ids[place] == wanted, place, UNKNOWN)


@attrs.frozen(eq=False)
class Index:
    """Rows of a table by a key that is not its fid."""

    keys: Ints
    rows: Ints

    @classmethod
    def first(cls, keys: Ints, what: str, problems: Problems) -> "Index":
        """Return the first row of every key; more rows of one key are noted and left out."""
        given = np.flatnonzero(keys != MISSING)
        unique, place = np.unique(keys[given], return_index=True)
        problems.add(len(given) - len(unique), what)
        return cls(unique, given[place])

    def find(self, wanted: Ints) -> Ints:
        """Return the row of every wanted key, `UNKNOWN` where there is none."""
        place = find(self.keys, wanted)
        rows = np.full(len(wanted), UNKNOWN, np.int64)
        rows[place >= 0] = self.rows[place[place >= 0]]
        return rows


def known(rows: Ints, keys: Ints, what: str, problems: Problems) -> Ints:
    """Return `rows`, noting how many of the keys are given but unknown."""
    problems.add(int(((rows == UNKNOWN) & (keys != MISSING)).sum()), what)
    return rows


def both_ways(before: Ints, middle: Ints, after: Ints, count: int) -> tuple[Ragged, Ragged]:
    """Return successors and predecessors of a graph in which `middle[i]` leads from `before[i]` to `after[i]`.

    Args:
        before: Rows that the connections leave, or `UNKNOWN`.
        middle: Rows of the connections, in ascending id.
        after: Rows that the connections enter, or `UNKNOWN`.
        count: Number of rows of the graph.
    """
    left, entered = before != UNKNOWN, after != UNKNOWN
    tails = np.concatenate([before[left], middle[entered]])
    heads = np.concatenate([middle[left], after[entered]])
    return Ragged.from_pairs(tails, heads, count), Ragged.from_pairs(heads, tails, count)


def members(owner: Ints, count: int) -> Ragged:
    """Return the rows that name each of `count` owners, in ascending order."""
    owned = np.flatnonzero(owner != UNKNOWN)
    return Ragged.from_pairs(owner[owned], owned, count)


def stop_lines(texts: list[Any], baselines: Polylines, stops: Table[Polygons], problems: Problems) -> list[Ints]:
    """Return for each connector the rows of the stop polygons that hold its traffic (nuPlan v1.1).

    Of the polygons that `traffic_light_stop_line_fids` names, those that touch the baseline; where none does, the single
    one nearest to its first point.
    """
    shapes = to_shapely(stops.shapes)
    unknown = 0
    found = []
    for index, text in enumerate(texts):
        named = np.array([as_id(part) for part in _parts(text)], np.int64)
        rows = find(stops.fids, named)
        unknown += int((rows == UNKNOWN).sum())
        rows = rows[rows != UNKNOWN]
        if len(rows):
            line = baselines.line(index)
            touching = shapely.intersects(shapes[rows], shapely.linestrings(line))
            nearest = np.argmin(shapely.distance(shapes[rows], shapely.points(line[0])))
            rows = rows[touching] if touching.any() else rows[[nearest]]
        found.append(rows)
    problems.add(unknown, "stop lines of connectors are not in stop_polygons")
    return found


def has_lights(texts: list[Any]) -> Mask:
    """Return whether each text of `traffic_light_stop_line_fids` is anything but null, empty or zero (nuPlan v1.1)."""
    return np.array([bool(text) for text in texts], np.bool_)


def to_shapely(polygons: Polygons) -> npt.NDArray[np.object_]:
    """Return shapely polygons, or multi-polygons where there are several parts."""
    shapes = np.empty(len(polygons), object)
    for row in range(len(polygons)):
        parts: list[list[npt.NDArray[np.float64]]] = []
        for ring in range(polygons.ring_offsets[row], polygons.ring_offsets[row + 1]):
            if polygons.holes[ring]:
                parts[-1].append(polygons.rings.line(ring))
            else:
                parts.append([polygons.rings.line(ring)])
        solid = [shapely.Polygon(part[0], part[1:]) for part in parts]
        shapes[row] = solid[0] if len(solid) == 1 else shapely.MultiPolygon(solid)
    return shapes


def _parts(text: Any) -> list[str]:
    return [part for part in str(text).replace(" ", "").split(",") if part] if text else []
