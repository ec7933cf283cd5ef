"""Play back what `record.py` recorded: objects with the attributes and methods of the devkit's, without it."""

import gzip
import json
from pathlib import Path
from types import SimpleNamespace

import shapely

RECORD = json.loads(gzip.decompress((Path(__file__).parent / "recorded.json.gz").read_bytes()))


class Scenario:
    """The recorded scenario; it answers what was recorded, and the first steps of it."""

    log_name, token, _start_us = RECORD["id"]
    scenario_type = RECORD["scenario_type"]
    ego_vehicle_parameters = SimpleNamespace(
        width=2.297, front_length=4.049, rear_length=1.127, wheel_base=3.089, cog_position_from_rear_axle=1.67
    )

    @property
    def initial_ego_state(self):
        """The ego vehicle at time zero."""
        return ego(RECORD["ego"]["present"])

    @property
    def initial_tracked_objects(self):
        """The objects at time zero."""
        return frame(RECORD["objects"]["present"])

    def get_traffic_light_status_at_iteration(self, iteration):
        """The lights at time zero."""
        assert iteration == 0
        return iter(lights(RECORD["lights"]["present"]).traffic_lights)

    def get_route_roadblock_ids(self):
        """The route."""
        return RECORD["route"]

    def get_mission_goal(self):
        """The goal."""
        goal = RECORD["goal"]
        return goal and SimpleNamespace(x=goal[0], y=goal[1], heading=goal[2])

    def __getattr__(self, name):
        kinds = {"ego": ego, "tracked": frame, "traffic": lights}
        _, when, kind, *_ = [*name.split("_"), "", ""]
        when, kind = (kind, when) if when == "ego" else (when, kind)
        if kind not in kinds or when not in {"past", "future"}:
            raise AttributeError(name)
        told = RECORD[{"tracked": "objects", "traffic": "lights"}.get(kind, kind)][when]

        def answer(iteration, time_horizon, num_samples):
            assert iteration == 0
            assert abs(time_horizon - 0.1 * num_samples) < 1e-9
            return iter([kinds[kind](one) for one in (told[-num_samples:] if when == "past" else told[:num_samples])])

        return answer


def ego(row):
    """A state of the ego vehicle."""
    time_us, x, y, heading, vx, vy, ax, ay = row
    return SimpleNamespace(
        time_us=time_us,
        rear_axle=SimpleNamespace(x=x, y=y, heading=heading),
        tire_steering_angle=0.0,
        dynamic_car_state=SimpleNamespace(
            rear_axle_velocity_2d=SimpleNamespace(x=vx, y=vy),
            rear_axle_acceleration_2d=SimpleNamespace(x=ax, y=ay),
            angular_velocity=0.0,
        ),
    )


def frame(rows):
    """The objects of a frame."""
    return SimpleNamespace(
        tracked_objects=[
            SimpleNamespace(
                track_token=token,
                tracked_object_type=SimpleNamespace(value=kind),
                center=SimpleNamespace(x=x, y=y, heading=heading),
                box=SimpleNamespace(width=width, length=length),
                velocity=SimpleNamespace(x=vx, y=vy),
            )
            for token, kind, x, y, heading, width, length, vx, vy in rows
        ]
    )


def lights(rows):
    """The lights of a frame."""
    told = [SimpleNamespace(status=status, lane_connector_id=connector, timestamp=time) for status, connector, time in rows]
    return SimpleNamespace(traffic_lights=told)


def map_objects():
    """The objects of the map by the devkit's name of their layer."""
    return {layer: [map_object(told) for told in objects] for layer, objects in RECORD["map"]["layers"].items()}


def map_object(told):
    """One object of the map; what it leads to are objects with an id."""
    made = SimpleNamespace(id=told["id"], polygon=shapely.from_wkb(told["polygon"]))
    for name in ("baseline_path", "left_boundary", "right_boundary"):
        if name in told:
            setattr(made, name, SimpleNamespace(linestring=shapely.from_wkb(told[name])))
    for name in ("outgoing_edges", "incoming_edges", "interior_edges", "stop_lines"):
        if name in told:
            setattr(made, name, [SimpleNamespace(id=one) for one in told[name]])
    for name in ("index", "speed_limit_mps"):
        if name in told:
            setattr(made, name, told[name])
    crossing = told.get("intersection")
    made.intersection = SimpleNamespace(id=crossing) if crossing else None
    made.get_roadblock_id = lambda: told["roadblock"]
    made.has_traffic_lights = lambda: told["lights"]
    return made
