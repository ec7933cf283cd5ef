"""The map of a recording: lane segments grouped into roadblocks, crosswalks, drivable areas."""

from typing import Any

import numpy as np
import numpy.typing as npt

from pluto_av2.files import map_files
from pluto_av2.recording import NONSENSE
from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.geometry import wrap
from pluto_core.maps import AREA_LAYERS, Areas, Blocks, Lanes, Layer, MapView, Polygons, Polylines, Ragged, empty_areas
from pluto_core.places.files import parsed
from pluto_core.places.remote import Place

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Segment = dict[str, Any]

_SPACING_M = 0.25
"""Spacing of centre-line vertices; nuPlan's, so that features need not care where a map is from."""
_SAME_WAY_RAD = np.pi / 2
_FARTHEST_M = 1e6
"""Cities reach some ten kilometres; a vertex every quarter of a metre to somewhere else would fill any memory."""
_LONGEST_M = 1e6
"""Of all lines of lanes together; the map of a recording has some ten kilometres."""


def read_map(folder: Place, name: str, lane_types: tuple[str, ...]) -> MapView:
    """Return the map of a recording.

    Args:
        folder: Folder of a sensor log (with a folder `map`) or of a motion scenario.
        name: Name of the map in messages.
        lane_types: Kinds of lane segments to keep.

    Raises:
        SampleError: There is no map, or it cannot be read.
    """
    document = _read(folder)
    try:
        segments = [segment for segment in document["lane_segments"].values() if segment["lane_type"] in lane_types]
        crossings = list(document["pedestrian_crossings"].values())
        drivable = list(document["drivable_areas"].values())
        return _assemble(name, segments, crossings, drivable)
    except KeyError as error:
        raise SampleError(Reason.BROKEN_MAP, f"the map of {folder} lacks {error}") from None
    except (*NONSENSE, PlutoError) as error:
        raise SampleError(Reason.BROKEN_MAP, f"the map of {folder} makes no sense: {error}") from None


