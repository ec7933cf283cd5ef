"""Builders of nuplan-devkit on its own scenarios and on ours: equal outputs, and time a scenario.

    python benchmarks/devkit.py DATA_ROOT MAP_ROOT [--scenarios 20]

Needs nuplan-devkit (docs/coming-from-nuplan-devkit.md). Every builder is asked for each scenario by itself: on its own
scenarios it reads the log as it goes, on ours the time of loading the scene is part of it.
"""

import argparse
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from pluto_basics.config import EgoTrajectoryConfig
from pluto_basics.ego_trajectory import EgoTrajectory
from pluto_core.component import Context
from pluto_core.filters import ScenarioFilter
from pluto_devkit import factories, trees
from pluto_devkit.builders import DevkitBuilders
from pluto_devkit.config import DevkitSourceConfig, FeatureConfig, TargetConfig
from pluto_devkit.finding import Finder
from pluto_nuplan.config import NuPlanConfig
from pluto_nuplan.source import NuPlanSource

SAMPLING = "nuplan.planning.simulation.trajectory.trajectory_sampling.TrajectorySampling"
PREPROCESSING = "nuplan.planning.training.preprocessing."
PAST = {"_target_": SAMPLING, "num_poses": 4, "time_horizon": 1.5}
FUTURE = {"_target_": SAMPLING, "num_poses": 16, "time_horizon": 8.0}
STOCK: dict[str, tuple[str, dict[str, Any]]] = {
    "agents": ("feature_builders.agents_feature_builder:AgentsFeatureBuilder", {"trajectory_sampling": PAST}),
    "generic_agents": (
        "feature_builders.generic_agents_feature_builder:GenericAgentsFeatureBuilder",
        {"agent_features": ["VEHICLE", "PEDESTRIAN", "BICYCLE"], "trajectory_sampling": PAST},
    ),
    "vector_map": ("feature_builders.vector_map_feature_builder:VectorMapFeatureBuilder", {"radius": 50.0}),
    "vector_set_map": (
        "feature_builders.vector_set_map_feature_builder:VectorSetMapFeatureBuilder",
        {
            "map_features": ["LANE", "LEFT_BOUNDARY", "RIGHT_BOUNDARY", "STOP_LINE", "CROSSWALK", "ROUTE_LANES"],
            "max_elements": dict.fromkeys(
                ("LANE", "LEFT_BOUNDARY", "RIGHT_BOUNDARY", "STOP_LINE", "CROSSWALK", "ROUTE_LANES"), 30
            ),
            "max_points": dict.fromkeys(
                ("LANE", "LEFT_BOUNDARY", "RIGHT_BOUNDARY", "STOP_LINE", "CROSSWALK", "ROUTE_LANES"), 20
            ),
            "radius": 35.0,
            "interpolation_method": "linear",
        },
    ),
    "trajectory": (
        "target_builders.ego_trajectory_target_builder:EgoTrajectoryTargetBuilder",
        {"future_trajectory_sampling": FUTURE},
    ),
}


def difference(first: Any, second: Any) -> float:
    """Return the largest difference of two trees; infinite where they have another form."""
    if isinstance(first, np.ndarray):
        if first.shape != second.shape:
            return np.inf
        return float(np.abs(first.astype(np.float64) - second.astype(np.float64)).max(initial=0.0))
    if isinstance(first, dict | list | tuple):
        keys = first.keys() if isinstance(first, dict) else range(len(first))
        if len(first) != len(second) or (isinstance(first, dict) and keys != second.keys()):
            return np.inf
        return max((difference(first[key], second[key]) for key in keys), default=0.0)
    return 0.0 if first == second else np.inf


def builder_of(name: str, map_root: str) -> DevkitBuilders:
    """Return a stock builder."""
    place, arguments = STOCK[name]
    if name == "trajectory":
        config = TargetConfig(builder=PREPROCESSING + place, arguments=arguments, map_root=map_root, history_s=0.0)
        return factories.targets(config, Context())
    return factories.features(
        FeatureConfig(builder=PREPROCESSING + place, arguments=arguments, map_root=map_root, future_s=0.0), Context()
    )


def main() -> None:
    """Print one row a builder, and how our own target compares with the devkit's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_root", type=Path)
    parser.add_argument("map_root", type=Path)
    parser.add_argument("--scenarios", type=int, default=20)
    told = parser.parse_args()
    warnings.simplefilter("ignore")
    ours = NuPlanSource(NuPlanConfig(data_root=str(told.data_root), map_root=str(told.map_root)))
    arguments = {
        "data_root": str(told.data_root),
        "map_root": str(told.map_root),
        "sensor_root": str(told.data_root),
        "db_files": None,
        "map_version": "nuplan-maps-v1.0",
        "verbose": False,
    }
    finder = Finder(DevkitSourceConfig(arguments=arguments))
    ids = list(ours.list(ScenarioFilter()).ids())
    chosen = [ids[row] for row in np.linspace(0, len(ids) - 1, told.scenarios + 2).astype(int).tolist()[1:-1]]
    theirs = [finder.take([one])[0] for one in chosen]
    print("| builder | its own scenarios, ms | ours, ms | of which loading, ms | largest difference |\n|---|---|---|---|---|")
    for name in STOCK:
        builder = builder_of(name, str(told.map_root))
        expectations, times, worst = [], [], 0.0
        for identity, scenario in [(chosen[0], theirs[0]), *zip(chosen, theirs, strict=True)]:
            fresh = type(scenario)(*scenario.__reduce__()[1])
            start = time.perf_counter()
            expected = {key: builder._built(key, one, fresh) for key, one in builder._builders.items()}  # noqa: SLF001
            middle = time.perf_counter()
            scene = ours.load(identity, builder.window)
            loaded = time.perf_counter()
            sample = builder.build(scene)
            end = time.perf_counter()
            times.append((middle - start, end - middle, loaded - middle))
            prefix = next(iter(sample)).partition("/")[0]
            found = trees.decode({key.removeprefix(f"{prefix}/"): value for key, value in sample.items()})["features"]
            worst = max(worst, difference(expected, found))
            expectations.append((identity, expected))
        own, our, loading = np.median(np.array(times[1:]), axis=0) * 1e3
        print(f"| {name} | {own:.1f} | {our:.1f} | {loading:.1f} | {worst:.2g} |")
    native = EgoTrajectory(EgoTrajectoryConfig(horizon_s=8.0, interval_s=0.5))
    gaps = [
        np.abs(native.build(ours.load(identity, native.window))["truth/trajectory"] - expected["trajectory"]["data"]).max()
        for identity, expected in expectations
    ]
    print(f"\nnative `ego_trajectory` and the devkit's target on {len(chosen)} scenarios: largest difference {max(gaps):.2g}")


if __name__ == "__main__":
    main()
