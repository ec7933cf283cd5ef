"""Record what one scenario of the devkit's own scenario builder answers, for `recorded.py` to play back without it.

    python tests/plugins/pluto_devkit/record.py

Writes recorded.json.gz beside itself, from the synthetic dataset of the tests.
"""

import gzip
import importlib.util
import json
import tempfile
import warnings
from pathlib import Path

from nuplan.common.actor_state.state_representation import Point2D
from nuplan.common.maps.maps_datatypes import SemanticMapLayer

from pluto_core.filters import ScenarioFilter
from pluto_core.scene import Window
from pluto_devkit.config import DevkitSourceConfig
from pluto_devkit.extracts import LAYERS
from pluto_devkit.finding import Finder

WINDOW = Window(history_s=0.5, future_s=0.5, interval_s=0.1)
HALF_SIDE_M = 25.0


def steps(scenario, method, present, convert):
    """What a scenario answers about past, present and future."""
    past = list(getattr(scenario, f"get_{method.format('past')}")(0, WINDOW.history_s, WINDOW.history_steps))
    future = list(getattr(scenario, f"get_{method.format('future')}")(0, WINDOW.future_s, WINDOW.future_steps))
    return {"past": [*map(convert, past)], "present": convert(present), "future": [*map(convert, future)]}


def ego(state):
    """One state of the ego vehicle."""
    pose, motion = state.rear_axle, state.dynamic_car_state
    speed, change = motion.rear_axle_velocity_2d, motion.rear_axle_acceleration_2d
    return [state.time_us, pose.x, pose.y, pose.heading, speed.x, speed.y, change.x, change.y]


def objects(frame):
    """The objects of a frame."""
    return [
        [
            one.track_token,
            one.tracked_object_type.value,
            *(one.center.x, one.center.y, one.center.heading, one.box.width, one.box.length),
            *((one.velocity.x, one.velocity.y) if hasattr(one, "velocity") else (0.0, 0.0)),
        ]
        for one in frame.tracked_objects
    ]


def lights(found):
    """The lights of a frame."""
    return [[int(one.status), one.lane_connector_id, one.timestamp] for one in getattr(found, "traffic_lights", found)]


def map_object(one):
    """One object of the map."""
    told = {"id": one.id, "polygon": one.polygon.wkb_hex}
    if hasattr(one, "baseline_path"):
        told |= {name: getattr(one, name).linestring.wkb_hex for name in ("baseline_path", "left_boundary", "right_boundary")}
        told |= {"speed_limit_mps": one.speed_limit_mps, "roadblock": one.get_roadblock_id()}
        told |= {"index": one.index} if type(one).__name__ == "NuPlanLane" else {"lights": one.has_traffic_lights()}
        told |= {"stop_lines": [stop.id for stop in one.stop_lines]}
    if "Lane" in type(one).__name__ or "RoadBlock" in type(one).__name__:
        told |= {name: [edge.id for edge in getattr(one, name)] for name in ("outgoing_edges", "incoming_edges")}
    if "RoadBlock" in type(one).__name__:
        told |= {"interior_edges": [lane.id for lane in one.interior_edges]}
        crossing = None if callable(one.intersection) else one.intersection  # a method of roadblocks, a property of connectors
        told |= {"intersection": crossing.id if crossing else None}
    return told


def main():
    """Record the scenario in the middle of the dataset."""
    warnings.simplefilter("ignore")
    here = Path(__file__).parent
    spec = importlib.util.spec_from_file_location("made", here / "made.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    dataset = made.dataset(Path(tempfile.mkdtemp()))
    finder = Finder(DevkitSourceConfig(arguments=made.arguments(dataset)))
    found = sorted(finder.find(ScenarioFilter()).items())
    identity, scenario = found[len(found) // 2]
    map_api, pose = scenario.map_api, scenario.initial_ego_state.rear_axle
    layers = [SemanticMapLayer[name] for name in LAYERS.values()]
    near = map_api.get_proximal_map_objects(Point2D(pose.x, pose.y), HALF_SIDE_M, layers)
    goal = scenario.get_mission_goal()
    told = {
        "id": [identity.log, identity.token, identity.start_us],
        "scenario_type": scenario.scenario_type,
        "route": scenario.get_route_roadblock_ids(),
        "goal": None if goal is None else [goal.x, goal.y, goal.heading],
        "ego": steps(scenario, "ego_{}_trajectory", scenario.initial_ego_state, ego),
        "objects": steps(scenario, "{}_tracked_objects", scenario.initial_tracked_objects, objects),
        "lights": steps(
            scenario, "{}_traffic_light_status_history", list(scenario.get_traffic_light_status_at_iteration(0)), lights
        ),
        "map": {"name": map_api.map_name, "layers": {one.name: [map_object(thing) for thing in near[one]] for one in layers}},
    }
    (here / "recorded.json.gz").write_bytes(gzip.compress(json.dumps(told).encode(), 9, mtime=0))


if __name__ == "__main__":
    main()