def _read(folder: Place) -> dict[str, Any]:
    found = map_files(folder)
    if not found:
        raise SampleError(Reason.MISSING_MAP, f"{folder} holds no log_map_archive_*.json")
    try:
        document = parsed(found[0].read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SampleError(Reason.BROKEN_MAP, f"{found[0]} cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise SampleError(Reason.BROKEN_MAP, f"{found[0]} holds no table of layers")
    return document


def _points(vertices: list[dict[str, float]]) -> Floats:
    points = np.asarray([[vertex["x"], vertex["y"]] for vertex in vertices], np.float64).reshape(-1, 2)
    if not (np.abs(points) < _FARTHEST_M).all():
        message = f"it has points farther than {_FARTHEST_M:.0f} m from the city's origin, or nowhere"
        raise ValueError(message)
    return points


def _require_length(segments: list[Segment], sides: list[Floats]) -> None:
    """Refuse lines that would fill any memory when a vertex stands every quarter of a metre."""
    middles = [_points(one["centerline"]) for one in segments if one.get("centerline")]
    total_m = sum(_length(line) for line in [*sides, *middles])
    if total_m > _LONGEST_M:
        raise ValueError(f"its lanes have {total_m:,.0f} m of lines, more than {_LONGEST_M:,.0f} m")


def _assemble(name: str, segments: list[Segment], crossings: list[Segment], drivable: list[Segment]) -> MapView:
    segments = sorted(segments, key=lambda one: (bool(one["is_intersection"]), int(one["id"])))
    place = {int(one["id"]): row for row, one in enumerate(segments)}
    left = [_points(one["left_lane_boundary"]) for one in segments]
    right = [_points(one["right_lane_boundary"]) for one in segments]
    _require_length(segments, left + right)
    lines = [_center_line(one, *sides) for one, *sides in zip(segments, left, right, strict=True)]
    groups = _groups(segments, place, lines)
    order, block_of, block_count = _block_order(segments, groups)
    places = _places(segments, order)
    successors = _edges(segments, place, "successors")
    lane_count = sum(not one["is_intersection"] for one in segments)
    lanes = Lanes(
        ids=np.asarray([int(one["id"]) for one in segments], np.int64),
        lane_count=lane_count,
        polygons=Polygons.from_rings([np.concatenate([a, b[::-1]]) for a, b in zip(left, right, strict=True)]),
        baselines=Polylines.from_lines(lines),
        left=Polylines.from_lines(left),
        right=Polylines.from_lines(right),
        reach=Polylines.from_lines([np.zeros((0, 2))] * lane_count + lines[lane_count:]),
        speed_limit_mps=np.zeros(len(segments)),
        has_speed_limit=np.zeros(len(segments), np.bool_),
        has_lights=np.zeros(len(segments), np.bool_),
        lane_index=np.where(np.arange(len(segments)) < lane_count, places, -1),
        block=block_of,
        successors=successors,
        predecessors=_reversed(successors),
        stop_polygons=Ragged(np.zeros(len(segments) + 1, np.int64), np.zeros(0, np.int64)),
    )
    areas = {layer: empty_areas() for layer in AREA_LAYERS}
    areas[Layer.CROSSWALK] = _areas(crossings, [_crossing(one) for one in crossings])
    areas[Layer.GENERIC_DRIVABLE] = _areas(drivable, [_points(one["area_boundary"]) for one in drivable])
    return MapView(
        name=name, lanes=lanes, blocks=_blocks(lanes, order, block_count, _outlines(order, places, left, right)), areas=areas
    )


def _center_line(segment: Segment, left: Floats, right: Floats) -> Floats:
    """Return the centre line, or the mean of the boundaries where none is recorded, a vertex every quarter of a metre."""
    if segment.get("centerline"):
        return _spaced(_points(segment["centerline"]))
    count = 1 + int(np.ceil(max(_length(left), _length(right)) / _SPACING_M))
    sides = Polylines.from_lines([left, right]).resampled(max(count, 2))
    return _spaced(np.asarray(sides.mean(axis=0), np.float64))


def _length(line: Floats) -> float:
    return float(np.hypot(*np.diff(line, axis=0).T).sum())


def _spaced(line: Floats) -> Floats:
    count = max(2, 1 + round(_length(line) / _SPACING_M))
    return np.asarray(Polylines.from_lines([line]).resampled(count)[0], np.float64)


def _edges(segments: list[Segment], place: dict[int, int], key: str) -> Ragged:
    pairs = [(row, place[int(other)]) for row, one in enumerate(segments) for other in sorted(one[key]) if int(other) in place]
    rows = np.asarray([pair[0] for pair in pairs], np.int64)
    return Ragged.from_pairs(rows, np.asarray([pair[1] for pair in pairs], np.int64), len(segments))


def _reversed(edges: Ragged) -> Ragged:
    sources = np.repeat(np.arange(len(edges)), np.diff(edges.offsets))
    return Ragged.from_pairs(edges.values, sources, len(edges))


def _groups(segments: list[Segment], place: dict[int, int], lines: list[Floats]) -> list[int]:
    """Return for each lane the row of the left-most lane beside it that leads the same way.

    A neighbour across the middle of the road is a neighbour too, so the direction decides.
    """
    leftmost = []
    for start in range(len(segments)):
        row, seen = start, {start}
        while True:
            other = segments[row].get("left_neighbor_id")
            beside = place.get(int(other), -1) if other is not None else -1
            if beside < 0 or beside in seen or not _side_by_side(segments, lines, row, beside):
                break
            seen.add(beside)
            row = beside
        leftmost.append(row)
    return leftmost


def _side_by_side(segments: list[Segment], lines: list[Floats], row: int, other: int) -> bool:
    if bool(segments[row]["is_intersection"]) != bool(segments[other]["is_intersection"]):
        return False
    first, second = (lines[one][-1] - lines[one][0] for one in (row, other))
    turn = wrap(np.asarray(np.arctan2(first[1], first[0]) - np.arctan2(second[1], second[0])))
    return bool(abs(float(turn)) < _SAME_WAY_RAD)


def _block_order(segments: list[Segment], groups: list[int]) -> tuple[list[list[int]], Ints, int]:
    """Return the lanes of each block in ascending id, the block of each lane, and how many blocks are no connectors."""
    members: dict[int, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    blocks = sorted(
        members.values(), key=lambda rows: (bool(segments[rows[0]]["is_intersection"]), int(segments[rows[0]]["id"]))
    )
    block_of = np.zeros(len(segments), np.int64)
    for block, rows in enumerate(blocks):
        block_of[rows] = block
    return blocks, block_of, sum(not segments[rows[0]]["is_intersection"] for rows in blocks)


def _places(segments: list[Segment], blocks: list[list[int]]) -> Ints:
    """Return the place of each lane in its block, counted from the left."""
    places = np.zeros(len(segments), np.int64)
    for rows in blocks:
        inside = {int(segments[row]["id"]) for row in rows}
        for row in rows:
            places[row] = _lanes_to_the_left(segments, row, inside)
    return places


def _lanes_to_the_left(segments: list[Segment], row: int, inside: set[int]) -> int:
    by_id = {int(one["id"]): one for one in segments if int(one["id"]) in inside}
    count, left = 0, segments[row].get("left_neighbor_id")
    while left is not None and int(left) in inside and count < len(inside):
        count += 1
        left = by_id[int(left)].get("left_neighbor_id")
    return count


def _blocks(lanes: Lanes, members: list[list[int]], block_count: int, outlines: list[Floats]) -> Blocks:
    count = len(members)
    owners = np.repeat(np.arange(count), [len(rows) for rows in members]) if count else np.zeros(0, np.int64)
    interior = Ragged.from_pairs(owners, np.asarray([row for rows in members for row in rows], np.int64), count)
    pairs = {
        (int(lanes.block[row]), int(lanes.block[other]))
        for row in range(len(lanes))
        for other in lanes.successors.row(row)
        if lanes.block[row] != lanes.block[other]
    }
    ordered = sorted(pairs)
    sources = np.asarray([pair[0] for pair in ordered], np.int64)
    successors = Ragged.from_pairs(sources, np.asarray([pair[1] for pair in ordered], np.int64), count)
    return Blocks(
        ids=np.asarray([int(lanes.ids[rows[0]]) for rows in members], np.int64),
        block_count=block_count,
        polygons=Polygons.from_rings(outlines),
        successors=successors,
        predecessors=_reversed(successors),
        interior=interior,
        intersection=np.full(count, -1, np.int64),
    )


def _outlines(members: list[list[int]], places: Ints, left: list[Floats], right: list[Floats]) -> list[Floats]:
    """Return the ring of each block: the left side of its left-most lane, the right side of its right-most one."""
    rings = []
    for rows in members:
        first, last = min(rows, key=lambda row: places[row]), max(rows, key=lambda row: places[row])
        rings.append(np.concatenate([left[first], right[last][::-1]]))
    return rings


def _areas(objects: list[Segment], rings: list[Floats]) -> Areas:
    ids = np.asarray([int(one["id"]) if "id" in one else row for row, one in enumerate(objects)], np.int64)
    order = np.argsort(ids, kind="stable")
    return Areas(
        ids=ids[order], polygons=Polygons.from_rings([rings[row] for row in order]), kind=np.full(len(ids), -1, np.int64)
    )


def _crossing(crossing: Segment) -> Floats:
    first, second = _points(crossing["edge1"]), _points(crossing["edge2"])
    # Both edges usually run the same way; where they do not, the second is turned so that the ring does not cross itself.
    if np.dot(first[-1] - first[0], second[-1] - second[0]) < 0:
        second = second[::-1]
    return np.concatenate([first, second[::-1]])
