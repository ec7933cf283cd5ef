"""Reading scenarios: nuplan-devkit's way and ours, on the same scenarios in one run, and how many times as fast ours is.

    python benchmarks/peer_reading.py DATA_ROOT MAP_ROOT [--scenarios 24] [--rounds 3]

Needs nuplan-devkit (docs/coming-from-nuplan-devkit.md). What is read is what PLUTO's features need: 101 poses of the ego
vehicle from 2 s ago to 8 s ahead, everything that was tracked in those frames, lights, route, goal, and the lanes, connectors
and crosswalks within 120 m. The devkit is asked through its public interface, as feature builders ask it. Before anything is
measured, both are compared: poses, boxes, lights, route, goal and ids of map objects must be the same. Ours is measured for one
scenario by itself, by a source that has read nothing of its log, and for 24 of each log together, as the cache step reads them.
Maps are open on both sides before the clock starts. It counts the time of a processor, which other programs change least.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nuplan.common.maps.maps_datatypes import SemanticMapLayer

from pluto_core.errors import SampleError
from pluto_core.filters import ScenarioFilter
from pluto_core.maps import Layer
from pluto_core.scene import ScenarioId, Scene, Window
from pluto_devkit.config import DevkitSourceConfig
from pluto_devkit.finding import Finder
from pluto_nuplan.config import NuPlanConfig
from pluto_nuplan.source import NuPlanSource

WINDOW = Window(history_s=2.0, future_s=8.0, interval_s=0.1)
RADIUS_M = 120.0
TOGETHER = 24
"""Scenarios of one log that are read together."""
LAYERS = {
    Layer.LANE: SemanticMapLayer.LANE,
    Layer.LANE_CONNECTOR: SemanticMapLayer.LANE_CONNECTOR,
    Layer.CROSSWALK: SemanticMapLayer.CROSSWALK,
}


def poses(scenario: Any) -> Sequence[Any]:
    """Return the ego vehicle's states by the devkit."""
    past = scenario.get_ego_past_trajectory(iteration=0, time_horizon=2.0, num_samples=20)
    future = scenario.get_ego_future_trajectory(iteration=0, time_horizon=8.0, num_samples=80)
    return [*past, scenario.initial_ego_state, *future]


def frames(scenario: Any) -> Sequence[Any]:
    """Return what was tracked, frame by frame, by the devkit."""
    past = scenario.get_past_tracked_objects(iteration=0, time_horizon=2.0, num_samples=20)
    future = scenario.get_future_tracked_objects(iteration=0, time_horizon=8.0, num_samples=80)
    return [one.tracked_objects for one in (*past, scenario.initial_tracked_objects, *future)]


def lights(scenario: Any) -> Sequence[Any]:
    """Return the lights by the devkit."""
    return list(scenario.get_traffic_light_status_at_iteration(0))


def way(scenario: Any) -> tuple[Sequence[str], Any]:
    """Return route and goal by the devkit."""
    return scenario.get_route_roadblock_ids(), scenario.get_mission_goal()


def objects(scenario: Any) -> Mapping[Any, Sequence[Any]]:
    """Return the map around the ego vehicle by the devkit."""
    found: Mapping[Any, Sequence[Any]] = scenario.map_api.get_proximal_map_objects(
        scenario.initial_ego_state.rear_axle.point, RADIUS_M, list(LAYERS.values())
    )
    return found


THEIRS: Mapping[str, Callable[[Any], Any]] = {
    "ego vehicle": poses,
    "tracked objects": frames,
    "lights": lights,
    "route and goal": way,
    "map": objects,
}


def ours_of_map(scene: Scene) -> Mapping[Layer, np.ndarray]:
    """Return rows of the map around the ego vehicle by us."""
    center = scene.ego.position[scene.present]
    return {layer: scene.map.near(layer, center, RADIUS_M) for layer in LAYERS}


def cells(boxes: Sequence[Any]) -> np.ndarray:
    """Return x, y, heading, width, length of the devkit's boxes, in an order of their own."""
    rows = [(*box.center.serialize(), box.box.width, box.box.length) for box in boxes]
    return np.array(sorted(rows), np.float64).reshape(-1, 5)


def same(ours: Sequence[Any], theirs: Any) -> None:
    """Prove that rows of x, y, heading and more are the same, whatever their order and whole turns."""
    found = np.array(sorted(map(tuple, ours)), np.float64).reshape(-1, theirs.shape[-1])
    np.testing.assert_allclose(np.delete(found, 2, axis=1), np.delete(theirs, 2, axis=1), atol=1e-6)
    np.testing.assert_allclose(np.cos(found[:, 2] - theirs[:, 2]), 1.0, atol=1e-12)


