"""Sketch of a sample: map, reference lines, agents with past and future, cost map."""

from collections.abc import Iterator, Mapping

import numpy as np

from pluto_core.samples import Array
from pluto_core.scene import LightStatus
from pluto_core.sketch import Area, Box, Line, Raster, Role, Sketch, Track
from pluto_planner.config import PlutoFeaturesConfig

AGENT_ROLES = (Role.EGO, Role.VEHICLE, Role.PEDESTRIAN, Role.BICYCLE)
CROSSWALK_TYPE = 2
TYPE_ROLES = (Role.LANE, Role.LANE_CONNECTOR, Role.CROSSWALK)
LIGHT_ROLES = {
    LightStatus.GREEN: Role.LIGHT_GREEN,
    LightStatus.YELLOW: Role.LIGHT_YELLOW,
    LightStatus.RED: Role.LIGHT_RED,
}
CENTER_FROM_REAR_AXLE_M = 1.461
"""Row 0 of the agents is the rear axle; its box is drawn about the centre (nuPlan's car)."""


def sketch(sample: Mapping[str, Array], config: PlutoFeaturesConfig) -> Sketch:
    """Return what to draw of one sample."""
    present = config.history_steps
    lines = [*_map_lines(sample), *_reference_lines(sample), *_tracks(sample, present)]
    boxes = [*_agent_boxes(sample, present), *_static_boxes(sample)]
    return Sketch(
        lines=tuple(lines),
        boxes=tuple(boxes),
        areas=tuple(_map_areas(sample)),
        raster=_raster(sample, config),
        radius_m=min(config.radius, 60.0),
        tracks=tuple(_moving(sample, present)),
        present=present,
        interval_s=config.sample_interval,
    )


def _edges(sample: Mapping[str, Array]) -> Array:
    """Return (polygon, 3, 21, 2) the three lines of each polygon with their last points, m."""
    position, vector = sample["map/point_position"], sample["map/point_vector"]
    return np.concatenate([position, position[:, :, -1:] + vector[:, :, -1:]], axis=2).astype(np.float64)


def _map_areas(sample: Mapping[str, Array]) -> Iterator[Area]:
    for kind, (_, left, right) in zip(sample["map/polygon_type"], _edges(sample), strict=True):
        yield Area(points=np.concatenate([left, right[::-1]]), role=TYPE_ROLES[int(kind)])


def _map_lines(sample: Mapping[str, Array]) -> Iterator[Line]:
    kind, light = sample["map/polygon_type"], sample["map/polygon_tl_status"]
    for index, (center, left, right) in enumerate(_edges(sample)):
        role = TYPE_ROLES[int(kind[index])]
        side = Role.CROSSWALK if kind[index] == CROSSWALK_TYPE else Role.BOUNDARY
        yield Line(points=left, role=side)
        yield Line(points=right, role=side)
        yield Line(points=center, role=LIGHT_ROLES.get(LightStatus(int(light[index])), role))
        if sample["map/polygon_on_route"][index]:
            yield Line(points=center, role=Role.ROUTE)


def _reference_lines(sample: Mapping[str, Array]) -> Iterator[Line]:
    if "reference_line/position" not in sample:
        return
    for position, valid in zip(sample["reference_line/position"], sample["reference_line/valid_mask"], strict=True):
        if valid.any():
            yield Line(points=position[valid].astype(np.float64), role=Role.REFERENCE_LINE)


def _tracks(sample: Mapping[str, Array], present: int) -> Iterator[Line]:
    steps = np.arange(sample["agent/position"].shape[1])
    for position, valid in zip(sample["agent/position"], sample["agent/valid_mask"], strict=True):
        for role, part in ((Role.HISTORY, steps <= present), (Role.FUTURE, steps >= present)):
            if np.count_nonzero(valid & part) > 1:
                yield Line(points=position[valid & part].astype(np.float64), role=role)


def _moving(sample: Mapping[str, Array], present: int) -> Iterator[Track]:
    for index in np.flatnonzero(sample["agent/valid_mask"].any(axis=1)):
        valid = np.asarray(sample["agent/valid_mask"][index], np.bool_)
        heading = sample["agent/heading"][index].astype(np.float64)
        position = sample["agent/position"][index].astype(np.float64)
        if index == 0:
            position = position + CENTER_FROM_REAR_AXLE_M * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
        shown = present if valid[present] else int(np.argmax(valid))
        width, length = (float(side) for side in sample["agent/shape"][index, shown])
        role = AGENT_ROLES[int(sample["agent/category"][index])]
        yield Track(positions=position, headings_rad=heading, valid=valid, length_m=length, width_m=width, role=role)


def _agent_boxes(sample: Mapping[str, Array], present: int) -> Iterator[Box]:
    for index in np.flatnonzero(sample["agent/valid_mask"][:, present]):
        heading = float(sample["agent/heading"][index, present])
        width, length = (float(side) for side in sample["agent/shape"][index, present])
        center = sample["agent/position"][index, present].astype(np.float64)
        if index == 0:
            center = center + CENTER_FROM_REAR_AXLE_M * np.array([np.cos(heading), np.sin(heading)])
        role = AGENT_ROLES[int(sample["agent/category"][index])]
        yield Box(center=center, heading_rad=heading, length_m=length, width_m=width, role=role)


def _static_boxes(sample: Mapping[str, Array]) -> Iterator[Box]:
    for index in np.flatnonzero(sample["static_objects/valid_mask"]):
        width, length = (float(side) for side in sample["static_objects/shape"][index])
        center = sample["static_objects/position"][index].astype(np.float64)
        heading = float(sample["static_objects/heading"][index])
        yield Box(center=center, heading_rad=heading, length_m=length, width_m=width, role=Role.STATIC)


def _raster(sample: Mapping[str, Array], config: PlutoFeaturesConfig) -> Raster | None:
    for key, label in (("cost_maps", "signed distance, m"), ("cost_mask", "drivable")):
        if key in sample:
            values = sample[key][..., 0].astype(np.float64)
            reach = values.shape[0] * config.cost_map_resolution_m / 2
            return Raster(values=values, extent_m=(-reach, reach, -reach, reach), label=label)
    return None
