"""The arrays that PLUTO's feature builder gives: dims, dtype, unit, frame. Imports no numpy."""

from typing import Any

from pluto_core.arrays import ArrayClass, ArraySpec
from pluto_planner.config import PlutoFeaturesConfig

POINTS = 20
"""Points on each edge of a map polygon."""
LINE_POINTS = 120
"""Points of a reference line."""
PROJECTED_SECONDS = 8
"""Whole seconds of the future at which the ego vehicle is projected on the reference lines."""
TL_CODES = "0 green, 1 yellow, 2 red, 3 unknown"


def spec(config: PlutoFeaturesConfig) -> dict[str, ArraySpec]:
    """Return the spec of every array that the builder gives with these settings."""
    arrays = {"current_state": _array((7,), unit="m, rad, m/s, m/s^2, rad/s", frame="ego", summary=_STATE)}
    arrays |= _agents(config) | _static_objects() | _map()
    if config.build_reference_line:
        arrays |= _reference_lines()
    if config.future_steps:
        arrays |= _causal(config) | _cost_map(config)
    arrays["origin"] = _array((2,), "float64", unit="m", frame="global", summary="rear axle at time zero")
    arrays["angle"] = _array((), "float64", unit="rad", frame="global", summary="heading at time zero")
    return arrays


_STATE = "rear axle x, y, heading (0 once normalised), longitudinal velocity and acceleration, steering angle, yaw rate"


def _array(dims: tuple[int | str, ...], dtype: str = "float32", **options: Any) -> ArraySpec:
    return ArraySpec(dims=dims, dtype=dtype, **options)


def _agents(config: PlutoFeaturesConfig) -> dict[str, ArraySpec]:
    steps = config.history_steps + 1 + config.future_steps
    return {
        "agent/position": _array(
            ("agent", steps, 2), unit="m", frame="ego", summary="row 0: ego rear axle; others: box centre"
        ),
        "agent/heading": _array(("agent", steps), unit="rad", frame="ego", summary="not wrapped"),
        "agent/velocity": _array(("agent", steps, 2), unit="m/s", frame="ego"),
        "agent/shape": _array(("agent", steps, 2), unit="m", summary="width, length"),
        "agent/category": _array(("agent",), "int8", unit="0 ego, 1 vehicle, 2 pedestrian, 3 bicycle"),
        "agent/valid_mask": _array(("agent", steps), "bool"),
        "agent/target": _array(
            ("agent", config.future_steps, 3), unit="m, rad", frame="ego", summary="displacement and turn since time zero"
        ),
    }


def _static_objects() -> dict[str, ArraySpec]:
    return {
        "static_objects/position": _array(("static_object", 2), unit="m", frame="ego"),
        "static_objects/heading": _array(("static_object",), unit="rad", frame="ego"),
        "static_objects/shape": _array(("static_object", 2), unit="m", summary="width, length"),
        "static_objects/category": _array(("static_object",), unit="0 construction sign, 1 barrier, 2 cone, 3 other"),
        "static_objects/valid_mask": _array(("static_object",), "bool"),
    }


def _map() -> dict[str, ArraySpec]:
    edges = "0 centre line, 1 left, 2 right"
    return {
        "map/point_position": _array(("polygon", 3, POINTS, 2), unit="m", frame="ego", summary=edges),
        "map/point_vector": _array(("polygon", 3, POINTS, 2), unit="m", frame="ego", summary="to the next point"),
        "map/point_orientation": _array(("polygon", 3, POINTS), unit="rad", frame="ego", summary="not wrapped"),
        "map/point_side": _array(("polygon", 3), "int8", unit=edges),
        "map/polygon_center": _array(("polygon", 3), unit="m, rad", frame="ego", summary="middle of the centre line"),
        "map/polygon_position": _array(("polygon", 2), unit="m", frame="ego", summary="start of the centre line"),
        "map/polygon_orientation": _array(("polygon",), unit="rad", frame="ego"),
        "map/polygon_type": _array(("polygon",), "int8", unit="0 lane, 1 lane connector, 2 crosswalk"),
        "map/polygon_on_route": _array(("polygon",), "bool"),
        "map/polygon_tl_status": _array(("polygon",), "int8", unit=TL_CODES),
        "map/polygon_has_speed_limit": _array(("polygon",), "bool"),
        "map/polygon_speed_limit": _array(("polygon",), unit="m/s", summary="0 where there is none"),
        "map/polygon_road_block_id": _array(("polygon",), "int32"),
        "map/valid_mask": _array(("polygon", POINTS), "bool", summary="centre-line points inside the radius"),
    }


def _reference_lines() -> dict[str, ArraySpec]:
    return {
        "reference_line/position": _array(("reference_line", LINE_POINTS, 2), unit="m", frame="ego"),
        "reference_line/vector": _array(("reference_line", LINE_POINTS, 2), unit="m", frame="ego", summary="to the next point"),
        "reference_line/orientation": _array(("reference_line", LINE_POINTS), unit="rad", frame="ego", summary="not wrapped"),
        "reference_line/valid_mask": _array(("reference_line", LINE_POINTS), "bool"),
        "reference_line/future_projection": _array(
            ("reference_line", PROJECTED_SECONDS, 2),
            unit="m",
            summary="arc length and distance of the ego vehicle after 1 to 8 s; zeros without a future",
        ),
    }


def _causal(config: PlutoFeaturesConfig) -> dict[str, ArraySpec]:
    arrays = {
        "is_waiting_for_red_light_without_lead": _array((), "bool", batch=False),
        "leading_agent_mask": _array(("agent",), "bool", batch=False),
        "leading_distance": _array(("agent",), batch=False, unit="m"),
        "ego_care_red_light_mask": _array(("polygon",), "bool", batch=False),
        "fixed_ego_future_valid_mask": _array(
            (config.future_steps,), "bool", batch=False, summary="False from where the expert runs a red light"
        ),
        "free_path_points": _array(
            ("free_path_point", 3), batch=False, unit="m, rad", frame="ego", summary="free part of the ego path: x, y, heading"
        ),
        "interaction_label": _array(
            ("agent",), batch=False, unit="steps", summary="ego step less agent step at their closest; 0: they do not meet"
        ),
    }
    return {f"causal/{key}": array for key, array in arrays.items()}


def _cost_map(config: PlutoFeaturesConfig) -> dict[str, ArraySpec]:
    if config.cost_map == "none":
        return {}
    dims = (config.cost_map_size_px, config.cost_map_size_px, 1)
    grid = "x forward along columns, y left against rows"
    if config.cost_map == "mask":
        mask = _array(dims, "bool", array_class=ArrayClass.RASTER, frame="ego", summary=f"drivable and not occupied; {grid}")
        return {"cost_mask": mask}
    distance = "signed distance to the edge of the free drivable area, positive inside"
    return {
        "cost_maps": _array(
            dims, "float16", array_class=ArrayClass.RASTER, unit="m", frame="ego", summary=f"{distance}; {grid}"
        )
    }