def compare(scene: Scene, scenario: Any) -> None:
    """Prove that both read the same."""
    expected = np.array([state.rear_axle.serialize() for state in poses(scenario)])
    np.testing.assert_allclose(scene.ego.position, expected[:, :2], atol=1e-6)
    np.testing.assert_allclose(np.cos(scene.ego.heading - expected[:, 2]), 1.0, atol=1e-12)
    tracks, still = scene.tracks, scene.static_objects
    for step, tracked in enumerate(frames(scenario)):
        seen = tracks.valid[:, step]
        ours = np.column_stack([tracks.position[seen, step], tracks.heading[seen, step], tracks.size[seen, step]])
        same(ours, cells(tracked.get_agents()))
    ours = np.column_stack([still.position, still.heading, still.size])
    same(ours, cells(scenario.initial_tracked_objects.tracked_objects.get_static_objects()))
    told = sorted((int(one.lane_connector_id), int(one.status)) for one in lights(scenario))
    assert sorted(zip(*(column.tolist() for column in scene.lights.at(scene.present)), strict=True)) == told
    route, goal = way(scenario)
    assert scene.route.tolist() == [int(one) for one in route]
    assert (scene.goal is None) == (goal is None)
    if scene.goal is not None:
        np.testing.assert_allclose(scene.goal[:2], goal.serialize()[:2], atol=1e-6)
    near = objects(scenario)
    for layer, rows in ours_of_map(scene).items():
        assert rows.tolist() == sorted(scene.map.row(layer, int(one.id)) for one in near[LAYERS[layer]]), layer


def chosen(source: NuPlanSource, finder: Finder, count: int) -> list[tuple[ScenarioId, Any]]:
    """Return scenarios that are spread over the logs and lie wholly within them, with the devkit's own."""
    ids = list(source.list(ScenarioFilter()).ids())
    found: list[tuple[ScenarioId, Any]] = []
    for row in np.linspace(0, len(ids) - 1, 4 * count).astype(int).tolist():
        scene = source.load(ids[row], WINDOW)
        if scene.ego.valid.all() and len(found) < count:
            found.append((ids[row], finder.take([ids[row]])[0]))
    return sorted(found, key=lambda pair: (pair[0].log, pair[0].start_us))


def seconds_of(call: Callable[[], object]) -> float:
    """Return the processor time of a call: other programs do not change it."""
    began = time.process_time()
    call()
    return time.process_time() - began


def round_of(fresh_source: Callable[[], NuPlanSource], pairs: Sequence[tuple[ScenarioId, Any]]) -> dict[str, float]:
    """Return milliseconds a scenario of every row; both sides take turns, scenario by scenario.

    Ours is asked for each by a source that has read nothing: one that knows the log from another scenario is twice as fast.
    """
    spent = dict.fromkeys((*THEIRS, "ours alone", "ours map"), 0.0)
    for identity, scenario in pairs:
        fresh = type(scenario)(*scenario.__reduce__()[1])
        for name, ask in THEIRS.items():
            spent[name] += seconds_of(lambda ask=ask, fresh=fresh: ask(fresh))
        source = fresh_source()
        began = time.process_time()
        scene = source.load(identity, WINDOW)
        spent["ours alone"] += time.process_time() - began
        spent["ours map"] += seconds_of(lambda scene=scene: ours_of_map(scene))
    return {name: 1e3 * seconds / len(pairs) for name, seconds in spent.items()}


def together_ms(source: NuPlanSource, logs: Mapping[str, Sequence[ScenarioId]]) -> float:
    """Return milliseconds a scenario where those of a log are read together."""
    spent = 0.0
    for ids in logs.values():
        began = time.process_time()
        for scene in source.load_many(ids, WINDOW):
            assert not isinstance(scene, SampleError)
        spent += time.process_time() - began
    return 1e3 * spent / sum(map(len, logs.values()))


def main() -> None:
    """Compare, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_root", type=Path)
    parser.add_argument("map_root", type=Path)
    parser.add_argument("--scenarios", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    told = parser.parse_args()
    warnings.simplefilter("ignore")
    places = {"data_root": str(told.data_root), "map_root": str(told.map_root)}
    more = {"sensor_root": str(told.data_root), "db_files": None, "map_version": "nuplan-maps-v1.0", "verbose": False}
    source = NuPlanSource(NuPlanConfig(**places))
    pairs = chosen(source, Finder(DevkitSourceConfig(arguments={**places, **more})), told.scenarios)
    for identity, scenario in pairs:
        compare(source.load(identity, WINDOW), scenario)
    print(f"{len(pairs)} scenarios: poses, boxes, lights, routes, goals and map objects are the same\n")
    logs: dict[str, list[ScenarioId]] = {}
    for one in sorted(source.list(ScenarioFilter()).ids(), key=lambda one: (one.log, one.start_us)):
        logs.setdefault(one.log, []).append(one)
    logs = {log: ids[:: max(1, len(ids) // TOGETHER)][:TOGETHER] for log, ids in logs.items()}
    rounds = []
    for _ in range(told.rounds + 1):
        alone = round_of(lambda: NuPlanSource(NuPlanConfig(**places)), pairs)
        rounds.append({**alone, "ours together": together_ms(NuPlanSource(NuPlanConfig(**places)), logs)})
    rounds = rounds[1:]  # the first one brings files into memory
    middle = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    theirs = sum(middle[name] for name in THEIRS)
    print("| reading a scenario, ms of a processor | devkit | ours alone | ours, together with others of its log |")
    print("|---|--:|--:|--:|")
    for name in THEIRS:
        own = f"{middle['ours map']:.2f} | {middle['ours map']:.2f}" if name == "map" else "- | -"
        print(f"| {name} | {middle[name]:.1f} | {own} |")
    alone, together = (middle[name] + middle["ours map"] for name in ("ours alone", "ours together"))
    print(f"| all | {theirs:.1f} | {alone:.1f} | {together:.2f} |")
    print(f"| times as fast | 1 | {theirs / alone:.1f} | {theirs / together:.0f} |")


if __name__ == "__main__":
    main()
